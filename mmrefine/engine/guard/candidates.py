"""Candidates between teacher and student, and what the guard says of them."""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn

from mmrefine.engine.guard.observer import Observer
from mmrefine.evaluation.guard.comparison import (Comparison, Observation, compare, compare_all, loss_against,
                                                  mean_observation)
from mmrefine.evaluation.guard.runs import LEAST_RUNS
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import meta_of
from mmrefine.report import counted, kept_back
from mmrefine.report.headlines import FORGOTTEN_PERCENT

State = Mapping[str, Tensor]
STUDENT = 'student.pth'  # where a student that is not handed back is kept, in the work dir
REMEDY = 'refine a longer video or more scenes, or keep back more of it (held_out)'


@dataclass(frozen=True)
class Candidate:
    """A network that may be handed back.

    Args:
        iter: optimiser steps after which the student was taken.
        step: how far it is from the teacher (0) to that student (1).
        losses: of each sample :func:`~mmrefine.evaluation.guard.comparison.loss_against`, below 0 if better than the
            teacher.
        comparison: with its interval.
        witnesses: means over the samples, by name.
        objection: why it must not be handed back whatever its score says, as the end of a sentence; None if nothing
            speaks against it (:class:`~mmrefine.structures.contracts.ObjectingWitnesses`).
    """
    iter: int
    step: float
    losses: Sequence[float]
    comparison: Comparison
    witnesses: Observation
    objection: Optional[str] = None

    @property
    def loss(self) -> float:
        """The mean over the samples."""
        return sum(self.losses) / len(self.losses)

    @property
    def is_accepted(self) -> bool:
        """Whether it is surely better and nothing speaks against it."""
        return self.comparison.is_better and self.objection is None


def mixed_state(teacher: State, student: State, step: float) -> Dict[str, Tensor]:
    """Weights between two networks: ``teacher + step (student - teacher)``, the statistics of batch norms too; integers
    (counters) are the student's.

    Args:
        teacher: state dict.
        student: state dict of the same network.
        step: in [0, 1].
    """
    mixed = {}
    for key, theirs in teacher.items():
        ours = student[key].to(theirs.device)
        # lerp ends exactly at either side
        mixed[key] = torch.lerp(theirs, ours, step) if theirs.is_floating_point() else ours
    return mixed


def rate(observer: Observer,
         network: Any,
         teacher: Sequence[Observation],
         iteration: int,
         step: float,
         confidence: float = 0.95,
         seed: int = 0,
         progress: Optional[Callable[[int], None]] = None) -> Candidate:
    """What a network shows on the samples that are kept back, compared with what its teacher showed there.

    Args:
        observer: of these samples.
        network: the candidate, in evaluation mode.
        teacher: what ``observer`` saw of the original network.
        iteration: see :class:`Candidate`.
        step: see there.
        confidence: of the interval, in (0, 1).
        seed: of its draws.
        progress: see :meth:`Observer.observe`.
    """
    found, witnesses = observer.observe(network, progress), observer.witnesses
    losses = [loss_against(ours, theirs, observer.weights, witnesses.floors) for ours, theirs in zip(found, teacher)]
    comparison = compare(losses, observer.runs(losses), confidence, seed)
    object_to = getattr(witnesses, 'objection', None)
    objection = None if object_to is None else object_to(teacher, found)
    return Candidate(iteration, step, losses, comparison, mean_observation(found), objection)


def first_confidence(confidence: float, steps: int) -> float:
    """The confidence at which candidates at the farthest of so many steps are compared before the others are looked at.

    Each pays for the number of steps in full (Bonferroni). Intervals for all candidates together
    (:func:`compare_together`) are hardly ever wider, so one that is surely better now would be so among all, too
    (``benchmarks/guard_errors.py``).
    """
    return 1 - (1 - confidence) / steps


def settles(rated: Sequence[Candidate], forgotten: Callable[[Candidate], float], most: Optional[float] = None) -> bool:
    """Whether no candidate that is nearer to the teacher could be handed back in place of one of these, see
    :func:`decide`.

    Args:
        rated: those that are farthest from the teacher.
        forgotten: see :func:`decide`.
        most: see there.
    """
    best = choose(rated)
    return best.is_accepted and forgotten(best) <= min(FORGOTTEN_PERCENT, float('inf') if most is None else 100 * most)


def compare_together(rated: Sequence[Candidate], observer: Observer, confidence: float = 0.95, seed: int = 0,
                     others: Sequence[Sequence[float]] = ()) -> List[Candidate]:
    """The same candidates with intervals that hold for all of them together.

    How many neighbouring samples are worth one independent sample is read off the mean loss of the candidates. Where
    one of them was picked as the best of many on the same samples, the intervals must hold for all of the many, or
    luck would be taken for a gain.

    Args:
        rated: candidates on the same samples.
        observer: of these samples.
        confidence: of all intervals together, in (0, 1).
        seed: of the draws.
        others: the losses of networks that candidates were picked from.
    """
    losses = [one.losses for one in rated]
    runs = observer.runs(np.mean(losses, axis=0).tolist())
    found = compare_all([*losses, *others], runs, confidence, seed)
    return [replace(one, comparison=comparison) for one, comparison in zip(rated, found)]


def choose(rated: Sequence[Candidate]) -> Candidate:
    """The candidate to judge by: of those that are accepted the farthest from the teacher, else the best of all.

    Of several that are as far from it, the best.

    Labels know more than the witnesses do: on real video students went on to improve by ground truth where the score
    had its best value half way (docs/results.md). So the score decides how far one may go, and not where to stop short
    of it.
    """
    surely = [one for one in rated if one.is_accepted]
    farthest = max((one.step for one in surely), default=None)
    return min((one for one in surely if one.step == farthest) if surely else rated, key=lambda one: one.loss)


def decide(rated: List[Candidate], forgotten: Callable[[Candidate], float], most: Optional[float] = None,
           samples: str = 'general samples') -> Candidate:
    """The candidate to judge by, with a say of what was forgotten.

    It is that of :func:`choose`; but if that one lost more than 5 % on general samples, and another that is accepted
    has as good a score and lost less than half as much, it is the other.

    Args:
        rated: all candidates; those that lost more than ``most`` get an objection there.
        forgotten: how much the error of a candidate on general samples rose, %.
        most: how much it may, as a share of the error; None: as much as it does.
        samples: what the general samples are called.
    """
    while True:
        best = choose(rated)
        if not best.is_accepted:
            return best
        lost = forgotten(best)
        if most is not None and lost > 100 * most:
            objection = f'lost {lost:.1f} % on {samples}, where most_forgotten allows {100 * most:g} %'
            rated[rated.index(best)] = replace(best, objection=objection)
            continue
        rivals = (one for one in rated if one.is_accepted and one.loss <= best.loss and one is not best)
        if lost <= FORGOTTEN_PERCENT:
            return best
        return next((one for one in sorted(rivals, key=lambda one: one.loss) if forgotten(one) < lost / 2), best)


def candidate_record(rated: Sequence[Candidate], best: Candidate, teacher: Sequence[Observation],
                     sample_name: str = 'frame pair') -> Dict[str, Any]:
    """For the report: verdict, reason, the chosen candidate and all others. JSON-able."""
    found = [
        dict(iter=one.iter, step=one.step, **one.comparison.to_dict(), witnesses=dict(one.witnesses),
             objection=one.objection) for one in rated
    ]
    return dict(
        verdict='student' if best.is_accepted else 'unproven' if _is_unproven(best) else 'teacher',
        reason=reason(best, sample_name),
        chosen=dict(iter=best.iter, step=best.step, **best.comparison.to_dict(), objection=best.objection),
        witnesses=dict(before=mean_observation(teacher), after=dict(best.witnesses)),
        candidates=found)


def score_record(observer: Observer) -> Dict[str, Any]:
    """For the report: what the score is made of, and what is left out of it. JSON-able."""
    witnesses = observer.witnesses
    return dict(
        witnesses.describe(),
        sample=witnesses.sample_name,
        weights=observer.weights,
        learned=sorted(observer.learned),
        floors=dict(witnesses.floors),
        figures=[figure.to_dict() for figure in witnesses.figures])


def proves_nothing(samples: int, sample_name: str) -> Optional[str]:
    """Why so few samples cannot prove anything whatever they show; None if there are enough."""
    if samples >= LEAST_RUNS:
        return None
    return (f'{counted(samples, sample_name)} will prove nothing, as it takes {LEAST_RUNS} that are independent; so '
            f'the original network will be handed back, and the student kept in {STUDENT}. For a verdict {REMEDY}')


def _is_unproven(best: Candidate) -> bool:
    """Whether nothing speaks against the candidate, but too little was kept back to speak for it."""
    return best.objection is None and not best.comparison.is_proof


def keep_student(work_dir: Union[str, Path], model: nn.Module, state: Optional[State], iteration: int) -> None:
    """Write the student that is not handed back to :data:`STUDENT`; that of an earlier run goes if there is none.

    Args:
        work_dir: its folder.
        model: the network.
        state: its weights, or None.
        iteration: optimiser steps after which it was taken.
    """
    path = Path(work_dir, STUDENT)
    if state is None:
        path.unlink(missing_ok=True)
    else:
        weights = {key: value.detach().cpu() for key, value in state.items()}
        save_checkpoint(path, dict(state_dict=weights, meta=meta_of(model, iter=iteration, refined=True)))


def verdict_on_the_way(one: Candidate) -> Tuple[str, str]:
    """What a comparison on the way says of a student, ``'accepted'``, ``'refused'`` or ``'unproven'``, and why.

    The interval is that of this student alone. The verdict at the end, for all candidates together, is stricter.
    """
    if one.objection is not None:
        return 'refused', f'the student {one.objection}'
    if not one.comparison.is_proof:
        return 'unproven', 'too little was kept back to prove anything'
    if one.is_accepted:
        return 'accepted', 'surely better than the original network'
    return 'refused', 'not surely better than the original network'


def reason(best: Candidate, sample_name: str = 'frame pair') -> str:
    """The verdict in one sentence."""
    found = best.comparison
    change, low, high = 100 * found.change, 100 * found.low, 100 * found.high
    numbers = (f'on {kept_back(found.pairs, sample_name)} the label-free score changed by {change:+.1f} % '
               f'(interval {low:+.1f} to {high:+.1f} %, {found.better:.0%} of the {sample_name.split()[-1]}s better)')
    whose = '' if best.step == 1 else f'{best.step:.0%} of the way to '
    whose += f'the student after {best.iter} steps'
    if best.is_accepted:
        return f'{whose} is better than the original network and is handed back: {numbers}'
    if _is_unproven(best):
        worth = '' if found.runs == found.pairs else f', which are worth {counted(found.runs, "independent one")}'
        return (f'too little was kept back to prove anything ({counted(found.pairs, sample_name)}{worth}; it takes '
                f'{LEAST_RUNS}), so the original network is handed back unchanged, and the student is kept in '
                f'{STUDENT}: for {whose}, {numbers}; for a verdict {REMEDY}')
    if best.objection is not None and found.is_better:
        return (f'{whose} is surely better by its score and refused all the same, so the original network is handed '
                f'back unchanged: it {best.objection}; {numbers}')
    refusal = 'no candidate is surely better, so the original network is handed back unchanged'
    if best.objection is not None:
        return f'{refusal}: {whose} {best.objection}; {numbers}'
    return f'{refusal}: for {whose}, {numbers}'

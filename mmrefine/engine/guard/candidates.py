"""Candidates between teacher and student, and what a guard says of them."""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import torch
from torch import Tensor

from mmrefine.engine.guard.pairs import GuardPairs
from mmrefine.evaluation import Comparison, Witness, compare, loss_against, mean_witness
from mmrefine.report import kept_back
from mmrefine.structures import FlowEstimator

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Candidate:
    """A network that may be handed back.

    Args:
        iter: optimiser steps after which the student was taken.
        step: how far it is from the teacher (0) to that student (1).
        loss: mean over the pairs of :func:`~mmrefine.evaluation.loss_against`, below 0 if better than the teacher.
        comparison: with its interval.
        witness: means over the pairs.
    """
    iter: int
    step: float
    loss: float
    comparison: Comparison
    witness: Witness


def mixed_state(teacher: State, student: State, step: float) -> Dict[str, Tensor]:
    """Weights between two networks: ``teacher + step (student - teacher)``; whole numbers, such as counters, are the student's.

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


def rate(guard: GuardPairs, network: FlowEstimator, teacher: Sequence[Witness], iteration: int, step: float, confidence: float = 0.95,
         seed: int = 0, told: Optional[Callable[[int], None]] = None) -> Candidate:
    """What the guard's pairs say of a network, compared with what they said of its teacher; ``told`` as in ``guard.witnesses``."""
    found = guard.witnesses(network, told)
    losses = [loss_against(ours, theirs) for ours, theirs in zip(found, teacher)]
    return Candidate(iteration, step, sum(losses) / len(losses), compare(losses, guard.clusters, confidence, seed), mean_witness(found))


def choose(rated: Sequence[Candidate]) -> Candidate:
    """Of those that are surely better the one that is farthest from the teacher, of these the best; the best of all if none surely is.

    Labels know more than the witnesses do: on real video students went on to improve by ground truth where the score had its best value
    half way (docs/results.md). So the score decides how far one may go, and not where to stop short of it.
    """
    surely = [one for one in rated if one.comparison.is_better]
    farthest = max((one.step for one in surely), default=None)
    return min((one for one in surely if one.step == farthest) if surely else rated, key=lambda one: one.loss)


def candidate_record(rated: Sequence[Candidate], best: Candidate, teacher: Sequence[Witness], confidence: float) -> Dict[str, Any]:
    """For the report: verdict, reason, the chosen candidate and all others. JSON-able."""
    accepted = best.comparison.is_better
    return dict(
        verdict='student' if accepted else 'teacher',
        reason=reason(best, confidence),
        chosen=dict(iter=best.iter, step=best.step, **best.comparison.to_dict()),
        witnesses=dict(before=asdict(mean_witness(teacher)), after=asdict(best.witness)),
        candidates=[dict(iter=one.iter, step=one.step, **one.comparison.to_dict(), witnesses=asdict(one.witness)) for one in rated])


def reason(best: Candidate, confidence: float = 0.95) -> str:
    """The verdict in one sentence."""
    found = best.comparison
    change, low, high = 100 * found.change, 100 * found.low, 100 * found.high
    said = (f'on {kept_back(found.pairs)} the label-free score changed by {change:+.1f} % '
            f'(interval {low:+.1f} to {high:+.1f} %, {found.better:.0%} of the pairs better)')
    whose = '' if best.step == 1 else f'{best.step:.0%} of the way to '
    whose += f'the student after {best.iter} steps'
    if found.is_better:
        return f'{whose} is better than the network as it came and is handed back: {said}'
    return f'no candidate is surely better, so the network as it came is handed back unchanged: for {whose}, {said}'


__all__: List[str] = ['Candidate', 'State', 'candidate_record', 'choose', 'mixed_state', 'rate', 'reason']

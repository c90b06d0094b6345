"""Never hand back a worse model."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefine.engine.guard.candidates import (Candidate, State, candidate_record, compare_together, decide,
                                              first_confidence, keep_student, mixed_state, proves_nothing, rate,
                                              score_record, settles)
from mmrefine.engine.guard.looks import Looks
from mmrefine.engine.guard.observer import Observer, learned_witnesses
from mmrefine.engine.guard.other_teacher import teacher_record
from mmrefine.engine.guard.video_check import nothing_to_learn
from mmrefine.engine.judging.overlap import refuse_learned_truth
from mmrefine.engine.runtime.passes import Passes
from mmrefine.engine.runtime.processes import model_of
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.evaluation.guard.comparison import Observation
from mmrefine.models import estimator_state, load_estimator
from mmrefine.registry import DATASETS, HOOKS, WITNESSES
from mmrefine.report import counted, teachers_ahead
from mmrefine.structures.contracts import Witnesses
from mmrefine.values import as_count, is_number

# in the message hub, where the report looks for it
GUARD_INFO = 'mmrefine_guard'
# there too: what was found on the way, so that a resumed run knows what came before it
LOOKS_INFO = 'mmrefine_guard_looks'
ROUND = 'round'  # an interval
NOTHING = 'nothing to learn'  # a verdict


@HOOKS.register_module()
class RegressionGuardHook(Hook):
    """Hands the teacher back unless the student is better on frames that labels and training have not seen.

    No ground truth is needed: see :class:`~mmrefine.engine.guard.flow_witnesses.FlowWitnesses` and
    :mod:`mmrefine.evaluation.guard.comparison`. At the end of training the candidates are the student (and, with
    ``interval``, the best of the networks on the way), each at several steps from the teacher's weights to its own. A
    candidate is surely better if the bootstrap interval of its paired differences to the teacher lies below 0 as a
    whole; the intervals hold together for all candidates and all networks that the best one was picked from. Of those
    the one that went farthest wins (:func:`~mmrefine.engine.guard.candidates.decide`), so steps on the way are compared
    only where the students themselves do not settle it. If there is none, the weights of the teacher are put back:
    ``refined.pth`` is then the original network, and log and report say so. The weights are those of the model's
    ``estimator``. A witness that is itself a loss of the model (:attr:`mmrefine.models.CycleLoss.witness`) is left out.

    The winner and the teacher are also scored on rendered samples of a fixed look with exact truth: what was forgotten.
    With ``most_forgotten`` a candidate that lost more is left out.

    Where nothing can be learned from the video (:func:`~mmrefine.engine.guard.video_check.nothing_to_learn`) nothing is
    labelled or trained. A student that is not handed back is kept as ``student.pth`` in the work dir.

    Args:
        dataset: the frames that are kept back: a data set config with ``held=True``; its ``held_out`` must be that of
            the data that are labelled and trained on. With ``held_out=0`` there is no guard.
        steps: from the teacher's weights (0) to the student's (1), each in (0, 1].
        interval: optimiser steps from one comparison on the way to the next; ``'round'``: at the end of each round;
            None: only at the end of all.
        patience: stop training after this many comparisons on the way (with ``'round'``, so many rounds) without a
            better student; None: never.
        pairs: see :class:`~mmrefine.engine.guard.flow_witnesses.FlowWitnesses`.
        warps: see there.
        pace: see there.
        confidence: of the interval, in (0, 1).
        general: rendered samples for the forgetting check; 0: none.
        most_forgotten: by how much the error on these may rise, such as 0.5 for half as much again, at least 0; of
            candidates that are surely better those that lose more are left out. None: it is reported, and has no say.
        seed: of warps and bootstrap.
        before: file name in the work dir of the original network (:class:`~mmrefine.engine.WeightsHook` writes it).
        witnesses: config of what is compared; None: ``FlowWitnesses`` of ``pairs``, ``warps`` and ``pace``.

    Raises:
        ConfigError: a value out of range.
    """
    priority = 'HIGH'  # before the weights are written and the report is made

    def __init__(self,
                 dataset: Dict[str, Any],
                 steps: Sequence[float] = (0.25, 0.5, 0.75, 1.),
                 interval: Optional[Union[int, str]] = None,
                 patience: Optional[int] = None,
                 pairs: int = 32,
                 warps: int = 2,
                 pace: float = 1.,
                 confidence: float = 0.95,
                 general: int = 8,
                 most_forgotten: Optional[float] = None,
                 seed: int = 0,
                 before: str = 'teacher.pth',
                 witnesses: Optional[Dict[str, Any]] = None) -> None:
        if not steps or not all(0 < step <= 1 for step in steps):
            raise ConfigError(f'RegressionGuardHook.steps must be one or more shares in (0, 1], got {steps!r}')
        for key, value, least in (('pairs', pairs, 2), ('warps', warps, 0), ('general', general, 0), ('seed', seed, 0),
                                  ('interval', 1 if interval in (None, ROUND) else interval, 1),
                                  ('patience', 1 if patience is None else patience, 1)):
            as_count(f'RegressionGuardHook.{key}', value, least)
        if patience is not None and interval is None:
            raise ConfigError('RegressionGuardHook.patience counts comparisons on the way, and without interval there '
                              'are none; set interval')
        if not is_number(pace) or not 0 <= pace < float('inf'):
            raise ConfigError(f'RegressionGuardHook.pace must be finite and not negative, got {pace!r}')
        if not is_number(confidence) or not 0 < confidence < 1:
            raise ConfigError(f'RegressionGuardHook.confidence must lie in (0, 1), got {confidence!r}')
        if most_forgotten is not None and not (is_number(most_forgotten) and 0 <= most_forgotten < float('inf')):
            raise ConfigError('RegressionGuardHook.most_forgotten must be a share of at least 0, such as 0.5, or None, '
                              f'got {most_forgotten!r}')
        if most_forgotten is not None and not general:
            raise ConfigError('RegressionGuardHook.most_forgotten bounds what is lost on general samples, and with '
                              'general=0 there are none; set general')
        if witnesses is not None and (pairs, warps, pace) != (32, 2, 1.):
            raise ConfigError('RegressionGuardHook.witnesses has settings of its own; move pairs, warps and pace there')
        self.witnesses: Witnesses = WITNESSES.build(
            dict(type='FlowWitnesses', pairs=pairs, warps=warps, pace=pace) if witnesses is None else witnesses)
        self.config, self.steps = dataset, sorted(set(steps))
        self.interval, self.patience = interval, patience
        self.confidence, self.seed, self.before = confidence, seed, before
        self.general, self.most_forgotten = general, most_forgotten
        self.off = not dataset.get('held_out', 0)
        self._dataset: Any = None
        self._teacher: Any = None
        self._observer: Any = None
        self._seen: List[Observation] = []  # of the teacher
        self._looks = Looks('')

    def before_train(self, runner: Runner) -> None:
        """Open the data, and train nothing if nothing can be learned from them: what is missing should not show after
        hours of training.
        """
        if self.off:
            runner.logger.warning('Guard: off, as held_out is 0: nothing is kept back, and the student is handed back '
                                  'however it fares')
            return
        self._dataset = DATASETS.build(dict(self.config, pipeline=[]))
        refuse_learned_truth(runner.train_dataloader.dataset, self._dataset, 'RegressionGuardHook.dataset')
        scenes, name = len(self._dataset.scene_names), self.witnesses.sample_name
        runner.logger.info(f'Guard: {counted(len(self._dataset), name)} of {counted(scenes, "scene")} kept back')
        too_few = proves_nothing(len(self._dataset), name)
        if too_few:
            runner.logger.warning(f'Guard: {too_few}')
        if runner.iter == 0 and hasattr(self._dataset, 'frame') and hasattr(self._dataset, 'units'):
            rest = DATASETS.build(dict(self.config, pipeline=[], held=False))
            reason = nothing_to_learn([rest, self._dataset], runner.logger.info)
            if reason is not None:
                runner.logger.warning(f'Guard: {reason}')
                runner.message_hub.update_info(GUARD_INFO, dict(verdict=NOTHING, reason=reason))
                runner.train_loop.stop_training = True
        if self.interval == ROUND and not hasattr(runner.train_loop, 'last_iter_of'):
            raise ConfigError(f"RegressionGuardHook.interval='{ROUND}' needs a loop of rounds, and train_cfg is "
                              f"{type(runner.train_loop).__name__}; set type='SelfTrainingLoop', or a number of steps")
        known = runner.message_hub.runtime_info.get(LOOKS_INFO, []) if runner.iter > 0 and self.interval else []
        self._looks = Looks(runner.work_dir, known)
        try:
            self._looks.reload(lambda found, name: estimator_state(model_of(runner), found, name))
        except CheckpointError as error:
            runner.logger.warning(f'Guard: the best student so far cannot be read ({error}), so it is no candidate any '
                                  'more')
        self._stop_if_over(runner)  # where it was stopped between the last step and the end

    @property
    def can_refuse(self) -> bool:
        """Whether a student that has gone wrong is not handed back."""
        return not self.off

    def passes(self, samples: int, max_iters: int = 0, rounds: int = 1) -> Passes:
        """How often networks are asked about the ``samples`` that are kept back, at most; rendered ones do not count.

        ``max_iters`` are optimiser steps, in ``rounds`` rounds; 0: only the comparison at the end counts.
        """
        networks = 1 + len(self.steps) * (2 if self.interval else 1)
        if self.interval and max_iters:
            networks += rounds if self.interval == ROUND else (max_iters - 1) // int(self.interval)
        return self.passes_of_one(samples) * networks

    def passes_of_one(self, samples: int) -> Passes:
        """How often each network is asked that is compared; ``samples`` as for :meth:`passes`."""
        each: Passes = getattr(self.witnesses, 'passes', Passes(both_ways=1))
        return each * min(samples, getattr(self.witnesses, 'pairs', samples))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Compare the student on the way."""
        done = runner.iter + 1
        if self.off or not self._must_look(runner, done):
            return
        model, looks = model_of(runner), self._looks
        model.eval()
        self._ready(runner, model)
        progress = self._progress(runner, f'the student after {done} steps')
        looks.add(self._rated(model, done, 1., progress), model.estimator.state_dict())
        runner.message_hub.update_info(LOOKS_INFO, looks.records)
        found = looks.records[-1]
        runner.logger.info(f'Guard: after {done} steps {found["change_percent"]:+.1f} % ({found["why"]}; '
                           f'{f"best after {looks.best_iter}" if looks.best_iter else "none is fit"})')
        if done < runner.max_iters:
            self._stop_if_over(runner)

    def _must_look(self, runner: Runner, done: int) -> bool:
        """Whether a comparison on the way is due. A last round is compared, too, so that each round has its score."""
        if self.interval == ROUND:
            return bool(done == runner.train_loop.last_iter_of(runner.epoch))
        return self.interval is not None and done % int(self.interval) == 0 and done != runner.max_iters

    def _stop_if_over(self, runner: Runner) -> None:
        if self.patience is not None and self._looks.since_best >= self.patience:
            what = counted(self.patience, ROUND if self.interval == ROUND else 'comparison')
            runner.logger.info(f'Guard: no better student in {what}, so training stops')
            runner.train_loop.stop_training = True

    def after_train(self, runner: Runner) -> None:
        """Choose, judge, and put the winner's weights into the model."""
        if (runner.message_hub.runtime_info.get(GUARD_INFO) or {}).get('verdict') == NOTHING:
            return
        if self.off:
            runner.message_hub.update_info(GUARD_INFO, dict(
                verdict='not run', reason='held_out is 0: nothing was kept back'))
            return
        model = model_of(runner)
        model.eval()
        self._ready(runner, model)
        ends: Dict[int, State] = {runner.iter: {k: v.detach().clone() for k, v in model.estimator.state_dict().items()}}
        if self._looks.best is not None:
            ends.setdefault(*self._looks.best)
        origin = self._teacher.estimator.state_dict()
        known: Dict[Tuple[int, float, bool], Dict[str, Any]] = {}

        def lost(one: Candidate) -> float:
            """%, by the network that is handed back for a candidate; the model has its weights then."""
            state = mixed_state(origin, ends[one.iter], one.step) if one.is_accepted else origin
            model.estimator.load_state_dict(state)
            key = one.iter, one.step, one.is_accepted
            if key not in known:
                student = model if one.is_accepted else self._teacher
                known[key] = self._observer.forgotten(self._teacher, student, self.general, runner.logger.info)
            return float(known[key].get('change_percent', 0.))

        # the students themselves first, and steps on the way to them where that does not settle it
        rated = self._rated_at(runner, model, ends, self.steps[-1:])
        compared = self._compared(rated, first_confidence(self.confidence, len(self.steps)))
        if len(self.steps) > 1 and not settles(compared, lost, self.most_forgotten):
            rated += self._rated_at(runner, model, ends, self.steps[:-1])
            compared = self._compared(sorted(rated, key=lambda one: (-one.iter, one.step)), self.confidence)
        best = decide(compared, lost, self.most_forgotten, f'{self.general} general samples')
        lost(best)  # whose weights it loads
        if is_main_process():
            keep_student(runner.work_dir, model, None if best.is_accepted else ends[best.iter], best.iter)
        record = dict(
            candidate_record(compared, best, self._seen, self.witnesses.sample_name),
            looks=[{key: value for key, value in look.items() if key != 'losses'} for look in self._looks.records],
            general=known[best.iter, best.step, best.is_accepted],
            held_out=dict(
                pairs=len(self._observer), scenes=len(self._dataset.scene_names), share=self.config['held_out']),
            score=score_record(self._observer),
            **teacher_record(runner, model, self._observer, self._seen, self.confidence, self.seed, self._progress))
        runner.message_hub.update_info(GUARD_INFO, record)
        for sentence in teachers_ahead(record):
            runner.logger.info(f'Guard: {sentence}')
        (runner.logger.info if best.is_accepted else runner.logger.warning)(f'Guard: {record["reason"]}')

    def _rated_at(self, runner: Runner, model: Any, ends: Dict[int, State], steps: Sequence[float]) -> List[Candidate]:
        """The candidates so far from the teacher, each compared by itself."""
        candidates = [(iteration, step) for iteration in ends for step in steps]
        progress = self._progress(runner, counted(len(candidates), 'candidate'), len(candidates))
        origin = self._teacher.estimator.state_dict()
        rated: List[Candidate] = []
        for iteration, step in candidates:
            model.estimator.load_state_dict(mixed_state(origin, ends[iteration], step))
            rated.append(self._rated(model, iteration, step, progress.beyond(len(rated) * self._observer.share)))
        return rated

    def _compared(self, rated: Sequence[Candidate], confidence: float) -> List[Candidate]:
        return compare_together(rated, self._observer, confidence, self.seed, self._looks.losses(len(self._observer)))

    def _ready(self, runner: Runner, model: Any) -> None:
        """Load the original network, and see what it shows."""
        if self._observer is not None:
            return
        path = Path(runner.work_dir, self.before)
        if not path.is_file():
            raise CheckpointError(f'{path}: the original network is gone, and the guard compares with it; put the file '
                                  'back, or start again in a new work dir')
        self._teacher = copy.deepcopy(model)
        load_estimator(self._teacher, path)
        self._teacher.eval()
        device = str(next(model.parameters()).device)
        self.witnesses.prepare(self._dataset, self._teacher, device, self.seed, runner.logger.info)
        self._observer = Observer(self.witnesses, getattr(self._dataset, 'holds_whole_scenes', False),
                                  learned_witnesses(model, runner.logger.info))
        self._seen = self._observer.observe(self._teacher, self._progress(runner, 'the original network'))

    def _progress(self, runner: Runner, what: str, networks: int = 1) -> Progress:
        return Progress(f'Guard: {what}, {{}} {self.witnesses.sample_name}s', networks * self._observer.share,
                        runner.logger.info)

    def _rated(self, model: Any, iteration: int, step: float, progress: Callable[[int], None]) -> Candidate:
        return rate(self._observer, model, self._seen, iteration, step, self.confidence, self.seed, progress)

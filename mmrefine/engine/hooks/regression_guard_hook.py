"""Never hand back a worse model."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmrefine
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine.guard.candidates import (REMEDY, STUDENT, Candidate, State, candidate_record, compare_together,
                                              decide, mixed_state, rate)
from mmrefine.engine.guard.observer import Observer
from mmrefine.engine.guard.video_check import nothing_to_learn
from mmrefine.engine.judging.overlap import refuse_learned_truth
from mmrefine.engine.runtime.processes import model_of
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.evaluation.guard.comparison import Observation
from mmrefine.evaluation.guard.runs import LEAST_RUNS
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import estimator_state, load_estimator
from mmrefine.registry import DATASETS, HOOKS, WITNESSES
from mmrefine.report import counted
from mmrefine.structures.contracts import Witnesses
from mmrefine.values import as_count, is_number

# in the message hub, where the report looks for it
GUARD_INFO = 'mmrefine_guard'
# there too: what was found on the way, so that a resumed run knows what came before it
LOOKS_INFO = 'mmrefine_guard_looks'
BEST = 'guard_best.pth'
NOTHING = 'nothing to learn'  # a verdict


@HOOKS.register_module()
class RegressionGuardHook(Hook):
    """Hands the teacher back unless the student is better on frames that labels and training have not seen.

    No ground truth is needed: see :class:`~mmrefine.engine.guard.flow_witnesses.FlowWitnesses` and
    :mod:`mmrefine.evaluation.guard.comparison`. At the end of training the candidates are the student (and, with
    ``interval``, the best of the networks on the way), each at several steps from the teacher's weights to its own. A
    candidate is surely better if the bootstrap interval of its paired differences to the teacher lies below 0 as a
    whole; the intervals hold for all candidates together. Of those the one that went farthest wins
    (:func:`~mmrefine.engine.guard.candidates.decide`). If there is none, the weights of the teacher are put back:
    ``refined.pth`` is then the original network, and log and report say so.

    The winner and the teacher are also scored on rendered samples of a fixed look with exact truth: what was forgotten.
    With ``most_forgotten`` a candidate that lost more is left out.

    Where nothing can be learned from the video (:func:`~mmrefine.engine.guard.video_check.nothing_to_learn`) nothing is
    labelled or trained. A student that is not handed back is kept as ``student.pth`` in the work dir.

    The weights are those of the model's ``estimator``.

    Args:
        dataset: the frames that are kept back: a data set config with ``held=True``; its ``held_out`` must be that of
            the data that are labelled and trained on. With ``held_out=0`` there is no guard.
        steps: from the teacher's weights (0) to the student's (1), each in (0, 1].
        interval: optimiser steps from one comparison on the way to the next; None: only at the end.
        patience: stop training after this many comparisons without a better score; None: never.
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
                 interval: Optional[int] = None,
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
                                  ('interval', 1 if interval is None else interval, 1),
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
        self._best: Dict[str, Any] = {}

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
        scenes = len(self._dataset.scene_names)
        name = self.witnesses.sample_name
        runner.logger.info(f'Guard: {counted(len(self._dataset), name)} of {counted(scenes, "scene")} kept back')
        if len(self._dataset) < LEAST_RUNS:
            runner.logger.warning(
                f'Guard: {counted(len(self._dataset), name)} will prove nothing, as it takes {LEAST_RUNS} that are '
                f'independent; so the original network will be handed back, and the student kept in {STUDENT}. For a '
                f'verdict {REMEDY}')
        if runner.iter == 0 and hasattr(self._dataset, 'frame') and hasattr(self._dataset, 'units'):
            rest = DATASETS.build(dict(self.config, pipeline=[], held=False))
            reason = nothing_to_learn([rest, self._dataset], runner.logger.info)
            if reason is not None:
                runner.logger.warning(f'Guard: {reason}')
                runner.message_hub.update_info(GUARD_INFO, dict(verdict=NOTHING, reason=reason))
                runner.train_loop.stop_training = True
        path = Path(runner.work_dir, BEST)
        if runner.iter > 0 and self.interval and path.is_file():
            try:
                found = load_checkpoint_file(path)
                loss, done = float(found['meta']['loss']), int(found['meta']['iter'])
                state = estimator_state(model_of(runner), found, str(path))
            except (CheckpointError, KeyError, TypeError, ValueError) as error:
                runner.logger.warning(f'Guard: the best student so far cannot be read ({error}), so it is no candidate '
                                      'any more')
                return
            # one that lies ahead of the checkpoint that this run goes on from comes again
            if done <= runner.iter:
                self._best = dict(loss=loss, iter=done, state=state)

    def passes(self, samples: int) -> int:
        """How many passes of a network, over a sample each, the comparison at the end takes; about.

        Args:
            samples: that are kept back.
        """
        samples = min(samples, getattr(self.witnesses, 'pairs', samples))
        networks = 1 + len(self.steps) * (2 if self.interval else 1)
        return samples * networks * getattr(self.witnesses, 'passes', 2) + 2 * self.general

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Compare the student on the way."""
        done = runner.iter + 1
        if self.off or not self.interval or done % self.interval or done == runner.max_iters:
            return
        model = model_of(runner)
        model.eval()
        self._ready(runner, model)
        progress = self._progress(runner, f'the student after {done} steps')
        found = self._rated(model, done, 1., progress)
        if found.objection is None and (not self._best or found.loss < self._best['loss']):
            state = {key: value.detach().cpu().clone() for key, value in model.estimator.state_dict().items()}
            self._best = dict(loss=found.loss, iter=done, state=state)
            if is_main_process():
                meta = dict(loss=found.loss, iter=done)
                save_checkpoint(Path(runner.work_dir, BEST), dict(state_dict=state, meta=meta))
        looks = [look for look in runner.message_hub.runtime_info.get(LOOKS_INFO, []) if look['iter'] < done]
        runner.message_hub.update_info(LOOKS_INFO, [*looks, dict(iter=done, **found.comparison.to_dict())])
        best = self._best.get('iter', 0)
        found_out = f'best after {best}' if found.objection is None else f'the student {found.objection}'
        runner.logger.info(f'Guard: after {done} steps {100 * found.comparison.change:+.1f} % ({found_out})')
        if self.patience is not None and done - best >= self.patience * self.interval:
            runner.logger.info(f'Guard: no better score in {self.patience} comparisons, so training stops')
            runner.train_loop.stop_training = True

    def after_train(self, runner: Runner) -> None:
        """Choose, judge, and put the winner's weights into the model."""
        if (runner.message_hub.runtime_info.get(GUARD_INFO) or {}).get('verdict') == NOTHING:
            return
        if self.off:
            reason = 'held_out is 0: nothing was kept back'
            runner.message_hub.update_info(GUARD_INFO, dict(verdict='not run', reason=reason))
            return
        model = model_of(runner)
        model.eval()
        self._ready(runner, model)
        ends: Dict[int, State] = {runner.iter: {k: v.detach().clone() for k, v in model.estimator.state_dict().items()}}
        if self._best:
            ends.setdefault(self._best['iter'], self._best['state'])
        origin = self._teacher.estimator.state_dict()
        rated: List[Candidate] = []
        candidates = [(iteration, step) for iteration in ends for step in self.steps]
        share = self._observer.share
        progress = self._progress(runner, f'{len(candidates)} candidates', len(candidates))
        for iteration, step in candidates:
            model.estimator.load_state_dict(mixed_state(origin, ends[iteration], step))
            rated.append(self._rated(model, iteration, step, progress.beyond(len(rated) * share)))
        rated = compare_together(rated, self._observer, self.confidence, self.seed)
        best, forgotten = self._decide(runner, model, ends, rated)
        accepted = best.is_accepted
        if is_main_process():
            self._keep_student(Path(runner.work_dir, STUDENT), None if accepted else ends[best.iter], best.iter)
        witnesses = self.witnesses
        record = dict(
            candidate_record(rated, best, self._seen, witnesses.sample_name),
            looks=runner.message_hub.runtime_info.get(LOOKS_INFO, []),
            general=forgotten,
            held_out=dict(
                pairs=len(self._observer), scenes=len(self._dataset.scene_names), share=self.config['held_out']),
            score=dict(
                witnesses.describe(),
                sample=witnesses.sample_name,
                weights=dict(witnesses.weights),
                floors=dict(witnesses.floors),
                figures=[figure.to_dict() for figure in witnesses.figures]))
        runner.message_hub.update_info(GUARD_INFO, record)
        (runner.logger.info if accepted else runner.logger.warning)(f'Guard: {record["reason"]}')

    def _decide(self, runner: Runner, model: Any, ends: Dict[int, State],
                rated: List[Candidate]) -> Tuple[Candidate, Dict[str, Any]]:
        """The candidate to judge by, whose weights the model then has if it is accepted (else those of the teacher),
        and what was forgotten; candidates in ``rated`` that lost too much get an objection.
        """
        origin = self._teacher.estimator.state_dict()

        known: Dict[Tuple[int, float, bool], Dict[str, Any]] = {}

        def forgotten(one: Candidate) -> Dict[str, Any]:
            state = mixed_state(origin, ends[one.iter], one.step) if one.is_accepted else origin
            model.estimator.load_state_dict(state)
            key = one.iter, one.step, one.is_accepted
            if key not in known:
                known[key] = self._observer.forgotten(self._teacher, model, self.general, runner.logger.info)
            return known[key]

        best = decide(rated, lambda one: forgotten(one).get('change_percent', 0.), self.most_forgotten,
                      f'{self.general} general samples')
        return best, forgotten(best)  # whose weights it loads

    @staticmethod
    def _keep_student(path: Path, state: Optional[State], iteration: int) -> None:
        """Write the student that is not handed back; a file of an earlier run goes if there is none."""
        if state is None:
            path.unlink(missing_ok=True)
        else:
            weights = {key: value.detach().cpu() for key, value in state.items()}
            meta = dict(mmrefine=mmrefine.__version__, iter=iteration, refined=True)
            save_checkpoint(path, dict(state_dict=weights, meta=meta))

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
        self._observer = Observer(self.witnesses, getattr(self._dataset, 'holds_whole_scenes', False))
        self._seen = self._observer.observe(self._teacher, self._progress(runner, 'the original network'))

    def _progress(self, runner: Runner, what: str, networks: int = 1) -> Progress:
        total = networks * self._observer.share
        return Progress(f'Guard: {what}, {{}} {self.witnesses.sample_name}s', total, runner.logger.info)

    def _rated(self, model: Any, iteration: int, step: float, progress: Callable[[int], None]) -> Candidate:
        return rate(self._observer, model, self._seen, iteration, step, self.confidence, self.seed, progress)

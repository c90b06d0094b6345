"""Stage 1 before each round: a frozen copy of the student labels the video."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmrefine
from mmrefine.compat.cpu import has_fast_bfloat16
from mmrefine.engine.runtime.processes import model_of
from mmrefine.engine.stage1.calibrated import calibrate_labeler, check_calibration
from mmrefine.engine.stage1.run import judge_of, label_fingerprint, label_summary, make_labels, wanted_keys
from mmrefine.errors import ConfigError, StaleLabelsError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FrozenTeacher
from mmrefine.registry import DATASETS, HOOKS, LABELERS
from mmrefine.values import as_count, as_share, check_values

# in the message hub, so that checkpoints remember whose labels they learned from
LABELS_INFO = 'mmrefine_labels'


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Before a round, labels the data set with a frozen copy of the model and points the training data at the labels.

    A complete store is used as it is, a partial one is completed, one made by another teacher, labeler or frame list is refused. After
    labelling it judges the labels, logs a line for each scene whose verdict is amber or red, calls ``after_label(run, store, round_)``
    on every hook that has such a method, and leaves statistics and verdicts in the message hub under ``LABELS_INFO``.

    Args:
        dataset: the frame pairs to label: a data set config; its pipeline, if any, is left out.
        labeler: config of the labeler.
        store: folder of the labels, relative to the work dir; later rounds get ``<store>_round<k>``.
        batch_size: pairs per forward pass of the teacher.
        relabel: ``'once'`` (Refine: the labels of round 0 serve all rounds) or ``'every_round'`` (CLIP-FLow).
        min_kept: least mean weight of the labels, in [0, 1]; under it there is nothing to learn and the run stops.
        calibrate: what the labels shall promise, such as ``dict(precision=0.95)``: thresholds of the filters are then chosen for it
            before each labelling, see :func:`~mmrefine.engine.stage1.calibrated.calibrate_labeler`, kept in ``<store>_calibration.json``, and
            read from there when the run is resumed. None: the thresholds of ``labeler`` stay.
        teacher_dtype: ``'float32'``, or ``'bfloat16'`` for a teacher that is faster and less exact, see
            :class:`~mmrefine.models.FrozenTeacher`.

    Raises:
        ConfigError: a value of another type or out of range, or keys or values of ``calibrate`` that cannot be meant.
    """
    priority = 'VERY_HIGH'

    def __init__(self,
                 dataset: Dict[str, Any],
                 labeler: Dict[str, Any],
                 store: str = 'labels',
                 batch_size: int = 1,
                 relabel: str = 'once',
                 min_kept: float = 0.001,
                 calibrate: Optional[Dict[str, Any]] = None,
                 teacher_dtype: str = 'float32') -> None:
        check_values('PseudoLabelHook', PseudoLabelHook, locals())
        if not store:
            raise ConfigError("PseudoLabelHook.store must be the name of a folder, such as 'labels', got ''")
        if relabel not in ('once', 'every_round'):
            raise ConfigError(f"PseudoLabelHook.relabel must be 'once' or 'every_round', got {relabel!r}")
        if calibrate is not None:
            check_calibration(calibrate, 'PseudoLabelHook.calibrate')
        self.dataset, self.labeler, self.store, self.calibrate = dataset, labeler, store, calibrate
        self.batch_size, self.min_kept = as_count('PseudoLabelHook.batch_size', batch_size), as_share('PseudoLabelHook.min_kept', min_kept)
        self.relabel, self.teacher_dtype = relabel, teacher_dtype

    def store_root(self, work_dir: str, round_: int) -> Path:
        """Where the labels of a round (from 0) lie."""
        labelled_in = round_ if self.relabel == 'every_round' else 0
        return Path(work_dir) / (self.store if labelled_in == 0 else f'{self.store}_round{labelled_in}')

    def before_train_epoch(self, runner: Runner) -> None:
        """Make the labels of the round that begins, unless they are there."""
        root = self.store_root(runner.work_dir, runner.epoch)
        if self._must_label(runner):
            self.label(runner, root)
        else:
            self._check_same_teacher(runner, root)
        data = runner.train_dataloader.dataset
        if hasattr(data, 'labels'):
            data.labels = str(root)

    def label(self, runner: Runner, root: Path, part: Tuple[int, int] = (1, 1)) -> bool:
        """Stage 1, whole or a part of it: frozen copy, labels, store.

        Returns:
            whether the store is complete; a part alone does not make it so, and calls no ``after_label``.

        Raises:
            ConfigError: the training data have pairs that would get no label.
        """
        model = model_of(runner)
        teacher, labeler = FrozenTeacher(model, self.teacher_dtype), LABELERS.build(self.labeler)
        dataset = DATASETS.build(dict(self.dataset, pipeline=[]))
        self._check_train_data(runner.train_dataloader.dataset, dataset, labeler)
        device = str(next(model.parameters()).device)
        fingerprint = label_fingerprint(teacher, labeler, dataset, mmrefine.__version__, self.batch_size)
        promise: Dict[str, Any] = {}
        if self.calibrate is not None:
            kept_in = root.with_name(f'{root.name}_calibration.json')
            found = calibrate_labeler(teacher, self.labeler, dataset, self.calibrate, kept_in, fingerprint, device, runner.logger.info)
            labeler, promise = LABELERS.build(found.apply(self.labeler)), dict(calibration=found.summary())
            fingerprint['labeler'] = digest_of(labeler.describe())  # the rest is read off all frames and weights
        store = LabelStore(root, fingerprint)
        if self.teacher_dtype != 'float32' and not has_fast_bfloat16(next(model.parameters()).device.type):
            runner.logger.warning(f'Stage 1: teacher_dtype={self.teacher_dtype!r} takes several times as long as float32 on this CPU, and '
                                  "its labels are less exact; leave it out, or set it to 'float32'")
        runner.logger.info(f'Stage 1: labels of {len(dataset.units)} frame pairs to {root}')
        run = make_labels(teacher, labeler, dataset, store, self.batch_size, self.min_kept, part,
                          device=device, log=runner.logger.info)
        runner.logger.info(f'Stage 1: {run.labels} labels ({run.made} made now) in {run.seconds:.0f} s; mean weight {run.kept:.1%}')
        if not store.is_complete():
            runner.logger.info(f'Stage 1: part {part[0]} of {part[1]} is done; merge the stores of all parts')
            return False
        judge = judge_of(store.codec.kind)
        judged = {} if judge is None else dict(quality=judge.judge(store, dataset))
        for line, color in [] if judge is None else judge.lines(judged['quality']):
            (runner.logger.info if color == 'green' else runner.logger.warning)(f'Stage 1: {line}')
        runner.message_hub.update_info(LABELS_INFO, dict(
            store=root.name, teacher=store.fingerprint['teacher'], labels=run.labels, seconds=round(run.seconds, 1),
            round=runner.epoch, summary=label_summary(store), **judged, **promise))
        runner.message_hub.update_scalar('train/label_kept', run.kept)
        runner.call_hook('after_label', run=run, store=store, round_=runner.epoch)
        return True

    def _must_label(self, runner: Runner) -> bool:
        """Whether the weights are those of this round's teacher: not in the middle of a resumed round, not after the first if once."""
        begins = runner.iter == 0 or runner.train_loop.last_iter_of(runner.epoch - 1) == runner.iter
        return begins and (runner.epoch == 0 or self.relabel == 'every_round')

    @staticmethod
    def _check_train_data(train_data: Any, dataset: Any, labeler: FlowLabeler) -> None:
        """Better now than at the first step that meets such a pair, hours later."""
        labelled = set(wanted_keys(dataset, labeler))
        lost = [pair['key'] for pair in getattr(train_data, 'pairs', ()) if pair['key'] not in labelled]
        if lost:
            raise ConfigError(f'train_dataloader.dataset has {len(lost)} pairs that PseudoLabelHook.dataset does not label, the first is '
                              f"{lost[0]}; give both the same data_root, scenes and step, and labeler.directions='both' if you train "
                              'on both directions')

    @staticmethod
    def _check_same_teacher(runner: Runner, root: Path) -> None:
        store = LabelStore.open(root)
        learned_from = runner.message_hub.runtime_info.get(LABELS_INFO, {}).get('teacher')
        found = store.fingerprint.get('teacher')
        if learned_from is not None and found != learned_from:
            raise StaleLabelsError(f'{root}: the labels were made by teacher {found}, but the run that is resumed learned from labels of '
                                   f'teacher {learned_from}; bring its labels back, or start again in a new work dir')

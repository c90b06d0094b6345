"""Stage 1 before each round: a teacher labels the video."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmrefine
from mmrefine.compat.cpu import has_fast_bfloat16
from mmrefine.engine.runtime.processes import model_of, together
from mmrefine.engine.runtime.state_fault import state_fault
from mmrefine.engine.stage1.calibrated import calibrate_labeler, check_calibration
from mmrefine.engine.stage1.needed import check_labelled, given_labels
from mmrefine.engine.stage1.resumed import check_same_labels
from mmrefine.engine.stage1.run import LabelRun, judge_of, label_fingerprint, label_summary, make_labels
from mmrefine.errors import CheckpointError, ConfigError, MMRefineError, NoLabelsError, TeacherError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.layout import LABELLED_BY, MANIFEST
from mmrefine.models.teachers.group import build_source
from mmrefine.registry import DATASETS, HOOKS, LABELERS
from mmrefine.structures import TeacherSource, members_of, name_units
from mmrefine.values import as_count, as_share, check_values

# in the message hub, so that checkpoints remember whose labels they learned from
LABELS_INFO = 'mmrefine_labels'
# in a checkpoint, what the source of the teachers needs to go on
TEACHER_STATE = 'mmrefine_teacher'


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Before a round, lets a teacher label a data set and points the training data at the labels.

    A complete store is used as it is, a partial one is completed, one made by another teacher, labeler or frame list is
    refused. A later round without labels (too little survives the checks, or the teacher has diverged) ends the rounds,
    and ``after_no_labels(reason, round_)`` is called on every hook that has such a method. After labelling it judges
    the labels, logs a line for each scene whose verdict is amber or red, calls ``after_label(run, store, round_)`` on
    every hook that has such a method, and leaves statistics and verdicts in the message hub under ``LABELS_INFO``.

    The training data set must have ``set_labels(root)``, which is called before each round, and say which labels it
    needs: by ``units`` or ``pairs``, as :class:`~mmrefine.datasets.FramePairs` does, or by a method ``label_keys()``
    that returns their keys.

    Args:
        dataset: what to label (a ``LabelSource``, such as frame pairs): a data set config; its pipeline, if any, is
            left out.
        labeler: config of the labeler.
        store: folder of the labels, relative to the work dir; later rounds get ``<store>_round<k>``.
        batch_size: units per forward pass of the teacher.
        relabel: ``'once'`` (Refine: the labels of round 0 serve all rounds) or ``'every_round'`` (CLIP-FLow).
        min_kept: least mean weight of the labels, in [0, 1]; under it there is nothing to learn and the run stops.
        calibrate: what the labels shall promise, such as ``dict(precision=0.95)``: thresholds of the filters are then
            chosen for it before each labelling, see :func:`~mmrefine.engine.stage1.calibrated.calibrate_labeler`, kept
            in ``<store>_calibration.json``, and read from there when the run is resumed. None: the thresholds of
            ``labeler`` stay.
        teacher_dtype: ``'float32'``, or ``'bfloat16'`` for a teacher that is faster and less exact, see
            :class:`~mmrefine.models.FrozenTeacher`; the same as ``dtype`` of ``teacher``.
        labels: folder of a complete label store, of whatever teacher and labeler, whose labels are used as they are:
            several students can learn from labels that were made once. None: the labels are made here.
        teacher: config of the part of ``TEACHERS`` that gives the teacher of each round, such as
            ``dict(type='StudentAverage')``, ``dict(type='OtherNetwork', model=…, checkpoint=…)`` or
            ``dict(type='StoredMotion', root=…)``; or a list of these, all of which label together
            (:class:`~mmrefine.models.TeacherGroup`). None: ``StudentCopy``, a frozen copy of the student as it is when
            the round begins.

    Raises:
        ConfigError: a value of another type or out of range, or keys or values of ``calibrate`` that are invalid.
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
                 teacher_dtype: str = 'float32',
                 teacher: Union[None, Dict[str, Any], Sequence[Dict[str, Any]]] = None,
                 labels: Optional[str] = None) -> None:
        check_values('PseudoLabelHook', PseudoLabelHook, locals())
        if not store:
            raise ConfigError("PseudoLabelHook.store must be the name of a folder, such as 'labels', got ''")
        if relabel not in ('once', 'every_round'):
            raise ConfigError(f"PseudoLabelHook.relabel must be 'once' or 'every_round', got {relabel!r}")
        if calibrate is not None:
            check_calibration(calibrate, 'PseudoLabelHook.calibrate')
        if labels is not None and (relabel != 'once' or calibrate is not None or teacher is not None):
            raise ConfigError(f'PseudoLabelHook.labels={labels} are made already, so relabel, calibrate and teacher '
                              'say nothing; leave these out, or leave labels out')
        self.dataset, self.labeler, self.store, self.calibrate = dataset, labeler, store, calibrate
        self.labels = labels
        self.batch_size = as_count('PseudoLabelHook.batch_size', batch_size)
        self.min_kept, self.relabel = as_share('PseudoLabelHook.min_kept', min_kept), relabel
        dtype = {} if teacher_dtype == 'float32' else dict(dtype=teacher_dtype)
        self.teachers: TeacherSource = build_source(dict(type='StudentCopy') if teacher is None else teacher, **dtype)
        self._loaded: Optional[Dict[str, Any]] = None

    def store_root(self, work_dir: str, round_: int) -> Path:
        """Where the labels of a round (from 0) lie."""
        if self.labels is not None:
            return Path(self.labels)
        labelled_in = round_ if self.relabel == 'every_round' else 0
        return Path(work_dir) / (self.store if labelled_in == 0 else f'{self.store}_round{labelled_in}')

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Note what a run that goes on from there needs."""
        self._loaded = checkpoint.get(TEACHER_STATE)

    def before_train(self, runner: Runner) -> None:
        """Let the source of the teachers begin with the student, or go on in a resumed run.

        Raises:
            CheckpointError: the checkpoint of a resumed run lacks what the source needs, is of another source, or is
                damaged.
        """
        model = model_of(runner)
        wanted, found = (getattr(part, name, None) for part, name in (
            (model, 'clip_frames'), (runner.train_dataloader.dataset, 'frames')))
        if wanted is not None and isinstance(found, int) and found != wanted:
            raise ConfigError(f'train_dataloader.dataset has clips of {found} frames, and the network learns from '
                              f'{wanted}; set frames={wanted}, or take another network')
        self.teachers.start(model)
        if runner.iter > 0:
            needed, teacher = bool(self.teachers.state_dict()), type(self.teachers).__name__
            if needed != (self._loaded is not None):
                story = f'no {TEACHER_STATE!r}, which {teacher} needs to go on' if needed else (
                    f'a {TEACHER_STATE!r} of another teacher than {teacher}')
                raise CheckpointError(f'the checkpoint that is resumed has {story}; resume with the teacher that the '
                                      'run began with, or start again in a new work dir')
            if self._loaded is not None:
                fault = state_fault(self._loaded, self.teachers.state_dict(), TEACHER_STATE)
                if fault:
                    raise CheckpointError(f'the checkpoint that is resumed is damaged, {fault}; delete it to go on '
                                          'from an older one, or start again in a new work dir')
                self.teachers.load_state_dict(self._loaded)
        self._loaded = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Make the labels of the round that begins, unless they are there."""
        root = self.store_root(runner.work_dir, runner.epoch)
        data = runner.train_dataloader.dataset
        if not hasattr(data, 'set_labels'):
            raise ConfigError(f'train_dataloader.dataset ({type(data).__name__}) cannot be pointed at labels; give it '
                              'a method set_labels(root), which takes the folder of a label store before each round')
        if self._must_label(runner):
            try:
                self.label(runner, root)
            except (NoLabelsError, TeacherError) as error:
                self._end_rounds(runner, root, error)
                return
        else:
            learned_from = runner.message_hub.runtime_info.get(LABELS_INFO, {}).get('teacher')
            check_same_labels(root, Path(runner.work_dir), learned_from, self.dataset, self.teachers)
        data.set_labels(str(root))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Show the source of the teachers what the step made of the student."""
        self.teachers.update(model_of(runner), runner.iter + 1)

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Keep what the source of the teachers needs to go on."""
        state = self.teachers.state_dict()
        if state:
            checkpoint[TEACHER_STATE] = state

    def label(self, runner: Runner, root: Path, part: Tuple[int, int] = (1, 1)) -> bool:
        """Stage 1, whole or a part of it: teacher, labels, store.

        Returns:
            whether the store is complete; a part alone does not make it so, and calls no ``after_label``.

        Raises:
            ConfigError: the training data need labels that would not be made, or do not say which they need.
        """
        dataset = DATASETS.build(dict(self.dataset, pipeline=[]))
        if self.labels is not None:
            store, run = given_labels(root, dataset, LABELERS.build(self.labeler), runner.train_dataloader.dataset)
            runner.logger.info(f'Stage 1: {run.labels} labels that were made before, {root}')
            promise: Dict[str, Any] = {}
        else:
            store, run, promise = self._make(runner, dataset, root, part)
        if not store.is_complete():
            runner.logger.info(f'Stage 1: part {part[0]} of {part[1]} is done; merge the stores of all parts')
            return False
        judge = judge_of(store.codec.kind)
        quality = {} if judge is None else dict(quality=judge.judge(store, dataset))
        for line, color in [] if judge is None else judge.lines(quality['quality']):
            (runner.logger.info if color == 'green' else runner.logger.warning)(f'Stage 1: {line}')
        runner.message_hub.update_info(LABELS_INFO, dict(
            store=root.name if self.labels is None else str(root.resolve()), labels=run.labels,
            teacher=store.fingerprint['teacher'], labelled_by=str(store.manifest['extra'].get(LABELLED_BY, '')),
            seconds=round(run.seconds, 1), round=runner.epoch, summary=label_summary(store), **quality, **promise))
        runner.message_hub.update_scalar('train/label_kept', run.kept)
        runner.call_hook('after_label', run=run, store=store, round_=runner.epoch)
        return True

    def _make(self, runner: Runner, dataset: Any, root: Path,
              part: Tuple[int, int]) -> Tuple[LabelStore, LabelRun, Dict[str, Any]]:
        """The store with the labels that this call adds, what was done, and what the labels promise."""
        student, labeler = model_of(runner), LABELERS.build(self.labeler)
        teacher: Any = self.teachers.frozen(student)
        check_labelled(runner.train_dataloader.dataset, dataset, labeler)
        device = next(student.parameters()).device
        fingerprint = label_fingerprint(teacher, labeler, dataset, mmrefine.__version__, self.batch_size)
        promise: Dict[str, Any] = {}
        if self.calibrate is not None:
            kept_in = root.with_name(f'{root.name}_calibration.json')
            found = calibrate_labeler(teacher, self.labeler, dataset, self.calibrate, kept_in, fingerprint, str(device),
                                      runner.logger.info)
            labeler, promise = LABELERS.build(found.apply(self.labeler)), dict(calibration=found.summary())
            fingerprint['labeler'] = digest_of(labeler.describe())  # the rest is read off all frames and weights
        store = LabelStore(root, fingerprint)
        dtype = getattr(teacher, 'dtype', 'float32')
        if dtype != 'float32' and not has_fast_bfloat16(device.type):
            runner.logger.warning(f'Stage 1: teacher_dtype={dtype!r} takes several times as long as float32 on this '
                                  "CPU, and its labels are less exact; leave it out, or set it to 'float32'")
        runner.logger.info(f'Stage 1: labels of {len(dataset.units)} {name_units(dataset.units)} to {root}')
        run = make_labels(teacher, labeler, dataset, store, self.batch_size, self.min_kept, part,
                          device=str(device), log=runner.logger.info, labelled_by=self._labelled_by(runner))
        kept = 'tracks kept' if store.codec.kind == 'tracks' else 'mean weight'
        runner.logger.info(f'Stage 1: {run.labels} labels ({run.made} made now) in {run.seconds:.0f} s; {kept} '
                           f'{run.kept:.1%}')
        return store, run, promise

    def _labelled_by(self, runner: Runner) -> str:
        """Who labels, for people: the name of each teacher, if it is not the student, and the verifier, if any."""
        network = type(getattr(model_of(runner), 'estimator', model_of(runner))).__name__
        own = f'{network}, the student after {runner.iter} steps'
        if runner.iter == 0 and runner._load_from:
            own = f'{network} with the weights of {Path(runner._load_from).name}'
        names = ' and '.join(str(getattr(one, 'name', '') or own) for one in members_of(self.teachers))
        verifier: Mapping[str, Any] = (self.labeler.get('view') or {}).get('verifier') or {}
        return names + (f', weighed by {Path(verifier["checkpoint"]).name}' if verifier.get('checkpoint') else '')

    def _end_rounds(self, runner: Runner, root: Path, error: MMRefineError) -> None:
        """Let a run end without the round that has no labels; what the rounds before gave is handed back or judged.

        Raises:
            NoLabelsError, TeacherError: it is the first round, or the student of the round before cannot be used as a
                teacher, and no guard would notice.
        """
        if runner.epoch == 0:
            raise error
        together(lambda: _remove_unfinished(root))
        if isinstance(error, TeacherError) and not any(getattr(hook, 'can_refuse', False) for hook in runner.hooks):
            raise TeacherError(f'the teacher of round {runner.epoch} has diverged: {error}; lower the learning rate or '
                               'the number of rounds, or let a RegressionGuardHook judge what the rounds before gave, '
                               'and start again in a new work dir') from error
        runner.logger.warning(f'Stage 1: round {runner.epoch} has no labels to learn from, so the rounds end here, '
                              f'with what the rounds before gave: {error}')
        runner.train_loop.stop_training = True
        runner.call_hook('after_no_labels', reason=str(error), round_=runner.epoch)

    def _must_label(self, runner: Runner) -> bool:
        """Whether a round with labels of its own begins: not within a resumed round, not after the first if once."""
        begins = runner.iter == 0 or runner.train_loop.last_iter_of(runner.epoch - 1) == runner.iter
        return begins and (runner.epoch == 0 or self.relabel == 'every_round')


def _remove_unfinished(root: Path) -> None:
    """Remove the labels of a round that will not be completed; a complete store stays, for people to look at."""
    if is_main_process() and not (root / MANIFEST).exists():
        shutil.rmtree(root, ignore_errors=True)

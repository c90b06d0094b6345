"""Checkpoints that a kill or a full disk cannot break."""
from __future__ import annotations

import copy
import os
import secrets
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner, find_latest_checkpoint

from mmrefine.engine.hooks.pseudo_label_hook import LABELS_INFO
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO, LOOKS_INFO
from mmrefine.engine.hooks.report_hook import RUN_INFO
from mmrefine.engine.hooks.rounds_hook import ROUNDS_INFO
from mmrefine.engine.hooks.weights_hook import ORIGINAL_INFO
from mmrefine.engine.optim.bfloat16 import BFloat16OptimWrapper
from mmrefine.engine.runtime.resume_point import LAST_CHECKPOINT, named_checkpoint, resume_fault
from mmrefine.engine.runtime.state_fault import Each, Entries, Tried
from mmrefine.errors import CheckpointError
from mmrefine.fileio.atomic import TEMP_PREFIX, TEMP_SUFFIX, write_bytes, write_errors, write_failure
from mmrefine.registry import HOOKS

# what hooks keep in the message hub for a run that goes on
_INFO: Dict[str, Any] = {
    RUN_INFO: Entries(dict(train_seconds=0., labels_seconds=0.)),
    LABELS_INFO: Entries(
        dict(store='', teacher='', labelled_by='', labels=0, summary=dict, calibration=dict, quality=Entries(
            dict(verdict='', scenes=Each(Entries(dict(verdict=''), needed=('verdict', )), dict)),
            needed=('verdict', 'scenes'))),
        needed=('store', 'labels', 'summary')),
    GUARD_INFO: Entries(dict(verdict='', reason=''), needed=('verdict', 'reason')),
    LOOKS_INFO: Each(Entries(dict(iter=0, change_percent=float), needed=('iter', 'change_percent'))),  # it may be nan
    ROUNDS_INFO: Each(Entries(dict(round=0), needed=('round', ))),
    ORIGINAL_INFO: '',
    'keep_ckpt_ids': Each(0),
}


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's hook, except that at any moment the work dir holds a whole checkpoint and a ``last_checkpoint`` that
    names it.

    MMEngine removes an old checkpoint before it writes the new one, and writes both files in place: a kill in between
    leaves nothing to resume from. Here the new one is written first, under a hidden name, and takes its name in one
    step; then ``last_checkpoint``; then the oldest goes. Beside the interval, the last step of a round is always saved,
    so that a resumed run labels the next round with the very weights that the killed one had; so is the last one before
    Ctrl-C, if checkpoints count steps. A work dir that was moved or copied goes on from its own checkpoint. For work
    dirs on a local file system.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; what was there before is untouched.
    """

    def before_run(self, runner: Runner) -> None:
        """Let ``last_checkpoint`` name the file in the work dir, which may have been moved or copied since then."""
        if is_main_process():
            note = Path(runner.work_dir, LAST_CHECKPOINT)
            named = named_checkpoint(note)
            if named is not None and note.read_bytes().strip() != os.fsencode(named):
                with write_errors(note, CheckpointError):
                    write_bytes(note, os.fsencode(named))
        barrier()

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Refuse a checkpoint that MMEngine would stumble over, or run code of, when it resumes from it.

        Raises:
            CheckpointError: says what is missing.
        """
        if runner._resume:
            fault = resume_fault(checkpoint, wanted_state(runner))
            if fault:
                raise CheckpointError(f'{runner._load_from or find_latest_checkpoint(runner.work_dir)}: the run cannot '
                                      f'go on from it, {fault}; go on from another checkpoint, or start again in a new '
                                      'work dir')
            reduced = (checkpoint.get('optimizer') or {}).get('reduced_precision')
            if reduced and not isinstance(runner.optim_wrapper, BFloat16OptimWrapper):
                runner.logger.warning('This run began in bfloat16 and goes on as optim_wrapper says, so it ends with '
                                      'other weights than without the stop; --amp auto goes on in bfloat16')

    def before_train(self, runner: Runner) -> None:
        """Remove temporary files of a killed run."""
        super().before_train(runner)
        self._saved_step: Optional[int] = None
        if is_main_process():
            for leftover in Path(self.out_dir).glob(f'{TEMP_PREFIX}*{TEMP_SUFFIX}'):
                leftover.unlink(missing_ok=True)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save after an interval, after a round, and at the end."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        last_iter_of = getattr(runner.train_loop, 'last_iter_of', None)
        if last_iter_of is None or self.by_epoch:
            return
        if self._saved_step != runner.iter + 1 == last_iter_of(runner.epoch):
            self._save_checkpoint(runner)

    def on_interrupt(self, runner: Runner) -> None:
        """Save the step that has just ended, unless it is saved."""
        if not self.by_epoch and self._saved_step != runner.iter:
            self._save_checkpoint_with_step(runner, runner.iter, meta=dict(epoch=runner.epoch, iter=runner.iter))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: Dict[str, Any]) -> None:
        outdated = self._outdated_by(runner, step)
        path = Path(self.out_dir, self.filename_tmpl.format(step))
        self._saved_step, self.last_ckpt = step, str(path)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        temp = path.parent / f'{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}'
        try:
            runner.save_checkpoint(  # acts in the main process only
                str(temp.parent),
                temp.name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                **self.args)
            if is_main_process():
                _sync(temp)
                os.replace(temp, path)
                write_bytes(Path(runner.work_dir, LAST_CHECKPOINT), os.fsencode(path))
                for old in outdated:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(write_failure(path, error)) from error
        finally:
            if is_main_process():
                temp.unlink(missing_ok=True)

    def _outdated_by(self, runner: Runner, step: int) -> List[Path]:
        """The checkpoints to remove once ``step`` is saved; the others are noted in the message hub, for resuming."""
        if self.max_keep_ckpts < 1:
            return []
        kept = [old for old in self.keep_ckpt_ids if old != step] + [step]
        outdated, kept = kept[:-self.max_keep_ckpts], kept[-self.max_keep_ckpts:]
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(kept)
        runner.message_hub.update_info('keep_ckpt_ids', kept)
        return [Path(self.out_dir, self.filename_tmpl.format(old)) for old in outdated]


def wanted_state(runner: Runner) -> Dict[str, Any]:
    """Examples of what must be in a checkpoint for a run to go on from it, see
    :func:`~mmrefine.engine.runtime.state_fault.state_fault`.

    Args:
        runner: whose optimiser and schedules are built here if they are not yet.
    """
    wanted: Dict[str, Any] = dict(
        meta=Entries(dict(seed=0)),
        message_hub=Entries(dict(log_scalars=Each(HistoryBuffer(), dict), runtime_info=Entries(_INFO),
                                 resumed_keys=Each(bool, dict))))
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if runner.optim_wrapper is None:  # it trains nothing
        return wanted
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    if getattr(hook, 'save_optimizer', False):
        several = isinstance(runner.optim_wrapper, OptimWrapperDict)
        wanted['optimizer'] = dict if several else _optimizer_state(runner.optim_wrapper)
    built = runner.param_schedulers
    if getattr(hook, 'save_param_scheduler', False) and built:
        wanted['param_schedulers'] = {
            name: [one.state_dict() for one in some] for name, some in built.items()
        } if isinstance(built, dict) else [one.state_dict() for one in built]
    return wanted


def _optimizer_state(wrapper: OptimWrapper) -> Tried:
    """What the state of an optimiser looks like after a step, and that it can make another; parameters that got no
    gradient have none."""
    stepped = copy.deepcopy(wrapper.optimizer)
    _step(stepped)
    state = stepped.state_dict()
    known = {**wrapper.state_dict(), 'state': Entries(state['state']), 'param_groups': state['param_groups']}
    known.pop('reduced_precision', None)  # of BFloat16OptimWrapper, which goes on from states of another wrapper, too

    def use(found: Any) -> None:
        groups = [group['params'] for group in state['param_groups']]
        if [group['params'] for group in found['param_groups']] != groups:
            raise ValueError('its groups have other parameters')
        another = copy.deepcopy(wrapper.optimizer)
        # of a copy, as it keeps the tensors that it is given, and changes them
        another.load_state_dict(copy.deepcopy({key: found[key] for key in ('state', 'param_groups')}))
        _step(another)

    return Tried(Entries(known, needed=tuple(known)), use)


def _step(optimizer: torch.optim.Optimizer) -> None:
    """A step on gradients of 0; ValueError where it leaves weights that are not finite."""
    weights = [weight for group in optimizer.param_groups for weight in group['params']]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise ValueError('a step with it leaves weights that are not finite')


def _sync(path: Path) -> None:
    """Wait until the file has reached the disk."""
    with open(path, 'rb') as file:
        os.fsync(file.fileno())

"""Stock weights in, stock weights out."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.engine.runtime.processes import model_of
from mmrefine.errors import CheckpointError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.digest import digest_of_state
from mmrefine.models import estimator_state, meta_of
from mmrefine.registry import HOOKS
from mmrefine.report import keeps_original

# in the message hub, so that checkpoints remember what the run began with
ORIGINAL_INFO = 'mmrefine_original'


@HOOKS.register_module()
class WeightsHook(Hook):
    """Loads any checkpoint of the network strictly, and leaves the refined network as a stock checkpoint.

    MMEngine's loader skips what it does not know; a network would then start from random weights without a word. Here
    ``load_from`` may be a stock mmflow checkpoint, a ``refined.pth`` or a training checkpoint of this package, and must
    fit.

    Args:
        out: file name of the network that is handed back, in the work dir: a plain state dict plus meta, for the
            unmodified stock config, if mmflow has that network. ``meta['refined']`` is False if the guard handed back
            the original network, and ``meta['learned_with']`` is what features must be used with, see
            :meth:`~mmrefine.models.CorrespondenceLearner.learned_with`.
        before: file name of the original network, in the same form; written once the labels are accepted, read by the
            report.
    """
    priority = 'ABOVE_NORMAL'  # the files are there when the report is made

    def __init__(self, out: str = 'refined.pth', before: str = 'teacher.pth') -> None:
        self.out, self.before = out, before

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Bring the state dict to our names, or refuse it.

        Raises:
            CheckpointError: it belongs to another network, whose missing and unexpected keys it names, or its features
                were learned with other settings.
        """
        model = model_of(runner)
        source = runner._load_from or find_latest_checkpoint(runner.work_dir) or 'the checkpoint'
        state = estimator_state(model, checkpoint, source=str(source))
        checkpoint['state_dict'] = {f'estimator.{key}': value for key, value in state.items()}

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Note in a training checkpoint what its weights must be used with."""
        checkpoint['meta'].update(meta_of(model_of(runner)))

    def before_train(self, runner: Runner) -> None:
        """Refuse a run that goes on beside another original network than the one that it began with.

        Raises:
            CheckpointError: the file of the original network is damaged, or another.
        """
        path, known = Path(runner.work_dir, self.before), runner.message_hub.runtime_info.get(ORIGINAL_INFO)
        if runner.iter == 0 or known is None or not path.is_file():
            return
        if digest_of_state(estimator_state(model_of(runner), load_checkpoint_file(path), str(path))) != known:
            raise CheckpointError(f'{path}: is not the original network that this run began with, and the student '
                                  'would be compared with it; put that file back, or start again in a new work dir')

    def before_train_epoch(self, runner: Runner) -> None:
        """Keep the original network; after the labels, which may refuse the run, and not where a run is resumed."""
        if runner.iter == 0:
            self._save(runner, self.before, refined=False)
            runner.message_hub.update_info(ORIGINAL_INFO, digest_of_state(model_of(runner).estimator.state_dict()))

    def after_train(self, runner: Runner) -> None:
        """Write the network that is handed back; if nothing was trained, the original one under both names."""
        if runner.iter == 0:
            self._save(runner, self.before, refined=False)
        kept = keeps_original(runner.message_hub.runtime_info.get(GUARD_INFO) or {})
        path = self._save(runner, self.out, refined=not kept)
        what = 'The original network, which the guard hands back' if kept else 'The refined network'
        runner.logger.info(f'{what}: {path}')

    def _save(self, runner: Runner, name: str, refined: bool) -> Path:
        model = model_of(runner)
        state = {key: value.detach().cpu().clone() for key, value in model.estimator.state_dict().items()}
        path = Path(runner.work_dir) / name
        if is_main_process():
            save_checkpoint(path, dict(state_dict=state, meta=meta_of(model, iter=runner.iter, refined=refined)))
        return path

"""What came of each round of labels and training."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefine.engine.hooks.regression_guard_hook import LOOKS_INFO
from mmrefine.engine.stage1.agreement import label_agreement
from mmrefine.engine.stage1.run import LabelRun
from mmrefine.errors import MMRefineError
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.registry import HOOKS
from mmrefine.report import round_line

# in the message hub, so that a resumed run and the report know all rounds
ROUNDS_INFO = 'mmrefine_rounds'
LOOK = ('change_percent', 'interval_percent', 'verdict', 'why')  # what the guard says of a round


@HOOKS.register_module()
class RoundsHook(Hook):
    """Keeps a record of each round: what its labels keep, how far they agree with those of the round before
    (:func:`~mmrefine.engine.stage1.agreement.label_agreement`), what the guard found at its end, and how long it took.

    The log gets a line for each round, the report a table. A run of one round has no record.
    """
    priority = 'LOW'  # after the guard has compared, before the checkpoint

    def __init__(self) -> None:
        self._records: List[Dict[str, Any]] = []
        self._is_on = False
        self._began: Optional[float] = None  # the part of the training of this round that this process has seen

    def before_train(self, runner: Runner) -> None:
        """Go on with the records of a resumed run."""
        self._is_on = getattr(runner.train_loop, 'rounds', 1) > 1
        known = runner.message_hub.runtime_info.get(ROUNDS_INFO, []) if runner.iter > 0 else []
        self._records = [dict(one) for one in known]
        if self._is_on:
            runner.message_hub.update_info(ROUNDS_INFO, self._records)

    def after_label(self, runner: Runner, run: LabelRun, store: LabelStore, round_: int) -> None:
        """Note what was labelled, and compare it with the labels of the round before."""
        if self._is_on:
            before = next((one.get('store') for one in self._records if one['round'] == round_ - 1), None)
            self._record(round_).update(
                store=store.root.name, labels=run.labels, kept=round(run.kept, 6), labels_seconds=round(run.seconds, 1),
                agreement=None if before is None else self._agreement(runner, Path(runner.work_dir, before), store))

    def after_no_labels(self, runner: Runner, reason: str, round_: int) -> None:
        """Note why a round was not trained."""
        if self._is_on:
            record = self._record(round_)
            record.update(verdict='not trained', why=reason)
            runner.logger.info(f'Rounds: {round_line(record)}')

    def before_train_epoch(self, runner: Runner) -> None:
        """The training of a round begins; the priority puts it behind the labels."""
        if self._is_on:
            self._record(runner.epoch)
            self._began = time.monotonic()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Close the record of a round with its last step, before the checkpoint of that step is written."""
        if self._is_on and runner.iter + 1 == runner.train_loop.last_iter_of(runner.epoch):
            self._close(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Close the record of a round that was ended on the way."""
        if self._is_on and 'verdict' not in self._record(runner.epoch):
            self._close(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Keep the time so far, to which a run that goes on from there adds its own.

        The message hub has been copied into the checkpoint by now.
        """
        if self._is_on:
            kept = checkpoint['message_hub']['runtime_info'][ROUNDS_INFO]
            kept[-1]['train_seconds'] = self._seconds(kept[-1])

    def _close(self, runner: Runner, done: int) -> None:
        record = self._record(runner.epoch)
        looks = runner.message_hub.runtime_info.get(LOOKS_INFO, [])
        look: Mapping[str, Any] = next((one for one in looks if one['iter'] == done), {})
        record.update(iter=done, train_seconds=self._seconds(record), verdict='not compared',
                      why='no comparison by the guard')
        record.update({key: look[key] for key in LOOK if key in look})
        self._began = None
        runner.logger.info(f'Rounds: {round_line(record)}')

    def _seconds(self, record: Mapping[str, Any]) -> float:
        now = 0. if self._began is None else time.monotonic() - self._began
        return float(round(record.get('train_seconds', 0.) + now, 1))

    def _record(self, round_: int) -> Dict[str, Any]:
        """The record of a round, a new one if it has none."""
        found = next((one for one in self._records if one['round'] == round_), None)
        if found is None:
            found = dict(round=round_)
            self._records.append(found)
        return found

    @staticmethod
    def _agreement(runner: Runner, before: Path, store: LabelStore) -> Optional[Dict[str, Any]]:
        """None also where the labels before cannot be read any more, which costs no run."""
        try:
            return label_agreement(LabelStore.open(before), store)
        except MMRefineError as error:
            runner.logger.warning(f'Rounds: the labels are not compared with those of the round before: {error}')
            return None

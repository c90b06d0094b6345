"""The students that the guard compares on the way, and the best of them."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine.dist import is_main_process

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine.guard.candidates import Candidate, State, verdict_on_the_way
from mmrefine.errors import CheckpointError
from mmrefine.fileio.atomic import PathLike, save_checkpoint

BEST = 'guard_best.pth'  # in the work dir


class Looks:
    """What the guard found on the way, in order, and the best student so far: its weights are kept in a file.

    A student is better than another if it alone is surely better than the original network, and else if its score is
    better. One that something speaks against is never the best. However many students are compared, one is kept.

    Args:
        folder: the work dir.
        found: the records of the part of the run that this one goes on from.
    """

    def __init__(self, folder: PathLike, found: Sequence[Mapping[str, Any]] = ()) -> None:
        self.path = Path(folder, BEST)
        self.records: List[Dict[str, Any]] = [dict(one) for one in found]
        self.best: Optional[Tuple[int, State]] = None  # optimiser steps, weights

    def reload(self, state_of: Callable[[Mapping[str, Any], str], State]) -> None:
        """Read the best student of the part of the run that this one goes on from; one of a later step comes again.

        Args:
            state_of: the weights in a checkpoint, which is the first argument; the second is its name for messages.

        Raises:
            CheckpointError: the file is damaged, or of another network.
        """
        if not self.records or not self.path.is_file():
            return
        found = load_checkpoint_file(self.path)
        try:
            done = int(found['meta']['iter'])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f'{self.path}: does not say after which step it was taken; delete it') from error
        if self._record(done) is not None:
            self.best = done, state_of(found, str(self.path))

    def add(self, one: Candidate, weights: State) -> None:
        """Note what was found of a student, and keep its weights if it is the best so far."""
        verdict, why = verdict_on_the_way(one)
        self.records.append(dict(iter=one.iter, **one.comparison.to_dict(), objection=one.objection, verdict=verdict,
                                 why=why, losses=[float(loss) for loss in one.losses]))
        best = None if self.best is None else self._record(self.best[0])
        if one.objection is not None or (best is not None and _rank(best) <= _rank(self.records[-1])):
            return
        state = {key: value.detach().cpu().clone() for key, value in weights.items()}
        self.best = one.iter, state
        if is_main_process():
            save_checkpoint(self.path, dict(state_dict=state, meta=dict(loss=one.loss, iter=one.iter)))

    @property
    def best_iter(self) -> int:
        """After how many steps the best student was taken; 0: there is none."""
        fit = [one for one in self.records if one.get('objection') is None]
        return int(min(fit, key=_rank)['iter']) if fit else 0

    @property
    def since_best(self) -> int:
        """How many students were compared after the best one; all, if there is none."""
        return sum(one['iter'] > self.best_iter for one in self.records)

    def losses(self, samples: int) -> List[List[float]]:
        """The losses of all students that were compared on so many samples."""
        return [one['losses'] for one in self.records if len(one.get('losses', ())) == samples]

    def _record(self, done: int) -> Optional[Dict[str, Any]]:
        return next((one for one in self.records if one['iter'] == done), None)


def _rank(record: Mapping[str, Any]) -> Tuple[bool, float]:
    """Sorts from the best on."""
    return record.get('verdict') != 'accepted', float(record['change_percent'])

"""Stage 1 tells what it will take after a few pairs, and refuses what cannot fit before hours are spent."""
from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from mmengine.dist import all_gather_object

from mmrefine.engine.runtime.machine import Machine
from mmrefine.engine.runtime.processes import together
from mmrefine.engine.stage1.forecast import Forecast, Measured, expected_peak, forecast, size_text, together_take
from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.fileio.store.layout import FLOW, STATS, WEIGHT, label_path
from mmrefine.geometry import FramePad
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FrozenTeacher
from mmrefine.models.raft_fast.correlation import corr_bytes
from mmrefine.models.raft_fast.two_way import runs_two_way

# pairs that are measured, and the most left for which a forecast is not worth a line
FEW = 3


class Outlook:
    """Measures the first batches of a run, tells what the run takes, and refuses what cannot fit before hours are spent.

    All processes of a run call :meth:`begin` and :meth:`judge`, whatever they have to do. Nothing here changes a label.

    Args:
        teacher: frozen.
        labeler: of the run.
        dataset: whose ``sources``, if it has any, know the size of the frames of each scene. Without them all are taken to be equal.
        root: folder of the label store.
        batches: of this process, indices into ``dataset.pairs``.
        machine: what there is of memory and disk.
        log: called with one line (rank 0); None elsewhere.
    """

    def __init__(self, teacher: FrozenTeacher, labeler: FlowLabeler, dataset: Any, root: Path, batches: Sequence[Sequence[int]],
                 machine: Machine, log: Optional[Callable[[str], None]]) -> None:
        self.teacher, self.labeler, self.dataset, self.root = teacher, labeler, dataset, root
        self.batches, self.machine, self.log = batches, machine, log
        pairs = [sum(map(len, batches[:few])) for few in range(len(batches) + 1)]
        # two at least: the first one warms up
        self.few = next((few for few in range(2, len(pairs)) if pairs[few] >= FEW), len(batches))
        self.measured: List[Measured] = []
        self._sizes: Dict[str, Tuple[int, int]] = {}
        self._processes = 1  # of this run on this machine
        self._peak_before: Optional[int] = None
        self._corr_most = 0
        self._corr_known: Dict[Tuple[Tuple[int, int], int], int] = {}  # by size and pairs: there may be thousands of batches

    def begin(self) -> None:
        """Look at the sizes of the frames before the first pair.

        Raises:
            ConfigError: the correlation alone cannot fit; in all processes if it is so in one.
            InputError: a scene that cannot be opened.
        """
        name = platform.node()
        self._processes = all_gather_object(name).count(name)
        together(self._begin)

    def add(self, batch: Sequence[int], keys: Sequence[str], seconds: float) -> None:
        """What a batch took, whose labels have these keys in the store."""
        paths = [label_path(self.root, key, suffix) for key in keys for suffix in (FLOW, WEIGHT, STATS)]
        self.measured.append(Measured(len(batch), self._pixels(batch), seconds, sum(map(_bytes_of, paths))))

    def judge(self) -> None:
        """Tell what the run takes; worth it only if more than a few pairs are left.

        Raises:
            LabelStoreError: the labels still to come do not fit on the disk.
            ConfigError: a process needs more memory than there is. Both are raised in all processes.
        """
        share = self.share()
        whole = together_take(all_gather_object(share))
        if whole is None or whole.pairs_left <= FEW:
            return
        if self.log is not None:
            self.log(whole.line(self.machine.memory))
        together(lambda: self._refuse(whole, share))

    def share(self) -> Optional[Forecast]:
        """What this process takes; None if it has measured nothing."""
        if not self.measured:
            return None
        left = [(len(batch), self._pixels(batch)) for batch in self.batches[self.few:]]
        seen = max(one.pixels for one in self.measured)
        growth = max((pixels for _, pixels in left), default=0) / seen
        return forecast(self.measured, left, self._expected_peak(growth))

    def _begin(self) -> None:
        sources = getattr(self.dataset, 'sources', None)
        if isinstance(sources, Mapping):
            scenes = {self._scene(batch): None for batch in self.batches}
            self._sizes = {scene: sources[scene].size for scene in scenes}
        self._peak_before = self.machine.peak()
        self._corr_most = max(map(self._corr, self.batches), default=0)
        room, resident = self.machine.capacity(self._processes), self.machine.resident()
        if room is None or resident is None or not self.batches:
            return
        if 0 < self._corr_most > room - resident:
            height, width = self._sizes[self._scene(max(self.batches, key=self._corr))]
            raise ConfigError(f'{self.root}: the correlation of frames of {height}x{width} px takes {size_text(self._corr_most)}, and of '
                              f'{self.machine.memory} there are {size_text(max(room - resident, 0))} left; {self._remedy()}')
        limit = self.teacher.refiner.max_corr_bytes
        two_way = runs_two_way(self.teacher.refiner.estimator)
        if self.log is not None and two_way and self._corr_most == 0 and limit > room - resident:
            self.log(f'Stage 1: model.max_corr_bytes={limit} ({size_text(limit)}) is more than the {size_text(max(room - resident, 0))} of '
                     f'{self.machine.memory} there are; a large frame may take them all')

    def _refuse(self, whole: Forecast, share: Optional[Forecast]) -> None:
        free = self.machine.free_disk(self.root)
        if free is not None and whole.disk_left > free:
            raise LabelStoreError(f'{self.root}: the labels of {whole.pairs_left} pairs still to come take about '
                                  f'{size_text(whole.disk_left)}, and the disk has {size_text(free)} free; free some space or choose '
                                  'another work dir, then run again: what is finished is kept')
        room = self.machine.capacity(self._processes)
        peak = None if share is None else share.peak_bytes
        if peak is not None and room is not None and peak > room:
            several = f' for each of {self._processes} processes' if self._processes > 1 else ''
            raise ConfigError(f'{self.root}: the largest batch still to come takes about {size_text(peak)} of {self.machine.memory}, and '
                              f'there are {size_text(room)}{several}; {self._remedy()}')

    def _remedy(self) -> str:
        pairs = max(map(len, self.batches))
        scales = getattr(self.labeler.view, 'scales', None)
        settings = [f'batch_size of the labels (a batch has up to {pairs} pairs)'] * (pairs > 1)
        settings += [f'model.max_corr_bytes (now {self.teacher.refiner.max_corr_bytes})'] * (self._corr_most > 0)
        settings += [f'labeler.view.scales (now {scales}; other scales need a new store)'] * (scales is not None)
        either = ' or '.join(part for part in (', '.join(settings[:-1]), *settings[-1:]) if part)
        lower = f'lower {either}' if settings else 'use smaller frames'
        return f'{lower}, or take a machine with more, then run again: what is finished is kept'

    def _expected_peak(self, growth: float) -> Optional[float]:
        peak, resident = self.machine.peak(), self.machine.resident()
        if resident is None:
            return None
        if peak is None or peak == self._peak_before:
            peak = resident  # the peak is of another time, such as a training before this round
        seen = max(map(self._corr, self.batches[:self.few]))
        return expected_peak(max(peak, resident), resident, growth, seen, self._corr_most)

    def _scene(self, batch: Sequence[int]) -> str:
        return str(self.dataset.pairs[batch[0]]['scene'])

    def _pixels(self, batch: Sequence[int]) -> int:
        height, width = self._sizes.get(self._scene(batch), (1, 1))
        return len(batch) * height * width

    def _corr(self, batch: Sequence[int]) -> int:
        size = self._sizes.get(self._scene(batch))
        if size is None:
            return 0
        if (size, len(batch)) not in self._corr_known:
            self._corr_known[size, len(batch)] = correlation_bytes(self.teacher, self.labeler, size, len(batch))
        return self._corr_known[size, len(batch)]


def correlation_bytes(teacher: FrozenTeacher, labeler: FlowLabeler, size: Tuple[int, int], pairs: int) -> int:
    """Bytes of the correlation pyramids that are in memory at a time; 0 where network or view do not let one know.

    Args:
        teacher: whose network compares cells with cells, within ``max_corr_bytes``.
        labeler: whose view shows frames in ``scales``.
        size: (height, width) of the frames, px.
        pairs: in a batch, each asked both ways.
    """
    refiner = teacher.refiner
    network: Any = refiner.estimator
    scales = getattr(labeler.view, 'scales', ())
    if not scales or not runs_two_way(network):
        return 0
    most, limit = 0, refiner.max_corr_bytes
    cell = 2**(network.decoder.num_levels - 1)
    for scale in scales:
        height, width = (max(round(scale * side), min(side, 2)) for side in size)
        pad = FramePad(height, width, refiner.readout.divisor, refiner.readout.least)
        grid = ((height + pad.top + pad.bottom) // cell, (width + pad.left + pad.right) // cell)
        levels = corr_bytes(grid[0] * grid[1], grid, network.decoder.num_levels)
        alone = sum(levels)
        if alone <= limit:  # as many at a time as fit
            taken = min(2 * pairs, limit // alone) * alone
        else:               # one by one, without its fine levels
            taken = next(sum(levels[level:]) for level in range(len(levels) + 1) if sum(levels[level:]) <= limit)
        most = max(most, taken)
    return most


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # a label without weights, or folded by another run meanwhile

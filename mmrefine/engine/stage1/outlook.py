"""Stage 1 forecasts after a few batches what it will take, and refuses what cannot fit before hours are spent."""
from __future__ import annotations

import platform
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from mmengine.dist import all_gather_object

from mmrefine.engine.runtime.machine import Machine
from mmrefine.engine.runtime.processes import together
from mmrefine.engine.stage1.forecast import Forecast, Measured, combined, expected_peak, forecast, size_text
from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.structures import Labeler, LabelSource, LabelUnit, Teacher, name_units

# pairs that are measured, and the most left for which a forecast is not worth a line
FEW = 3


class Outlook:
    """Measures the first batches of a run, forecasts what the run takes, and refuses early what cannot fit.

    All processes of a run call :meth:`begin` and :meth:`judge`, whatever they have to do. Nothing here changes a label.

    Args:
        teacher: frozen; says with ``memory_settings()``, if it has that, which config keys to lower where memory does
            not suffice.
        labeler: of the run; says with ``pass_sizes(size, units)``, if it has that, in which sizes it shows frames to
            the teacher, and how many pairs at a time; and may have ``memory_settings()``, too.
        source: of the frames.
        store: of the labels.
        batches: of this process.
        machine: what there is of memory and disk.
        log: called with one line.
    """

    def __init__(self, teacher: Teacher, labeler: Labeler, source: LabelSource, store: LabelStore,
                 batches: Sequence[Sequence[LabelUnit]],
                 machine: Machine, log: Callable[[str], None]) -> None:
        self.teacher, self.labeler, self.source, self.store = teacher, labeler, source, store
        self.batches, self.machine, self.log = batches, machine, log
        pairs = [sum(map(len, batches[:few])) for few in range(len(batches) + 1)]
        # two at least: the first one warms up
        self.name = name_units([unit for batch in batches for unit in batch]).split()[-1]
        self.few = next((few for few in range(2, len(pairs)) if pairs[few] >= FEW), len(batches))
        self.measured: List[Measured] = []
        self._sizes: Dict[str, Tuple[int, int]] = {}
        self._processes = 1  # of this run on this machine
        self._peak_before: Optional[int] = None
        self._pass_most = 0
        # by size and units: there may be thousands of batches
        self._pass_known: Dict[Tuple[Tuple[int, int], int], int] = {}

    def begin(self) -> None:
        """Look at the sizes of the frames before the first batch.

        Raises:
            ConfigError: a pass of the teacher alone cannot fit; in all processes if it is so in one.
            InputError: a scene that cannot be opened.
        """
        name = platform.node()
        self._processes = all_gather_object(name).count(name)
        together(self._begin)

    def add(self, batch: Sequence[LabelUnit], keys: Sequence[str], seconds: float) -> None:
        """What a batch took, whose labels have these keys in the store."""
        self.measured.append(Measured(len(batch), self._pixels(batch), seconds, sum(map(self.store.size_of, keys))))

    def judge(self) -> None:
        """Log what the run takes; worth it only if more than a few pairs are left.

        Raises:
            LabelStoreError: the labels still to come do not fit on the disk.
            ConfigError: a process needs more memory than there is. Both are raised in all processes.
        """
        share = self.share()
        whole = combined(all_gather_object(share))
        if whole is None or whole.pairs_left <= FEW:
            return
        self.log(whole.line(self.machine.memory, self.name))
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
        self._sizes = {scene: self.source.size(scene) for scene in dict.fromkeys(map(_scene, self.batches))}
        self._peak_before = self.machine.peak()
        self._pass_most = max(map(self._pass_bytes, self.batches), default=0)
        room, resident = self.machine.capacity(self._processes), self.machine.resident()
        if room is None or resident is None or not self.batches:
            return
        if 0 < self._pass_most > room - resident:
            height, width = self._sizes[_scene(max(self.batches, key=self._pass_bytes))]
            raise ConfigError(f'{self.store.root}: a pass of the teacher over frames of {height}x{width} px takes '
                              f'{size_text(self._pass_most)}, and of {self.machine.memory} there are '
                              f'{size_text(max(room - resident, 0))} left; {self._remedy()}')

    def _refuse(self, whole: Forecast, share: Optional[Forecast]) -> None:
        free = self.machine.free_disk(self.store.root)
        if free is not None and whole.disk_left > free:
            raise LabelStoreError(f'{self.store.root}: the labels of {whole.pairs_left} {self.name} still to come take '
                                  f'about {size_text(whole.disk_left)}, and the disk has {size_text(free)} free; free '
                                  'some space or choose another work dir, then run again: what is finished is kept')
        room = self.machine.capacity(self._processes)
        peak = None if share is None else share.peak_bytes
        if peak is not None and room is not None and peak > room:
            several = f' for each of {self._processes} processes' if self._processes > 1 else ''
            raise ConfigError(f'{self.store.root}: the largest batch still to come takes about {size_text(peak)} of '
                              f'{self.machine.memory}, and there are {size_text(room)}{several}; {self._remedy()}')

    def _remedy(self) -> str:
        pairs = max(map(len, self.batches))
        settings = [f'batch_size of the labels (a batch has up to {pairs} {self.name})'] * (pairs > 1)
        for part in (self.teacher, self.labeler):
            settings += getattr(part, 'memory_settings', list)()
        either = ' or '.join(part for part in (', '.join(settings[:-1]), *settings[-1:]) if part)
        lower = f'lower {either}' if settings else 'use smaller frames'
        return f'{lower}, or take a machine with more, then run again: what is finished is kept'

    def _expected_peak(self, growth: float) -> Optional[float]:
        peak, resident = self.machine.peak(), self.machine.resident()
        if resident is None:
            return None
        if peak is None or peak == self._peak_before:
            peak = resident  # the peak is of another time, such as a training before this round
        seen = max(map(self._pass_bytes, self.batches[:self.few]))
        return expected_peak(max(peak, resident), resident, growth, seen, self._pass_most)

    def _pixels(self, batch: Sequence[LabelUnit]) -> int:
        height, width = self._sizes[_scene(batch)]
        return len(batch) * height * width

    def _pass_bytes(self, batch: Sequence[LabelUnit]) -> int:
        known = self._sizes[_scene(batch)], len(batch)
        if known not in self._pass_known:
            self._pass_known[known] = pass_bytes(self.teacher, self.labeler, *known)
        return self._pass_known[known]


def pass_bytes(teacher: Teacher, labeler: Any, size: Tuple[int, int], units: int) -> int:
    """Bytes that the largest pass of the teacher over some units, or of a network that the labeler has beside it, must
    hold at once; 0 if not known.

    Args:
        teacher: of the run.
        labeler: of the run.
        size: (height, width) of the frames, px.
        units: in a batch.
    """
    shown = labeler.pass_sizes(size, units) if hasattr(labeler, 'pass_sizes') else ()
    own = labeler.own_bytes(size, teacher) if hasattr(labeler, 'own_bytes') else 0
    return max([own, *(teacher.peak_bytes(*one) for one in shown)])


def _scene(batch: Sequence[LabelUnit]) -> str:
    return batch[0].scene

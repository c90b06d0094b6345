"""What a run will take, computed from what its first pairs took. Numbers only."""
from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple


@dataclass(frozen=True)
class Measured:
    """What one batch took.

    Args:
        pairs: in the batch.
        pixels: of frame 1 of all its pairs together.
        seconds: from reading the frames to the labels on disk.
        written: bytes of the labels' files.
    """
    pairs: int
    pixels: int
    seconds: float
    written: int


@dataclass(frozen=True)
class Forecast:
    """What a run takes, made from what its first pairs took.

    Args:
        pairs: of the run, those that were measured included.
        pairs_left: still to be labelled.
        seconds: of the whole run.
        disk_bytes: of all labels of the run.
        disk_left: of those still to be written.
        peak_bytes: most memory of a process at a time; None where the machine does not tell.
    """
    pairs: int
    pairs_left: int
    seconds: float
    disk_bytes: float
    disk_left: float
    peak_bytes: Optional[float] = None

    @property
    def minutes(self) -> float:
        """Of the whole run."""
        return self.seconds / 60

    def line(self, memory: str = 'memory', name: str = 'pairs') -> str:
        """The forecast for the log; ``memory`` is what to call it, ``name`` what to call the units."""
        peak = [] if self.peak_bytes is None else [f'{size_text(self.peak_bytes)} {memory}']
        parts = [time_text(self.seconds), *peak, f'{size_text(self.disk_bytes)} disk']
        return f'Stage 1: forecast: {", ".join(parts)} for {self.pairs} {name}'


def forecast(measured: Sequence[Measured], left: Sequence[Tuple[int, int]],
             peak_bytes: Optional[float] = None) -> Forecast:
    """What a process takes for its batches; time and disk grow like the pixels of a frame.

    Args:
        measured: its first batches, in their order, at least one. The first of several warms up and counts in no rate
            of time.
        left: (pairs, pixels) of each batch to come.
        peak_bytes: see :func:`expected_peak`.
    """
    pace = statistics.median(one.seconds / one.pixels for one in measured[1:] or measured)
    written = sum(one.written for one in measured)
    pixels_left = sum(pixels for _, pixels in left)
    disk_left = written / sum(one.pixels for one in measured) * pixels_left
    pairs_left = sum(pairs for pairs, _ in left)
    return Forecast(
        pairs=sum(one.pairs for one in measured) + pairs_left,
        pairs_left=pairs_left,
        seconds=sum(one.seconds for one in measured) + pace * pixels_left,
        disk_bytes=written + disk_left,
        disk_left=disk_left,
        peak_bytes=peak_bytes)


def expected_peak(peak: float, resident: float, growth: float, pass_seen: float, pass_most: float) -> float:
    """Most bytes at a time if batches still come that are larger than those measured.

    What stays between batches does not grow, what a pass of the teacher must hold grows as known, and the rest like the
    pixels.

    Args:
        peak: measured, bytes.
        resident: between two batches, bytes.
        growth: pixels of the largest batch to come over those of the largest measured.
        pass_seen: what a pass must hold in the measured batches, bytes; 0 if unknown.
        pass_most: the same for all batches.
    """
    rest = max(peak - resident - pass_seen, 0.)
    return peak + rest * (max(growth, 1.) - 1.) + max(pass_most - pass_seen, 0.)


def combined(shares: Sequence[Optional[Forecast]]) -> Optional[Forecast]:
    """The forecast of processes that work side by side; those without one (nothing to do) count for nothing."""
    known = [share for share in shares if share is not None]
    if not known:
        return None
    return Forecast(
        pairs=sum(share.pairs for share in known),
        pairs_left=sum(share.pairs_left for share in known),
        seconds=max(share.seconds for share in known),
        disk_bytes=sum(share.disk_bytes for share in known),
        disk_left=sum(share.disk_left for share in known),
        peak_bytes=max((share.peak_bytes for share in known if share.peak_bytes is not None), default=None))


def size_text(size: float) -> str:
    """Bytes with a decimal unit and one digit behind the point: ``2.1 GB``."""
    for unit, factor in (('TB', 1e12), ('GB', 1e9), ('MB', 1e6)):
        if size >= factor:
            return f'{size / factor:.1f} {unit}'
    return f'{size / 1e3:.1f} kB'


def time_text(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3 h 05 min``; rounded up."""
    if seconds <= 60:
        return f'{-int(-seconds // 1)} s'
    minutes = -int(-seconds // 60)
    return f'{minutes} min' if minutes < 120 else f'{minutes // 60} h {minutes % 60:02d} min'

"""Scores of tracks without ground truth: do they come back, and does what they are on keep its colour?

They hint, they do not prove: tracks that stand still come back too.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Dict, Tuple

from torch import Tensor

from mmrefine.evaluation.tallies import Sums
from mmrefine.geometry import points_inside, sample_along, track_speed
from mmrefine.structures.figures import LABEL_FREE, Figure

RETURNED_PX = 1.5  # at every step, as the labels of CroHD (Refine, Sun et al. 2024)


@dataclass(frozen=True)
class LabelFreeTrackTally(Sums):
    """What one or many clips add to the label-free scores of tracks; tallies are added, never averaged.

    ``tracks`` counts all, ``inside`` those that stay in the frame, ``judged`` the clips that have any of these.
    """
    figures: ClassVar[Tuple[Figure, ...]] = (
        Figure('cycle_median', 'px', 'lower', True, 'cycle error, median', 'main', decided_by=LABEL_FREE),
        Figure('cycle_mean', 'px', 'lower', title='cycle error, mean', decided_by=LABEL_FREE),
        Figure('returned', '%', 'higher', title=f'return within {RETURNED_PX:g} px', table='main',
               decided_by=LABEL_FREE),
        Figure('inside', '%', title='stay in the frame', decided_by=LABEL_FREE),
        Figure('color_residual', 'grey levels', 'lower', title='colour residual', table='main', decided_by=LABEL_FREE),
        Figure('speed', 'px', title='mean speed, a frame', decided_by=LABEL_FREE),
    )
    clips: int = 0
    judged: int = 0
    tracks: int = 0
    inside: int = 0
    returned: int = 0
    cycle_sum: float = 0.
    cycle_medians: float = 0.
    color_sum: float = 0.
    speed_sum: float = 0.

    @property
    def size(self) -> int:
        """Clips in which any track stays in the frame; the headline is a mean over them."""
        return self.judged

    def scores(self) -> Dict[str, float]:
        """The scores by name; nan where no track stays in the frame.

        Of each track its largest cycle error counts. ``cycle_median`` (px, mean over the clips of their medians),
        ``cycle_mean`` (px), ``color_residual`` (mean difference from the colour at the query, grey levels of 255) and
        ``speed`` (px a frame) run over the tracks that stay in the frame; ``returned`` and ``inside`` are % of all.
        """
        none = float('nan')
        return {
            'cycle_median': self.cycle_medians / self.judged if self.judged else none,
            'cycle_mean': self.cycle_sum / self.inside if self.inside else none,
            'returned': 100 * self.returned / self.tracks if self.tracks else none,
            'inside': 100 * self.inside / self.tracks if self.tracks else none,
            'color_residual': self.color_sum / self.inside if self.inside else none,
            'speed': self.speed_sum / self.inside if self.inside else none,
        }


def tally_label_free_tracks(frames: Tensor, there: Tensor, back: Tensor) -> LabelFreeTrackTally:
    """Score the tracks of one clip without their truth.

    Args:
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        there: ``(N, T, 2)`` px (x, y), from the first frame to the last.
        back: the same shape, from the last points back to the first frame, in the order of the frames.
    """
    there, back = there.double(), back.double()
    inside = points_inside(there, (frames.shape[-2], frames.shape[-1])).all(dim=1) & back.isfinite().flatten(1).all(1)
    if not bool(inside.any()):
        return LabelFreeTrackTally(clips=1, tracks=len(there))
    error = (there - back).norm(dim=-1).amax(dim=1)[inside]
    colors = 255 * sample_along(frames, there[inside].to(frames.dtype))
    residual = (colors[:, 1:] - colors[:, :1]).abs().mean(dim=(1, 2))
    return LabelFreeTrackTally(
        clips=1,
        judged=1,
        tracks=len(there),
        inside=int(inside.sum()),
        returned=int((error <= RETURNED_PX).sum()),
        cycle_sum=float(error.sum()),
        cycle_medians=float(error.median()),
        color_sum=float(residual.double().sum()),
        speed_sum=float(track_speed(there[inside]).sum()))

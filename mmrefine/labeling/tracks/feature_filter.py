"""Do the features of a network of correspondences find along a track what was at its beginning?"""
from __future__ import annotations

from typing import Any, Dict

import torch
from torch import Tensor

from mmrefine.geometry import feature_change, points_inside
from mmrefine.labeling.feature_network import FeatureNetwork
from mmrefine.registry import FILTERS
from mmrefine.structures import TrackLook
from mmrefine.values import as_number


@FILTERS.register_module()
class TrackFeatureFilter(FeatureNetwork):
    """Keep tracks along which the features of a frozen network change little: the mean over the frames of
    ``1 - cos(f_0(p_0), f_t(p_t))`` is at most ``tolerance``.

    Frames in which the track is not surely seen, or is outside, have no say; a track that is seen in its first frame
    only is kept. Ours, not the paper's.

    Args:
        features: as of :class:`~mmrefine.labeling.FeatureAgreement`.
        tolerance: in [0, 2]; how much the features of the same thing change depends on the network.
        seen: visibility in [0, 1] from which on the track counts as seen; 0: always.

    Raises:
        ConfigError: a value out of range, or a network without features.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """

    def __init__(self, features: Dict[str, Any], tolerance: float = 0.2, seen: float = 0.5) -> None:
        self.seen = as_number('TrackFeatureFilter.seen', seen, '[0, 1]')
        super().__init__('TrackFeatureFilter', features, tolerance)

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        frames, there = look.frames, look.there
        if not len(there):
            return torch.ones(0, dtype=torch.bool, device=frames.device)
        heard = points_inside(there, (frames.shape[-2], frames.shape[-1])) & (look.visible >= self.seen)
        start, stride = self.encode(frames[:1])
        begin = _as_row(there[:, 0])
        total = torch.zeros(len(there), device=frames.device)
        for t in range(1, len(frames)):
            change = feature_change(start, begin, self.encode(frames[t:t + 1])[0], _as_row(there[:, t]), stride)
            total += torch.where(heard[:, t], change[0, 0, 0], torch.zeros_like(total))
        return total <= self.tolerance * heard[:, 1:].sum(dim=1)


def _as_row(points: Tensor) -> Tensor:
    """``(N, 2)`` -> ``(1, 2, 1, N)``."""
    return points.nan_to_num(0.).t()[None, :, None]

"""The masks and points of a whole video with truth, propagated from where they are first known."""
from __future__ import annotations

from typing import Callable, Optional

import torch
from torch import Tensor

from mmrefine.geometry import ids_of, one_hot
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import ClipSample
from mmrefine.structures.propagation import Propagator


def propagate_clip(propagator: Propagator, frames: Tensor, sample: ClipSample, device: str = 'cpu',
                   progress: Optional[Callable[[int], None]] = None) -> None:
    """Fill ``pred_masks`` and ``pred_points`` of a video from the first frame that has any, as the protocols of DAVIS,
    BADJA and JHMDB do.

    Masks begin in the first frame. Points begin in the first frame in which one is visible; those outside of it are
    moved to its border, and before it they are nan.

    Args:
        propagator: in evaluation mode.
        frames: ``(T, 3, H, W)`` uint8 RGB.
        sample: with ``masks``, or ``points`` and ``visible``, or both; its predictions are set.
        device: where the network lives.
        progress: called with the number of frames whose masks are done, of ``T - 1``.
    """
    def frame(number: int) -> Tensor:
        return frames[number].to(device).float() / 255

    masks, points = sample.get('masks'), sample.get('points')
    if masks is not None:
        found = torch.zeros_like(masks)
        for done, (number, labels) in enumerate(propagator.propagate(frame, len(frames), {0: one_hot(masks[0])})):
            found[number] = ids_of(labels).to(found)
            if done and progress is not None:
                progress(done)
        sample.pred_masks = found
    if points is not None:
        start = int(sample.visible.any(dim=1).float().argmax())
        size = (int(frames.shape[-2]), int(frames.shape[-1]))
        queries = queries_of(points[start].float(), size)
        tracks = propagator.follow(lambda t: frame(start + t), len(frames) - start, size, queries)
        sample.pred_points = torch.full_like(points, float('nan'))
        sample.pred_points[start:] = tracks.points.transpose(0, 1).to(points)
        sample.pred_points[start] = points[start]

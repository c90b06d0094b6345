"""Clips of known motion, made of one frame: it shifts, turns and grows more and more from frame to frame."""
from __future__ import annotations

import math
from typing import List, NamedTuple

import torch
from torch import Tensor

from mmrefine.geometry.grid import pixel_grid, sample
from mmrefine.geometry.random_motion import Draws, Similarity

WOBBLE = 0.3  # of each step beside the pace that it keeps
BEND = 0.5  # speed by turning and by growing at the corners of the frame, of the speed of the shift, at most each


class KnownClip(NamedTuple):
    """A clip whose tracks are exact.

    Args:
        frames: ``(T, 3, H, W)``; the first is the frame itself, and what comes into view is its reflection.
        motions: of each frame, where the points of the first frame are.
    """
    frames: Tensor
    motions: List[Similarity]

    def tracks(self, points: Tensor) -> Tensor:
        """Where points ``(N, 2)`` px (x, y) of the first frame are in all frames: ``(N, T, 2)`` px."""
        at = points.t()[None, :, :, None]  # (1, 2, N, 1)
        return torch.stack([(at + motion.motion(at))[0, :, :, 0].t() for motion in self.motions], dim=1)


def known_clip(rng: Draws, frame: Tensor, count: int, speed: float) -> KnownClip:
    """A clip that begins with a frame and drifts at random: a shift at a pace that it keeps, but for a wobble, a slow
    turn and a slow growth.

    Args:
        rng: where the numbers come from.
        frame: ``(3, H, W)``.
        count: T, frames of the clip.
        speed: of the shift, px a frame; half to one and a half times as much is drawn.
    """
    height, width = frame.shape[-2:]
    center, radius = ((width - 1) / 2, (height - 1) / 2), math.hypot(height, width) / 2
    heading, pace = rng.uniform(0, 2 * math.pi), speed * rng.uniform(0.5, 1.5)
    turn, growth = (rng.uniform(-BEND, BEND) * pace / radius for _ in range(2))
    wobble = WOBBLE * pace * rng.normal(size=(count, 2))
    x = y = 0.
    motions = [Similarity(center, 0., 1., (0., 0.))]
    for number in range(1, count):
        x += pace * math.cos(heading) + float(wobble[number][0])
        y += pace * math.sin(heading) + float(wobble[number][1])
        motions.append(Similarity(center, number * turn, math.exp(number * growth), (x, y)))
    grid = pixel_grid(height, width, frame)
    moved = [sample(frame[None], grid + motion.inverse().motion(grid), 'reflection') for motion in motions[1:]]
    return KnownClip(torch.cat([frame[None], *moved]), motions)

"""Frame pairs with known motion and occlusion, made from one frame."""
from __future__ import annotations

import math
from typing import Callable, List, NamedTuple, Tuple

import torch
from torch import Tensor

from mmrefine.geometry.grid import pixel_grid, sample
from mmrefine.geometry.random_motion import Draws, Ellipse, Similarity, random_ellipse, random_similarity, smooth_motion
from mmrefine.geometry.warp import backwarp, lands_inside

SMALLEST_SIDE = 32  # px; below, patches and bends have no room


class KnownWarp(NamedTuple):
    """A frame pair with its truth.

    Args:
        frames1: ``(1, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow: ``(1, 2, H, W)`` px, frame 1 -> frame 2, exact, also where it is hidden.
        visible: bool ``(1, 1, H, W)``, what lies inside frame 2 with nothing on top.
    """
    frames1: Tensor
    frames2: Tensor
    flow: Tensor
    visible: Tensor

    def beneath(self, frame: Tensor, fixed: Tensor) -> KnownWarp:
        """The same motion beneath something that lies over both frames and does not move, such as a logo.

        What it covers in frame 1 or in frame 2 is not visible. A pixel of frame 1 that would show a moved copy of it
        shows what the unmoved frame has there.

        Args:
            frame: ``(1, 3, H, W)`` RGB in [0, 1], that the warp was made of.
            fixed: bool ``(1, 1, H, W)``, where something lies over it.
        """
        covered = fixed | (backwarp(fixed.to(self.flow.dtype), self.flow) > 0)
        return KnownWarp(torch.where(covered, frame, self.frames1), torch.where(fixed, frame, self.frames2), self.flow,
                         self.visible & ~covered)


class Patch(NamedTuple):
    """An object that moves over the frame.

    Args:
        region: where it is in frame 1.
        motion: where it goes.
        source: offset (x, y) px from the region to where in the frame its picture is taken from.
    """
    region: Ellipse
    motion: Similarity
    source: Tuple[float, float]


def known_warp(frame: Tensor, background: Tensor, patches: List[Patch]) -> KnownWarp:
    """Two frames from one: the frame itself, and what it looked like before it moved; patches pass over both.

    Frame 2 shows ``frame(q)``, and frame 1 ``frame(p + f(p))``, so the background's motion ``f`` is exact without an
    inversion. A patch with motion ``s`` and source ``d`` shows ``frame(q + d)`` in frame 2 and ``frame(s(p) + d)`` in
    frame 1, the last patch on top. Cubic sampling (:func:`~mmrefine.geometry.grid.sample`), which moves the picture by
    at most 0.05 px; beyond its border the frame repeats its edge.

    Args:
        frame: ``(3, H, W)`` RGB in [0, 1].
        background: ``(1, 2, H, W)`` px, its motion.
        patches: from back to front.
    """
    image = frame[None]
    grid = pixel_grid(image.shape[-2], image.shape[-1], background)
    ends = grid + background
    frames1, frames2, flow = _cubic(image, ends), image, background
    top1 = torch.zeros_like(grid[:, :1])
    layers = [(number, patch, patch.motion.inverse()) for number, patch in enumerate(patches, 1)]
    for number, patch, back in layers:
        there1, there2 = patch.region.covers(grid), patch.region.covers(grid + back.motion(grid))
        cut = grid.new_tensor(patch.source).view(1, 2, 1, 1)
        own = patch.motion.motion(grid)
        frames1 = torch.where(there1, _cubic(image, grid + own + cut), frames1)
        frames2 = torch.where(there2, _cubic(image, grid + cut), frames2)
        flow = torch.where(there1, own, flow)
        top1 = torch.where(there1, torch.full_like(top1, number), top1)
    # which patch lies on top where the motion ends: by the formulas, not by pixels
    ends = grid + flow
    top2 = torch.zeros_like(top1)
    for number, patch, back in layers:
        # a patch covers its own end by construction; rounding must not say otherwise
        there = patch.region.covers(ends + back.motion(ends)) & (top1 != number)
        top2 = torch.where(there, torch.full_like(top2, number), top2)
    return KnownWarp(frames1, frames2, flow, (top2 <= top1) & lands_inside(flow))


def random_warp(rng: Draws, frame: Tensor, length: Callable[[], float], patch_length: Callable[[], float],
                patches: Tuple[int, int] = (1, 4)) -> KnownWarp:
    """A known warp whose speeds are drawn by the caller.

    The background turns and zooms so that its rim moves by up to half of its translation more, and bends by a tenth of
    it; so do the patches about their centres. The picture of a patch comes from anywhere in the frame.

    Args:
        rng: where the other numbers come from.
        frame: ``(3, H, W)`` RGB in [0, 1].
        length: draws the translation of the background, px.
        patch_length: draws the translation of a patch, px.
        patches: fewest and most.

    Raises:
        ValueError: a side of the frame is shorter than ``SMALLEST_SIDE``.
    """
    height, width = frame.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(f'a frame to warp needs at least {SMALLEST_SIDE} px a side, got {height}x{width}')

    def similarity(center: Tuple[float, float], far: float) -> Similarity:
        strain = min(far / math.hypot(height, width), 0.2)
        return random_similarity(rng, center, lambda: far, math.degrees(strain), math.log2(1 + strain))

    far = length()
    grid = pixel_grid(height, width, frame)
    flow = similarity((0.5 * width, 0.5 * height), far).motion(grid)
    flow = flow + 0.1 * far * smooth_motion(rng, height, width).to(frame)
    drawn = []
    for _ in range(int(rng.integers(patches[0], patches[1], endpoint=True))):
        region = random_ellipse(rng, height, width)
        motion = similarity(region.center, patch_length())
        source = (rng.uniform(0, width) - region.center[0], rng.uniform(0, height) - region.center[1])
        drawn.append(Patch(region, motion, source))
    return known_warp(frame, flow, drawn)


def _cubic(image: Tensor, points: Tensor) -> Tensor:
    return sample(image, points, padding='border', mode='bicubic').clamp(0, 1)

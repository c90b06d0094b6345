"""What changes between the frames of a video beyond noise, by the frames alone: no network is asked."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterable

import numpy as np

BLOCK = 8  # px on a side
NEIGHBOURHOOD = 4  # blocks on a side, where the noise is measured
SURE = 4.5  # standard deviations of a block's mean; noise alone reaches them in one of 150,000 blocks
# Without noise, rounding to whole grey levels alone can change the mean of a flat block by half a level; noise of half
# a level dithers that away.
LEAST_CHANGE, DITHERING_NOISE = 0.6, 0.5
LEAST_BLOCKS, LEAST_SHARE = 2, 5e-4  # blocks that must have changed; a dead pixel changes one
TOLERANCE = 0.05  # share by which the power of a noise that is nearly independent may be off
FLAT = 1.  # grey levels, standard deviation; a frame whose blocks differ by less has no texture


@dataclass(frozen=True)
class FrameChange:
    """What two frames differ by.

    Args:
        is_sure: whether single blocks changed by more than noise.
        blocks: how many blocks are noisy enough to be compared with their noise.
        power: sum over these blocks of the squared change of the mean, in units of what noise alone leads one to
            expect.
    """
    is_sure: bool
    blocks: int
    power: float


def nothing_changes(changes: Iterable[FrameChange]) -> bool:
    """Whether frames differ by no more than noise in all of these pairs.

    Beside single blocks, what all blocks of all pairs changed by together must be as little as noise makes it: their
    mean power is 1 then, give or take ``sqrt(2 / blocks)``.
    """
    found = list(changes)
    blocks = sum(one.blocks for one in found)
    limit = blocks * (1 + TOLERANCE) + SURE * math.sqrt(2 * blocks)
    return not any(one.is_sure for one in found) and sum(one.power for one in found) <= limit


def frame_change(frame1: np.ndarray, frame2: np.ndarray) -> FrameChange:
    """What two frames differ by beyond an exposure of the whole frame, block by block.

    The mean and the contrast of frame 1 are set to those of frame 2, for its exposure. Where the rest is noise that is
    independent from pixel to pixel, the mean over a block of 8x8 px is 8 times less than the noise, whose strength is
    measured around it by mixed second differences; a motion changes neighbouring pixels alike. Noise that is not
    independent, as that of strong compression, counts as a change.

    Args:
        frame1: ``(H, W, 3)`` uint8.
        frame2: the same shape.
    """
    one, two = (frame.mean(axis=2, dtype=np.float64) for frame in (frame1, frame2))
    # the contrasts and not a regression, which noise in frame 1 would flatten
    contrast = float(two.std() / one.std()) if one.std() else 1.
    rest = two - two.mean() - contrast * (one - one.mean())
    mixed = np.zeros_like(rest)
    mixed[1:, 1:] = (rest[1:, 1:] - rest[:-1, 1:] - rest[1:, :-1] + rest[:-1, :-1])**2 / 4
    means, noise = _block_means(rest), _smoothed(_block_means(mixed))
    if not means.size:
        return FrameChange(bool(np.abs(rest).max() > 2), 0, 0.)
    noise = np.sqrt(noise)
    noisy = noise >= DITHERING_NOISE
    changed = np.abs(means) > np.where(noisy, SURE / BLOCK * noise, LEAST_CHANGE)
    is_sure = int(changed.sum()) >= max(LEAST_BLOCKS, LEAST_SHARE * changed.size)
    return FrameChange(is_sure, int(noisy.sum()), float(((BLOCK * means[noisy] / noise[noisy])**2).sum()))


def is_flat(frame: np.ndarray) -> bool:
    """Whether a frame ``(H, W, 3)`` uint8 is of one grey level, but for noise."""
    means = _block_means(frame.mean(axis=2, dtype=np.float64))
    return float(np.std(means if means.size else frame)) < FLAT


def _block_means(image: np.ndarray) -> np.ndarray:
    """Means over blocks; what is left over at the right and at the bottom is left out."""
    rows, columns = (size // BLOCK for size in image.shape)
    blocks = image[:rows * BLOCK, :columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return blocks.mean(axis=(1, 3)) if rows and columns else np.zeros((0, 0))


def _smoothed(blocks: np.ndarray) -> np.ndarray:
    """Means over the blocks around each block."""
    for axis, size in enumerate(blocks.shape):
        sums = np.insert(np.cumsum(blocks, axis), 0, 0., axis)
        ends = np.minimum(np.arange(size) + NEIGHBOURHOOD // 2 + 1, size)
        starts = np.maximum(np.arange(size) - NEIGHBOURHOOD // 2, 0)
        shape = [-1 if one == axis else 1 for one in range(2)]
        blocks = (sums.take(ends, axis) - sums.take(starts, axis)) / (ends - starts).reshape(shape)
    return blocks

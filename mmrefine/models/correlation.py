"""What RAFT looks up at every iteration: how well each cell matches a window of cells of the other frame."""
from __future__ import annotations

from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

# float32: half precision would move the matches by more than the cycle threshold of a label
_BYTES = 4
# gathered features that wait for their scalar products; more than a cache holds is slower, not faster
_CHUNK_BYTES = 8 * 2**20


def corr_bytes(queries: int, size: Tuple[int, int], levels: int) -> List[int]:
    """Bytes of the correlation pyramid of RAFT, level by level, fine to coarse.

    Args:
        queries: cells of all frames that look (batch, both directions if both are asked).
        size: (height, width) of the grid that they look at, cells.
        levels: of the pyramid; each halves the grid, rounded down.
    """
    return [_BYTES * queries * (size[0] >> level) * (size[1] >> level) for level in range(levels)]


class Correlation:
    """Scalar products of features over a pyramid of grids, read in windows (RAFT, Teed & Deng 2020, 3.2).

    The whole pyramid is made at once if it fits into ``max_bytes``. If not, its coarse levels are kept as far as they fit and the
    fine ones are computed at every lookup, only inside the windows, some rows of cells at a time: slower, in little memory, the same
    numbers but for the order of float32 sums.

    Args:
        feat1: features of the frames that look, ``(B, C, H, W)``.
        feat2: features of the frames that they look at, the same shape.
        levels: of the pyramid.
        radius: of the windows, cells of each level.
        max_bytes: see above.
        mirrored: the second half of the batch looks where the first half looks from, so that one matrix product serves both.
    """

    def __init__(self, feat1: Tensor, feat2: Tensor, levels: int, radius: int, max_bytes: int, mirrored: bool = False) -> None:
        batch, channels, height, width = feat1.shape
        self.size, self.radius = (height, width), radius
        sizes = corr_bytes(batch * height * width, self.size, levels)
        self.first_kept = next(level for level in range(levels + 1) if sum(sizes[level:]) <= max_bytes)
        # (B, H * W, C); the products are divided by sqrt(C)
        self.queries = feat1.float().flatten(2).mT / channels**0.5
        if self.first_kept == 0:
            self.levels = _whole_pyramid(self.queries, feat2.float(), levels, mirrored)
            return
        self.levels = []
        feat2 = feat2.float()
        for level in range(levels):
            # the mean of scalar products is the product with the mean
            feat2 = feat2 if level == 0 else F.avg_pool2d(feat2, 2)
            if level < self.first_kept:
                self.levels.append(feat2.permute(0, 2, 3, 1).contiguous())
            else:
                self.levels.append(torch.matmul(self.queries, feat2.flatten(2)).view(-1, *feat2.shape[-2:]))

    def __call__(self, flow: Tensor) -> Tensor:
        """The windows around where each cell has moved to, bilinear; outside the frame is 0.

        Args:
            flow: ``(B, 2, H, W)`` cells.

        Returns:
            ``(B, levels * (2 * radius + 1) ** 2, H, W)`` float32, channels last in memory; within a level the x of the window changes
            slower than its y.
        """
        batch, _, height, width = flow.shape
        y, x = torch.meshgrid(torch.arange(height, device=flow.device), torch.arange(width, device=flow.device), indexing='ij')
        centers = (flow + torch.stack([x, y])).permute(0, 2, 3, 1).reshape(-1, 2)
        found = []
        for level, values in enumerate(self.levels):
            looks = centers / 2**level
            found.append(self._in_chunks(values, looks) if level < self.first_kept else _kept_windows(values, looks, self.radius))
        return torch.cat(found, dim=1).view(batch, height, width, -1).permute(0, 3, 1, 2)

    def _in_chunks(self, feat2: Tensor, centers: Tensor) -> Tensor:
        """Windows of a level that is not kept; ``feat2 (B, h, w, C)``."""
        batch, height, width, channels = feat2.shape
        cells = self.size[0] * self.size[1]
        queries, feat2 = self.queries.reshape(-1, channels), feat2.view(-1, channels)
        side = 2 * self.radius + 2
        # whole rows of cells, at least one
        rows = max(1, _CHUNK_BYTES // (_BYTES * side**2 * channels * self.size[1]))
        step = rows * self.size[1]
        parts = []
        for begin in range(0, batch * cells, step):
            here = slice(begin, begin + step)
            index, near, far = _windows(centers[here], height, width, self.radius)
            sample = torch.arange(begin, begin + len(index), device=feat2.device) // cells
            index = index + (sample * (height * width))[:, None]
            gathered = feat2.index_select(0, index.flatten()).view(len(index), side**2, channels)
            # a row times a matrix: a matrix times a column is far slower on a CPU
            products = torch.bmm(queries[here].unsqueeze(1), gathered.mT)
            parts.append(_interpolate(products.view(-1, side, side), near, far))
        return torch.cat(parts)


def _whole_pyramid(queries: Tensor, feat2: Tensor, levels: int, mirrored: bool) -> List[Tensor]:
    """All levels, each ``(B * H * W, h, w)``."""
    batch, cells, _ = queries.shape
    volume = queries.new_empty(batch, cells, cells)
    half = batch // 2 if mirrored else batch
    volume[:half] = torch.matmul(queries[:half], feat2[:half].flatten(2))
    if mirrored:
        volume[half:] = volume[:half].mT
    pyramid = [volume.view(-1, 1, *feat2.shape[-2:])]
    while len(pyramid) < levels:
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return [level.squeeze(1) for level in pyramid]


def _kept_windows(volume: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Windows of a level ``(N, h, w)`` around ``centers (N, 2)``; ``(N, (2 * radius + 1) ** 2)``."""
    index, near, far = _windows(centers, volume.shape[1], volume.shape[2], radius)
    side = 2 * radius + 2
    return _interpolate(volume.flatten(1).gather(1, index).view(-1, side, side), near, far)


Weights = Sequence[Tensor]


def _windows(centers: Tensor, height: int, width: int, radius: int) -> Tuple[Tensor, Weights, Weights]:
    """All points of a window share one fraction, so ``2 * radius + 2`` cells on each axis serve them all.

    Returns:
        flat indices of these cells ``(N, side * side)``, x slower than y, inside the grid; and on each axis the weights of a
        point's nearer and farther neighbour, two of ``(N, 2 * radius + 1)``, 0 for a cell outside.
    """
    reach = torch.arange(-radius, radius + 2, device=centers.device)
    base = centers.floor()
    cells, near, far = [], [], []
    for axis, length in ((0, width), (1, height)):
        fraction = (centers - base)[:, axis:axis + 1]
        cell = base[:, axis:axis + 1].long() + reach
        inside = (cell >= 0) & (cell < length)
        if length == 1:
            inside = torch.ones_like(inside)  # an axis of one cell has no outside, as for grid_sample
        cells.append(cell.clamp(0, length - 1))
        near.append((1 - fraction) * inside[:, :-1])
        far.append(fraction * inside[:, 1:])
    index = cells[1][:, None, :] * width + cells[0][:, :, None]
    return index.flatten(1), near, far


def _interpolate(values: Tensor, near: Weights, far: Weights) -> Tensor:
    """``values (N, side, side)``, x first, at the points between them; ``(N, (side - 1) ** 2)``."""
    along_x = values[:, :-1] * near[0][:, :, None] + values[:, 1:] * far[0][:, :, None]
    along_y = along_x[:, :, :-1] * near[1][:, None, :] + along_x[:, :, 1:] * far[1][:, None, :]
    return along_y.flatten(1)

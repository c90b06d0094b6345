"""What RAFT looks up at every iteration: how well each cell matches a window of cells of the other frame."""
from __future__ import annotations

import math
from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry import sample_scaled

# float32: half precision would move the matches by more than the cycle threshold of a label
_BYTES = 4
# gathered features that wait for their scalar products: on a CPU more than a cache holds is slower, not faster
_CHUNK_BYTES = 8 * 2**20
# a GPU would spend its time on starting kernels for so little: it takes what the limit leaves, up to this
_GPU_CHUNK_BYTES = 2 * 2**30


def corr_bytes(queries: int, size: Tuple[int, int], levels: int) -> List[int]:
    """Bytes of the correlation pyramid of RAFT, level by level, fine to coarse.

    Args:
        queries: cells of all first frames (batch, both directions if both are asked).
        size: (height, width) of the grid that they are compared with, cells.
        levels: of the pyramid; each halves the grid, rounded down.
    """
    return [_BYTES * queries * (size[0] >> level) * (size[1] >> level) for level in range(levels)]


class Correlation:
    """Scalar products of features over a pyramid of grids, read in windows (RAFT, Teed & Deng 2020, 3.2); without
    gradients.

    The whole pyramid is made at once if it fits into ``max_bytes``. If not, its coarse levels are kept as far as they
    fit and the fine ones are computed at every lookup, only inside the windows, some rows of cells at a time: slower,
    in little memory, the same numbers but for the order of float32 sums.

    Args:
        feat1: features of the first frames, ``(B, C, H, W)``.
        feat2: features of the second frames, the same shape.
        levels: of the pyramid.
        radius: of the windows, cells of each level.
        max_bytes: see above.
        mirrored: the second half of the batch is the first half with its frames exchanged, so that one matrix product
            serves both.
    """

    def __init__(self,
                 feat1: Tensor,
                 feat2: Tensor,
                 levels: int,
                 radius: int,
                 max_bytes: int,
                 mirrored: bool = False) -> None:
        batch, channels, height, width = feat1.shape
        self.size, self.radius = (height, width), radius
        cells = batch * height * width
        sizes = corr_bytes(cells, self.size, levels)
        self.first_kept = next(level for level in range(levels + 1) if sum(sizes[level:]) <= max_bytes)
        self.left = max_bytes - sum(sizes[self.first_kept:])
        # the products are divided by sqrt(C)
        dtype = torch.promote_types(feat1.dtype, torch.float32)
        feat1, feat2 = feat1.to(dtype) / channels**0.5, feat2.to(dtype)
        self.queries = feat1.permute(0, 2, 3, 1).reshape(cells, channels) if self.first_kept else None
        # a level has its cells column by column, as the windows are wanted; so have the cells of the first frames
        self.order = torch.arange(cells, device=feat1.device).view(batch, width, height).mT.flatten()
        shapes = [(height >> level, width >> level) for level in range(levels)]
        self.kept = [_Level(cells, *shape, 2 * radius + 2, feat1) for shape in shapes[self.first_kept:]]
        self.fine: List[Tensor] = []
        self.scaled: Optional[_ScaledWindows] = None
        if mirrored and self.first_kept == 0:
            half = batch // 2
            _fill_mirrored(self.kept, columns(feat1[:half]).mT, columns(feat2[:half]))
            return
        for level in range(levels):
            # the mean of scalar products is the product with the mean
            feat2 = feat2 if level == 0 else F.avg_pool2d(feat2, 2)
            if level < self.first_kept:
                self.fine.append(feat2.permute(0, 2, 3, 1).contiguous())
            else:
                grids = self.kept[level - self.first_kept].grids
                torch.matmul(columns(feat1).mT, columns(feat2), out=grids.view(batch, height * width, -1))

    def __call__(self, flow: Tensor) -> Tensor:
        """The windows around where each cell has moved to, bilinear; outside the frame is 0.

        Args:
            flow: ``(B, 2, H, W)`` cells.

        Returns:
            ``(B, levels * (2 * radius + 1) ** 2, H, W)`` float32, channels last in memory; within a level the x of the
            window changes slower than its y.
        """
        if flow.device.type != 'cpu' and not self.fine:
            return self._sampled(flow)
        batch, _, height, width = flow.shape
        centers = centers_of(flow)
        levels, side = len(self.fine) + len(self.kept), 2 * self.radius + 1
        found = centers.new_empty(len(centers), levels, side, side)
        for level in range(levels):
            scaled = centers / 2**level
            if level < self.first_kept:
                self._compare(self.fine[level], scaled, found[:, level])
            else:
                kept = self.kept[level - self.first_kept]
                around = Around(scaled, kept.height, kept.width, self.radius)
                around.interpolate(kept.read(around, self.order), found[:, level])
        return found.view(batch, height, width, -1).permute(0, 3, 1, 2)

    def _sampled(self, flow: Tensor) -> Tensor:
        """The same with all levels kept, in a quarter of the operations, each of which a GPU has to start."""
        if self.scaled is None:
            self.scaled = _ScaledWindows(self.kept, self.size, self.radius, flow)
        batch, _, height, width = flow.shape
        centers = (flow.flip(1) + self.scaled.cells).permute(0, 3, 2, 1).reshape(-1, 1, 1, 2)
        found = [sample_scaled(level.grids[:, None], torch.addcmul(window, centers, scale)).view(len(centers), -1)
                 for level, window, scale in zip(self.kept, self.scaled.windows, self.scaled.scales)]
        windows = torch.cat(found, dim=1).view(batch, width, height, -1).permute(0, 3, 2, 1)
        return windows.contiguous(memory_format=torch.channels_last)

    def _compare(self, feat2: Tensor, centers: Tensor, out: Tensor) -> None:
        """Windows of a level that is not kept; ``feat2 (B, h, w, C)``."""
        batch, height, width, channels = feat2.shape
        cells = self.size[0] * self.size[1]
        assert self.queries is not None
        feat2 = feat2.view(-1, channels)
        side = 2 * self.radius + 2
        # whole rows of cells, at least one
        rows = max(1, _chunk_bytes(feat2.device.type, self.left) // (_BYTES * side**2 * channels * self.size[1]))
        step = rows * self.size[1]
        for begin in range(0, batch * cells, step):
            here = slice(begin, begin + step)
            around = Around(centers[here], height, width, self.radius)
            sample = torch.arange(begin, begin + len(around.x), device=feat2.device) // cells
            index = around.y.clamp(0, height - 1)[:, None, :] * width + around.x.clamp(0, width - 1)[:, :, None]
            index += (sample * (height * width))[:, None, None]
            gathered = feat2.index_select(0, index.flatten()).view(len(index), side**2, channels)
            # a row times a matrix: a matrix times a column is far slower on a CPU
            products = torch.bmm(self.queries[here].unsqueeze(1), gathered.mT).view(-1, side, side)
            around.interpolate(products * around.inside_x[:, :, None], out[here])


def _chunk_bytes(device: str, left: int) -> int:
    """Bytes of gathered features to take at a time on a device of this type; ``left``: what the limit leaves."""
    return _CHUNK_BYTES if device == 'cpu' else max(_CHUNK_BYTES, min(left, _GPU_CHUNK_BYTES))


def centers_of(flow: Tensor) -> Tensor:
    """Where each cell has moved to, ``(B * H * W, 2)`` cells (x, y), of a flow ``(B, 2, H, W)`` cells."""
    y, x = torch.meshgrid(*(torch.arange(side, device=flow.device) for side in flow.shape[-2:]), indexing='ij')
    return (flow + torch.stack([x, y])).permute(0, 2, 3, 1).reshape(-1, 2)


def columns(features: Tensor) -> Tensor:
    """``(B, C, W * H)``, column by column, of ``(B, C, H, W)``."""
    return features.mT.flatten(2)


class _Level:
    """For each cell of the first frames one grid ``(w, h)``, the height changing faster,
    with zeros before all grids and behind them.
    """

    def __init__(self, cells: int, height: int, width: int, side: int, like: Tensor) -> None:
        self.height, self.width, self.side = height, width, side
        self.ends = 16 * math.ceil(side / 16)  # of float32: a cache line
        self.values = like.new_empty(cells * width * height + 2 * self.ends)
        self.values[:self.ends] = self.values[-self.ends:] = 0
        self.grids = self.values[self.ends:-self.ends].view(cells, width, height)

    def read(self, around: 'Around', order: Tensor) -> Tensor:
        """``(N, side, side)``, x first; 0 where x is outside, anything where y is."""
        # an axis of one cell has no outside: it is read again and again
        length = self.side if self.height > 1 else 1
        first = around.y[:, :1].clamp(-self.side, self.height)
        begin = (order[:, None] * self.width + around.x) * self.height + first + self.ends
        # all stretches of the values, overlapping; a stretch of zeros is the first
        stretches = self.values.as_strided((len(self.values) - length + 1, length), (1, 1))
        found = stretches.index_select(0, torch.where(around.inside_x, begin, 0).flatten())
        return found.view(-1, self.side, length).expand(-1, -1, self.side)


def _fill_mirrored(levels: Sequence[_Level], feat1: Tensor, feat2: Tensor) -> None:
    """All levels of both directions: of ``feat1 (B, W * H, C)`` with ``feat2 (B, C, W * H)``, then the other way."""
    half, cells, _ = feat1.shape
    volumes = levels[0].grids.view(2 * half, cells, cells)
    torch.matmul(feat1, feat2, out=volumes[:half])
    for one in range(half):
        # matrix by matrix: torch turns these block by block, a batch of them element by element
        volumes[half + one].copy_(volumes[one].t())
    for one in range(2 * half):
        # of the other direction, since means of long rows are fast to take
        rows = volumes[(one + half) % (2 * half)].view(levels[0].width, levels[0].height, cells)
        for level in levels[1:]:
            rows = _halved(rows)
            level.grids.view(2 * half, cells, -1)[one].copy_(rows.flatten(0, 1).t())


def _halved(rows: Tensor) -> Tensor:
    """Means over 2 x 2 of the first two dimensions, rounded down."""
    width, height = rows.shape[0] // 2, rows.shape[1] // 2
    four = rows[:2 * width, :2 * height].unflatten(1, (height, 2)).unflatten(0, (width, 2))
    mean = four[:, 0, :, 0] + four[:, 0, :, 1]
    mean += four[:, 1, :, 0]
    mean += four[:, 1, :, 1]
    return mean.mul_(.25)


class _ScaledWindows:
    """What all looks of :meth:`Correlation._sampled` share; made once, as each number that is sent to a GPU stops it.

    Points are (y, x), since a grid ``(w, h)`` has y where an image has x.

    Attributes:
        cells: ``(2, H, W)``, each cell's own place.
        windows: for each level ``(side, side, 2)`` around the first cell, scaled to [-1, 1].
        scales: for each level ``(2, )``, what a cell of the finest level is there.
    """

    def __init__(self, levels: Sequence[_Level], size: Tuple[int, int], radius: int, like: Tensor) -> None:
        places = (torch.arange(side, dtype=like.dtype, device=like.device) for side in size)
        self.cells = torch.stack(torch.meshgrid(*places, indexing='ij'))
        reach = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)
        window = torch.stack(torch.meshgrid(reach, reach, indexing='ij')[::-1], dim=-1)
        scales = [like.new_tensor([2 / max(level.height - 1, 1), 2 / max(level.width - 1, 1)]) for level in levels]
        self.windows = [window * scale - 1 for scale in scales]
        self.scales = [scale / 2**i for i, scale in enumerate(scales)]


class Around:
    """Windows around ``centers (N, 2)`` on a grid: all points of a window share one fraction, so
    ``side = 2 * radius + 2`` cells on each axis serve them all.

    Attributes:
        x: ``(N, side)`` cells, inside the grid or not.
        y: likewise.
        inside_x: ``(N, side)``, whether ``x`` is on the grid.
        inside_y: likewise.
        fractions: ``(2, N, 1, 1)``, of x and of y.
    """

    def __init__(self, centers: Tensor, height: int, width: int, radius: int) -> None:
        reach = torch.arange(-radius, radius + 2, device=centers.device)
        base = centers.floor()
        self.x, self.inside_x = _cells(base[:, :1], reach, width)
        self.y, self.inside_y = _cells(base[:, 1:], reach, height)
        self.fractions = (centers - base).mT[:, :, None, None].contiguous()

    def interpolate(self, values: Tensor, out: Tensor) -> None:
        """``values (N, side, side)``, x first, 0 where x is outside, at the points between them, to
        ``out (N, side - 1, side - 1)``."""
        values = values * self.inside_y[:, None]
        along_x = torch.lerp(values[:, :-1], values[:, 1:], self.fractions[0])
        # in memory of its own: the rows of ``out`` are far from one another
        out.copy_(torch.lerp(along_x[:, :, :-1], along_x[:, :, 1:], self.fractions[1]))

    def spread(self, gradient: Tensor) -> Tensor:
        """The gradient of ``values`` of :meth:`interpolate`, from that of ``out``; anything where a cell is outside."""
        wide = F.pad(gradient, (1, 1, 1, 1))
        along_x = torch.lerp(wide[:, 1:], wide[:, :-1], self.fractions[0])
        return torch.lerp(along_x[:, :, 1:], along_x[:, :, :-1], self.fractions[1])


def _cells(base: Tensor, reach: Tensor, length: int) -> Tuple[Tensor, Tensor]:
    """``(N, side)`` cells of an axis, and which of them are on it."""
    cells = base.long() + reach
    if length == 1:  # has no outside, as for grid_sample
        return torch.zeros_like(cells), torch.ones_like(cells, dtype=torch.bool)
    return cells, (cells >= 0) & (cells < length)

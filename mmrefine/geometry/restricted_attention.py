"""Labels copied from one frame to another by what looks alike nearby (restricted attention)."""
from __future__ import annotations

from typing import Iterator, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 8  # cells; a larger tile looks at more candidates that the window then drops, a smaller one at more borders
_AT_ONCE = 4_000_000  # scores that are worked out at a time, about


def copy_labels(target: Tensor, references: Tensor, labels: Tensor, radius: Optional[int] = 6,
                most: Optional[int] = None) -> Tensor:
    """Give each cell of a frame the mean of the labels of other frames, weighed by the softmax of the dot products of
    the features (CorrFlow, equations 1 and 2).

    Only cells of the reference frames that lie in the window around the same place are asked, and none outside of the
    frames. The softmax goes over the windows of all reference frames together. Without gradients, no more than some
    million scores are held at a time.

    Args:
        target: features of the frame that gets labels, ``(B, C, H, W)``.
        references: features of the frames that have labels, ``(B, M, C, H, W)``.
        labels: theirs, ``(B, M, K, H, W)``: colours, one-hot objects, heat maps, …
        radius: of the window in cells, so it has ``(2 * radius + 1)**2``; None asks all cells of a reference.
        most: only so many of the best candidates get a weight; None weighs all of them.

    Returns:
        ``(B, K, H, W)``.

    Raises:
        ValueError: shapes that do not belong together, a radius below 0, or ``most`` below 1.
    """
    _check(target, references, labels, radius, most)
    rows = list(_by_window(target, references, labels, radius, most) if radius is not None else
                _by_frame(target, references, labels, most))
    return torch.cat(rows, dim=2)[:, :, :target.shape[2], :target.shape[3]]


def _check(target: Tensor, references: Tensor, labels: Tensor, radius: Optional[int], most: Optional[int]) -> None:
    frames, channels, height, width = target.shape
    if references.ndim != 5 or (references.shape[0], *references.shape[2:]) != (frames, channels, height, width):
        raise ValueError(f'references must be (B, M, C, H, W) = ({frames}, M, {channels}, {height}, {width}), '
                         f'got {tuple(references.shape)}')
    if labels.ndim != 5 or labels.shape[:2] != references.shape[:2] or labels.shape[3:] != references.shape[3:]:
        raise ValueError(f'labels must be (B, M, K, H, W) = ({frames}, {references.shape[1]}, K, {height}, {width}), '
                         f'got {tuple(labels.shape)}')
    if radius is not None and radius < 0:
        raise ValueError(f'radius must be at least 0, or None, got {radius}')
    if most is not None and most < 1:
        raise ValueError(f'most must be at least 1, or None, got {most}')


def _by_window(target: Tensor, references: Tensor, labels: Tensor, radius: int,
               most: Optional[int]) -> Iterator[Tensor]:
    """Tile after tile: all cells of a tile meet all cells that any of their windows has, in one matrix product, and
    the mask of the window is laid over it. That is a few times as many products as are needed, and much faster than
    as many small ones."""
    count, channels, height, width = target.shape
    side = _TILE + 2 * radius
    down, right = -height % _TILE, -width % _TILE
    target = F.pad(target, (0, right, 0, down))
    around = (radius, radius + right, radius, radius + down)
    references, labels = F.pad(references, around), F.pad(labels, around)
    inside = F.pad(target.new_ones(height, width), around) > 0
    window = _window(radius, target.device)
    across = target.shape[3] // _TILE
    scores_in_row = count * across * _TILE**2 * references.shape[1] * side**2
    step = max(1, _AT_ONCE // scores_in_row)
    for top in range(0, target.shape[2] // _TILE, step):
        bottom = min(top + step, target.shape[2] // _TILE)
        rows = slice(top * _TILE, bottom * _TILE)
        wider = slice(top * _TILE, bottom * _TILE + 2 * radius)
        queries = _tiles(target[:, :, rows], _TILE)  # (B, C, y, x, tile, tile)
        keys, values = _tiles(references[:, :, :, wider], side), _tiles(labels[:, :, :, wider], side)
        asked = window & _tiles(inside[wider], side).flatten(2)[:, :, None]  # (y, x, tile**2, side**2)
        asked |= ~asked.any(dim=-1, keepdim=True)  # beyond the frame there is nobody to ask, and nan would spread
        queries = queries.permute(0, 2, 3, 4, 5, 1).flatten(3, 4)  # (B, y, x, tile**2, C)
        keys = keys.permute(0, 3, 4, 2, 1, 5, 6).flatten(4)  # (B, y, x, C, M * side**2)
        values = values.permute(0, 3, 4, 1, 5, 6, 2).flatten(3, 5)  # (B, y, x, M * side**2, K)
        found = _attend(queries, keys, values, asked.repeat(1, 1, 1, references.shape[1]), most)
        found = found.unflatten(3, (_TILE, _TILE))  # (B, y, x, tile, tile, K)
        yield found.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def _by_frame(target: Tensor, references: Tensor, labels: Tensor, most: Optional[int]) -> Iterator[Tensor]:
    """All cells of the references for each cell, row after row."""
    count, channels, height, width = target.shape
    keys = references.transpose(1, 2).flatten(2)  # (B, C, M * H * W)
    values = labels.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, M * H * W, K)
    step = max(1, _AT_ONCE // (count * width * keys.shape[2]))
    for top in range(0, height, step):
        queries = target[:, :, top:top + step].flatten(2).transpose(1, 2)  # (B, rows * W, C)
        found = _attend(queries, keys, values, None, most)
        yield found.transpose(1, 2).unflatten(2, (-1, width))


def _attend(queries: Tensor, keys: Tensor, values: Tensor, asked: Optional[Tensor], most: Optional[int]) -> Tensor:
    scores = queries @ keys
    if asked is not None:
        scores = scores.masked_fill(~asked, float('-inf'))
    if most is not None and most < scores.shape[-1]:
        least = scores.topk(most, dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < least, float('-inf'))
    return scores.softmax(dim=-1) @ values


def _tiles(x: Tensor, side: int) -> Tensor:
    """``(..., H, W)`` -> ``(..., y, x, side, side)``, one every ``_TILE`` cells, overlapping where side is larger."""
    return x.unfold(-2, side, _TILE).unfold(-2, side, _TILE)


def _window(radius: int, device: torch.device) -> Tensor:
    """Which cells around a tile each of its cells asks, bool ``(tile**2, side**2)``."""
    own = torch.arange(_TILE, device=device)[:, None]
    asked = torch.arange(_TILE + 2 * radius, device=device)[None] - radius
    close = (asked - own).abs() <= radius  # (tile, side), the same down and across
    return (close[:, None, :, None] & close[None, :, None, :]).flatten(0, 1).flatten(1, 2)

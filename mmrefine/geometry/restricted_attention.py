"""Labels copied from one frame to another by what looks alike nearby (restricted attention)."""
from __future__ import annotations

from typing import Iterator, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

# cells; a smaller tile compares fewer candidates that are outside of the window, in smaller and slower products
_TILE = 8
_AT_ONCE = 1_000_000  # scores, about; more at once take more memory and no less time


def copy_labels(target: Tensor, references: Tensor, labels: Tensor, radius: Optional[int] = 6,
                most: Optional[int] = None) -> Tensor:
    """Give each cell of a frame the mean of the labels of other frames, weighted by the softmax of the dot products of
    the features (CorrFlow, equations 3 and 4).

    The candidates of a cell are the cells of the reference frames in the window around the same place, and none outside
    of the frames. The softmax goes over the windows of all reference frames together. Scores are in float32 at least,
    under autocast, too: bfloat16 would round a score of 100 to a multiple of 0.5. Without gradients, scores are
    computed and dropped in parts, so that they take little memory beside the features.

    Args:
        target: features of the frame that gets labels, ``(B, C, H, W)``.
        references: features of the frames that have labels, ``(B, M, C, H, W)``.
        labels: theirs, ``(B, M, K, H, W)`` of any type: colours, one-hot objects, heat maps, …
        radius: of the window in cells, so it has ``(2 * radius + 1)**2``; None: all cells of a reference.
        most: only the candidates with the highest scores get a weight, this many of all references together, and those
            that are as good as the last of them; None: all candidates.

    Returns:
        ``(B, K, H, W)`` in the precision of the scores: float64 for features in float64, else float32.

    Raises:
        ValueError: shapes that do not belong together, a radius below 0, or ``most`` below 1.
    """
    _check(target, references, labels, radius, most)
    precision = torch.promote_types(torch.promote_types(target.dtype, references.dtype), torch.float32)
    target, references, labels = (each.to(precision) for each in (target, references, labels))
    with torch.autocast(target.device.type, enabled=False):
        if radius is None:
            return _from_all(target, references, labels, most)
        rows = list(_by_window(target, references, labels, radius, most))
        return torch.cat(rows, dim=2)[:, :, :target.shape[2], :target.shape[3]]


def _check(target: Tensor, references: Tensor, labels: Tensor, radius: Optional[int], most: Optional[int]) -> None:
    if target.ndim != 4 or 0 in target.shape:
        raise ValueError(f'target must be (B, C, H, W), got {tuple(target.shape)}')
    count, channels, height, width = target.shape
    if references.ndim != 5 or (references.shape[0], *references.shape[2:]) != target.shape or not references.shape[1]:
        raise ValueError(f'references must be (B, M, C, H, W) = ({count}, M, {channels}, {height}, {width}) with M of '
                         f'at least 1, got {tuple(references.shape)}')
    if labels.ndim != 5 or labels.shape[:2] != references.shape[:2] or labels.shape[3:] != references.shape[3:]:
        raise ValueError(f'labels must be (B, M, K, H, W) = ({count}, {references.shape[1]}, K, {height}, {width}), '
                         f'got {tuple(labels.shape)}')
    if radius is not None and radius < 0:
        raise ValueError(f'radius must be at least 0, or None, got {radius}')
    if most is not None and most < 1:
        raise ValueError(f'most must be at least 1, or None, got {most}')


def _by_window(target: Tensor, references: Tensor, labels: Tensor, radius: int,
               most: Optional[int]) -> Iterator[Tensor]:
    """Rows of tiles ``(B, K, n * tile, W)``, W rounded up to whole tiles.

    All cells of a tile are compared, in one matrix product, with all cells that any of them has in its window, and what
    lies outside of a cell's own window is masked. With tiles of 8 and a radius of 6 these are 2.4 times as many
    products as needed, and still far less work than moving 169 copies of the features through memory.
    """
    count, _, height, width = target.shape
    side = _TILE + 2 * radius
    down, right = -height % _TILE, -width % _TILE
    target = F.pad(target, (0, right, 0, down))
    around = (radius, radius + right, radius, radius + down)
    references, labels = F.pad(references, around), F.pad(labels, around)
    outside = F.pad(target.new_zeros(height, width), around, value=1.).bool()
    beyond = ~_window(radius, target.device)  # (tile**2, side**2)
    frames, lines, across = references.shape[1], target.shape[2] // _TILE, target.shape[3] // _TILE
    step = max(1, _AT_ONCE // (count * across * _TILE**2 * frames * side**2))
    for top in range(0, lines, step):
        bottom = min(top + step, lines)
        own, wider = slice(top * _TILE, bottom * _TILE), slice(top * _TILE, bottom * _TILE + 2 * radius)
        # (B, y, x, tile**2, C), (B, y, x, C, M * side**2), (B, y, x, M * side**2, K), (y, x, tile**2, M * side**2)
        queries = _tiles(target[:, :, own], _TILE).permute(0, 2, 3, 4, 5, 1).flatten(3, 4)
        keys = _tiles(references[:, :, :, wider], side).permute(0, 3, 4, 2, 1, 5, 6).flatten(4)
        values = _tiles(labels[:, :, :, wider], side).permute(0, 3, 4, 1, 5, 6, 2).flatten(3, 5)
        barred = (_tiles(outside[wider], side).flatten(2)[:, :, None] | beyond).repeat(1, 1, 1, frames)
        found = _attend(queries, keys, values, barred, most).unflatten(3, (_TILE, _TILE))
        yield found.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def _from_all(target: Tensor, references: Tensor, labels: Tensor, most: Optional[int]) -> Tensor:
    """``(B, K, H, W)`` with all cells of the references as candidates of each cell."""
    keys = references.transpose(1, 2).flatten(2)  # (B, C, M * H * W)
    values = labels.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, M * H * W, K)
    step = max(1, _AT_ONCE // (keys.shape[0] * keys.shape[2]))
    found = [_attend(queries, keys, values, None, most)
             for queries in target.flatten(2).transpose(1, 2).split(step, dim=1)]
    return torch.cat(found, dim=1).transpose(1, 2).unflatten(2, tuple(target.shape[2:]))


def _attend(queries: Tensor, keys: Tensor, values: Tensor, barred: Optional[Tensor], most: Optional[int]) -> Tensor:
    """``(..., n, C)``, ``(..., C, m)``, ``(..., m, K)`` -> ``(..., n, K)``; where ``barred``, the weight is 0."""
    scores = queries @ keys
    never = torch.finfo(scores.dtype).min  # not -inf: a cell of the padding has no candidate, and would get nan
    if barred is not None:
        scores.masked_fill_(barred, never)
    if most is not None and most < scores.shape[-1]:
        least = scores.detach().topk(most, dim=-1).values[..., -1:]
        scores.masked_fill_(scores.detach() < least, never)
    return scores.softmax(dim=-1) @ values


def _tiles(x: Tensor, side: int) -> Tensor:
    """``(..., H, W)`` -> ``(..., y, x, side, side)``, one every ``_TILE`` cells, overlapping where side is larger."""
    return x.unfold(-2, side, _TILE).unfold(-2, side, _TILE)


def _window(radius: int, device: torch.device) -> Tensor:
    """Which cells around a tile are in the window of each of its cells, bool ``(tile**2, side**2)``."""
    own = torch.arange(_TILE, device=device)[:, None]
    other = torch.arange(_TILE + 2 * radius, device=device)[None] - radius
    close = (other - own).abs() <= radius  # (tile, side), the same down and across
    return (close[:, None, :, None] & close[None, :, None, :]).flatten(0, 1).flatten(1, 2)

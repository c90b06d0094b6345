"""Expanded attention, of which all three attentions of CRAFT are made (Sui et al., CVPR 2022), by tiles of rows.

A mode compares all cells of a grid with all others, so four modes of 47x156 cells take 0.86 GB in float32. Nothing here
holds them at once where it can be avoided: a tile is some whole rows of cells against all cells, and softmax, position
bias and sums over the cells are exact in it.
"""
from __future__ import annotations

from typing import Any, Callable, Iterator, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmrefine.errors import ConfigError

Size = Tuple[int, int]  # (height, width) of a grid, cells
Rows = Tuple[int, int]  # of the grid: the first one, and the one after the last

EPS = 1e-12  # of the authors' norms
_RADIUS = 7  # cells around a cell whose places the position bias tells apart
_LARGEST_SCORE = 100.
_STD, _IDENTITY = 0.02, 0.2  # of the initial weights
# of the scores of one tile in all modes; what is made of them takes two or three times as much
_TILE_BYTES = 64 * 2**20
DROPPED_FEATURES, DROPPED_WEIGHTS = 0.1, 0.2  # shares, in training


class PositionBias(nn.Module):
    """A learned number for each offset of up to 7 cells along both axes, 0 beyond.

    Args:
        radius: cells.
    """

    def __init__(self, radius: int = _RADIUS) -> None:
        super().__init__()
        self.radius = radius
        self.biases = nn.Parameter(torch.zeros(2 * radius + 1, 2 * radius + 1))  # [down, right] from query to key

    def forward(self, size: Size, rows: Rows) -> Tensor:
        """Of the queries in ``rows`` of a grid, with all its cells as keys: ``(rows * W, H * W)``."""
        height, width = size
        right, down = width - 1 - self.radius, height - 1 - self.radius
        offsets = F.pad(self.biases, (right, right, down, down))  # (2 H - 1, 2 W - 1); on a small grid this cuts off
        # the window of height H that begins at H - 1 - y is what row y sees
        windows = offsets.unfold(0, height, 1)[height - rows[1]:height - rows[0]].flip(0).unfold(1, width, 1).flip(1)
        return windows.reshape(-1, height * width)


class ExpandedAttention(nn.Module):
    """Scores of cells against cells in several modes: ``q . k / sqrt(d) + weight * position bias``.

    Scores beyond 100 are cut off, at both ends, in samples that have any: as the authors do, who look at the whole
    batch at once.

    Args:
        channels: of the features.
        modes: M; each has ``channels / M`` channels d of queries and keys.
        weight: of the position bias.
        tied: queries and keys are made by one projection, with a bias.

    Raises:
        ConfigError: modes that do not divide the channels.
    """

    def __init__(self, channels: int, modes: int, weight: float, tied: bool = False) -> None:
        super().__init__()
        if modes < 1 or channels % modes:
            raise ConfigError(f'CRAFT: {modes} modes of attention do not divide {channels} channels; choose a number '
                              'that does')
        self.modes, self.weight = modes, weight
        self.query = nn.Linear(channels, channels, bias=tied)
        self.key = None if tied else nn.Linear(channels, channels, bias=False)
        self.position = PositionBias()
        initialise(self)
        with torch.no_grad():  # the first mode begins by comparing the features themselves
            first = (self.query if self.key is None else self.key).weight[:channels // modes]
            first.mul_(0.5).add_(_IDENTITY * torch.eye(len(first)).repeat(1, modes))

    def forward(self, cells1: Tensor, cells2: Tensor, size: Size) -> Callable[[Rows], Tensor]:
        """What gives the scores of a tile.

        Args:
            cells1: ``(B, H * W, C)``, who asks.
            cells2: the same shape, who is asked.
            size: of the grid.

        Returns:
            a function from rows of the grid to scores ``(B, M, rows * W, H * W)``.
        """
        queries = self._in_modes(self.query(cells1))
        queries = queries / queries.shape[-1]**0.5
        keys = self._in_modes((self.query if self.key is None else self.key)(cells2))
        beyond = _beyond(queries, keys, size)

        def scores(rows: Rows) -> Tensor:
            found = _cells_of(queries, rows, size) @ keys.mT
            if beyond is not None:
                found = torch.where(beyond, found.clamp(-_LARGEST_SCORE, _LARGEST_SCORE), found)
            return found + self.weight * self.position(size, rows)

        return scores

    def _in_modes(self, cells: Tensor) -> Tensor:
        """``(B, N, C)`` -> ``(B, M, N, d)``."""
        return cells.unflatten(-1, (self.modes, -1)).transpose(1, 2)


class AttentionWeights:
    """Softmax of the scores over the cells, tile by tile: kept, or computed again each time that they are asked for.

    Args:
        scores: see :class:`ExpandedAttention`.
        tiles: of the grid.
        drop: sets some of the weights to 0.
        keep: whether to keep them; in training, and with gradients, they always are, so that the same ones are dropped.
    """

    def __init__(self, scores: Callable[[Rows], Tensor], tiles: List[Rows], drop: nn.Dropout, keep: bool) -> None:

        def weights(rows: Rows) -> Tensor:
            found: Tensor = drop(scores(rows).softmax(dim=-1))
            return found

        self._weights, self._tiles = weights, tiles
        kept = keep or drop.training or torch.is_grad_enabled()
        self._kept: Optional[List[Tensor]] = [frugally(weights, rows) for rows in tiles] if kept else None

    def __iter__(self) -> Iterator[Tensor]:
        """``(B, M, rows * W, H * W)`` of one tile after the other."""
        return map(self._weights, self._tiles) if self._kept is None else iter(self._kept)


class ExpandedAggregation(nn.Module):
    """What each cell collects from all others, and its own features: ``norm(skip * own + mean over the modes)``.

    Each mode has values of its own, and a softmax over the modes, whose score is a learned product with what a mode has
    collected, weighs them for each cell.

    Args:
        channels: C.
        modes: M.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        self.value = nn.Linear(channels, modes * channels, bias=False)
        self.mode_score = nn.Linear(channels, 1)
        self.skip = nn.Parameter(torch.ones(1))

    def collect(self, weights: Tensor, values: Tensor) -> Tensor:
        """Weights of a tile ``(B, M, n, N)`` and ``values (B, M, N, C)`` -> ``(B, n, C)``."""
        found = weights @ values
        return (found * self.mode_score(found).softmax(dim=1)).sum(dim=1)

    def values(self, cells: Tensor) -> Tensor:
        """``(B, N, C)`` -> ``(B, M, N, C)``."""
        return self.value(cells).unflatten(-1, (self.modes, -1)).transpose(1, 2)

    def add(self, cells: Tensor, collected: Tensor) -> Tensor:
        """Features and what they have collected, both ``(B, N, C)`` -> the same shape."""
        return normed(self.skip * cells + collected)


class ModeMean(nn.Module):
    """The mean of scores over their modes, weighed by a softmax of ``a * score + b``, number by number."""

    def __init__(self) -> None:
        super().__init__()
        self.mode_score = nn.Linear(1, 1)

    def forward(self, scores: Tensor) -> Tensor:
        """``(B, M, n, N)`` -> ``(B, n, N)``."""
        weights = (scores * self.mode_score.weight[0] + self.mode_score.bias).softmax(dim=1)
        return (scores * weights).sum(dim=1)


def tiles_of(size: Size, batch: int, modes: int) -> List[Rows]:
    """All rows of a grid, as many at a time as scores fit into a tile, at least one."""
    height, width = size
    step = max(1, _TILE_BYTES // (4 * batch * modes * height * width**2))
    return [(top, min(top + step, height)) for top in range(0, height, step)]


def frugally(call: Callable[[Rows], Tensor], rows: Rows) -> Tensor:
    """``call(rows)``; where gradients are wanted, it is computed again for them instead of keeping what it made."""
    if not torch.is_grad_enabled():
        return call(rows)
    found: Tensor = checkpoint(call, rows, use_reentrant=False)
    return found


def over_rows(call: Callable[[Rows], Tensor], size: Size, batch: int, modes: int) -> Tensor:
    """What ``call`` makes of all rows of a grid, tile by tile: ``(B, rows * W, C)`` each -> ``(B, H * W, C)``."""
    tiles = tiles_of(size, batch, modes)
    if torch.is_grad_enabled():
        return torch.cat([frugally(call, rows) for rows in tiles], dim=1)
    first = call(tiles[0])
    found = first.new_empty(batch, size[0] * size[1], first.shape[-1])  # all tiles and the whole would be twice as much
    for i, rows in enumerate(tiles):
        found[:, rows[0] * size[1]:rows[1] * size[1]] = call(rows) if i else first
    return found


def as_cells(features: Tensor) -> Tensor:
    """Features ``(B, C, H, W)`` as attention takes them, ``(B, H * W, C)`` and normed."""
    return normed(features.flatten(2).mT)


def normed(cells: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels, which come last."""
    return F.layer_norm(cells, cells.shape[-1:], eps=EPS)


def as_map(cells: Tensor, size: Size) -> Tensor:
    """``(B, H * W, C)`` -> ``(B, C, H, W)``."""
    return cells.mT.unflatten(2, size)


def initialise(module: nn.Module) -> None:
    """The authors' first weights of all projections in a module."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def begin_with_identity(value: nn.Linear) -> None:
    """Let the values of the first mode begin near the features themselves."""
    with torch.no_grad():
        first = value.weight[:value.in_features]
        first.mul_(0.5).add_(_IDENTITY * torch.eye(len(first)))


def _cells_of(cells: Tensor, rows: Rows, size: Size) -> Tensor:
    return cells[..., rows[0] * size[1]:rows[1] * size[1], :]


@torch.no_grad()
def _beyond(queries: Tensor, keys: Tensor, size: Size) -> Optional[Tensor]:
    """Which samples have a score above the largest one, ``(B, 1, 1, 1)``; None: none has.

    No score exceeds the product of the longest query and the longest key, so as a rule nothing is compared.
    """
    bound: Any = queries.norm(dim=-1).amax(dim=2) * keys.norm(dim=-1).amax(dim=2)
    if bool((bound <= _LARGEST_SCORE).all()):
        return None
    tiles = tiles_of(size, *queries.shape[:2])
    most = torch.stack([(_cells_of(queries, rows, size) @ keys.mT).amax(dim=(1, 2, 3)) for rows in tiles])
    beyond = (most.amax(dim=0) > _LARGEST_SCORE).view(-1, 1, 1, 1)
    return beyond if bool(beyond.any()) else None

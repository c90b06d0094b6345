"""Convolutions of 3 x 3 with fewer multiplications: Winograd's minimal filtering, without gradients.

Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, F(4 x 4, 3 x 3): tiles of 6 x 6 are
transformed, multiplied number by number with the transformed weights and summed over channels, and transformed back to
4 x 4 results: 36 products where the sum over the window takes 144. Results differ from the plain sum by float32
rounding, about four times that of the plain sum itself.
"""
from __future__ import annotations

import functools
import math
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# of the interpolation points 0, 1, -1, 2, -2 and infinity
_OF_TILES = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0),
             (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))
_OF_WEIGHTS = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6),
               (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))
_OF_PRODUCTS = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
_SIDE, _STEP = 6, 4  # of a tile, px; tiles overlap by 2
# with fewer channels the transforms cost more than they save
_LEAST_CHANNELS = 64
# of a sample; with fewer the weights take longer to transform than a pass of some iterations saves
_LEAST_TILES = 12
# that are transformed at a time: more than a cache holds is slower than the plain sum
_MOST_TILES = 128
_AT_ONCE = 32  # channels


class WinogradConvolutions(TorchFunctionMode):
    """While it is active, convolutions that gain from it are computed by :func:`convolve`: of 3 x 3, stride 1,
    padding 1, one group, 64 channels and more on both sides, 12 tiles of 4 x 4 cells and more (frames from 96 x 128 px
    on), float32, on a CPU, without autocast and gradients; all others are as they were.

    Weights are transformed once, so none may change while it is active. The result for a sample does not depend on the
    other samples of its batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._weights: Dict[int, Tuple[Tensor, Tensor]] = {}  # with the weight itself, so that its id stays its own

    def __torch_function__(self, func: Callable[..., Any], types: Iterable[type], args: Tuple[Any, ...] = (),
                           kwargs: Optional[Dict[str, Any]] = None) -> Any:
        """See :class:`torch.overrides.TorchFunctionMode`."""
        kwargs = kwargs or {}
        if func is torch.conv2d and _gains(*args, **kwargs):
            return self._convolve(*args, **kwargs)
        return func(*args, **kwargs)

    def _convolve(self, inputs: Tensor, weight: Tensor, bias: Optional[Tensor] = None, *_: Any, **__: Any) -> Tensor:
        if id(weight) not in self._weights:
            self._weights[id(weight)] = (weight, transform_weights(weight))
        return convolve(inputs, self._weights[id(weight)][1], bias)


def transform_weights(weight: Tensor) -> Tensor:
    """``(36, C, C')`` of weights ``(C', C, 3, 3)``, float32."""
    side = weight.new_tensor(_OF_WEIGHTS, dtype=torch.float64)
    found = weight.new_empty(_SIDE**2, *weight.shape[1::-1], dtype=torch.float32)
    # rows, then columns; some channels at a time, as float64 of all of them is more than a cache holds
    for part, out in zip(weight.split(_AT_ONCE, dim=1), found.split(_AT_ONCE, dim=1)):
        rows = side @ part.permute(2, 3, 1, 0).double().reshape(3, -1)
        out.copy_((side @ rows.view(_SIDE, 3, -1)).view_as(out))
    return found


def convolve(inputs: Tensor, weights: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    """A convolution of 3 x 3, stride 1, padded by a pixel of zeros.

    Args:
        inputs: ``(B, C, H, W)`` float32.
        weights: of :func:`transform_weights`.
        bias: ``(C', )``.

    Returns:
        ``(B, C', H, W)``, channels last in memory.
    """
    batch, channels, height, width = inputs.shape
    down, right = -(-height // _STEP), -(-width // _STEP)
    rows = inputs.permute(0, 2, 3, 1)
    rows = F.pad(rows, (0, 0, 1, 1 + _STEP * right - width, 1, 1 + _STEP * down - height)).contiguous()
    of_batch, of_row, of_column, _ = rows.stride()
    found = inputs.new_empty(batch, down, _STEP, right, _STEP, weights.shape[2])
    at_once = max(1, _MOST_TILES // right)  # rows of tiles
    samples = max(1, at_once // down)
    for begin in range(0, batch, samples):
        for top in range(0, down, at_once):
            out = found[begin:begin + samples, top:top + at_once]
            tiles = rows[begin:, _STEP * top:].as_strided(
                (_SIDE, _SIDE, *out.shape[:2], right, channels),
                (of_row, of_column, of_batch, _STEP * of_row, _STEP * of_column, 1))
            products = torch.bmm(_transformed(_OF_TILES, tiles).view(_SIDE**2, -1, channels), weights)
            results = _transformed(_OF_PRODUCTS, products).view(_STEP, _STEP, *out.shape[:2], right, -1)
            out.copy_(results.permute(2, 3, 0, 4, 1, 5))
    found = found.view(batch, _STEP * down, _STEP * right, -1)[:, :height, :width]
    return (found if bias is None else found + bias).permute(0, 3, 1, 2)


def _transformed(side: Tuple[Tuple[float, ...], ...], tiles: Tensor) -> Tensor:
    """Both sides of each tile transformed at once: ``(n^2, …)`` of ``(6, 6, …)`` or ``(36, …)``."""
    return _both_sides(side) @ tiles.reshape(_SIDE**2, -1)


@functools.lru_cache(maxsize=None)
def _both_sides(side: Tuple[Tuple[float, ...], ...]) -> Tensor:
    """``(n^2, 36)`` float32."""
    matrix = torch.tensor(side, dtype=torch.float32)
    return torch.kron(matrix, matrix)


def _gains(inputs: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> bool:
    return (tuple(weight.shape[2:]) == (3, 3) and min(weight.shape[:2]) >= _LEAST_CHANNELS and groups == 1
            and all(value in (1, (1, 1), [1, 1]) for value in (stride, padding, dilation))
            and inputs.device.type == 'cpu' and inputs.dtype == weight.dtype == torch.float32 and inputs.dim() == 4
            and math.prod(-(-side // _STEP) for side in inputs.shape[2:]) >= _LEAST_TILES
            and not torch.is_grad_enabled() and not torch.is_autocast_enabled('cpu'))

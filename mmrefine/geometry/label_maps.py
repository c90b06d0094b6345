"""Labels of pixels as maps: from ids and back, and at the size of feature cells."""
from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.grid import pixel_grid, sample

VOID = 255  # an id in drawn masks that is neither object nor background


def one_hot(ids: Tensor, objects: Optional[int] = None) -> Tensor:
    """A mask of ids as one map for each: background, object 1, object 2, …

    Args:
        ids: ``(H, W)`` whole numbers; 0 is background, 255 void.
        objects: how many there are; None: as many as the highest id.

    Returns:
        ``(objects + 1, H, W)`` float32, 1 where a pixel has the id; a void pixel is 0 in all maps.

    Raises:
        ValueError: another shape, or an id above ``objects``.
    """
    if ids.dim() != 2 or ids.is_floating_point():
        raise ValueError(f'a mask of ids must be (H, W) of whole numbers, got {tuple(ids.shape)} {ids.dtype}')
    known = ids[ids != VOID]
    highest = int(known.max()) if len(known) else 0
    if objects is not None and highest > objects:
        raise ValueError(f'the mask has the id {highest}, and there are {objects} objects')
    numbers = torch.arange((highest if objects is None else objects) + 1, device=ids.device)
    return (ids == numbers[:, None, None]).float()


def ids_of(labels: Tensor) -> Tensor:
    """The id with the most of each pixel, ``(K, H, W)`` -> ``(H, W)`` uint8; of equal ones the lowest."""
    return labels.argmax(dim=0).to(torch.uint8)


def fill_background(labels: Tensor) -> Tensor:
    """Maps ``(K, H, W)`` whose first one, the background, is what the objects leave of 1."""
    return torch.cat([(1 - labels[1:].sum(dim=0, keepdim=True)).clamp(min=0.), labels[1:]])


def cells_of(labels: Tensor, stride: int, mode: str = 'area') -> Tensor:
    """Maps at the size of feature cells, each of which covers ``stride x stride`` px.

    Args:
        labels: ``(K, H, W)``, sides in multiples of ``stride``.
        stride: px, even.
        mode: ``'area'``, the mean of all pixels of a cell, or ``'bilinear'``, the mean of the four in its middle, which
            is what a bilinear resize without anti-aliasing takes (CorrFlow's reference code).

    Returns:
        ``(K, H / stride, W / stride)``.
    """
    if mode == 'area':
        return F.avg_pool2d(labels[None], stride)[0]
    start = stride // 2 - 1
    return F.avg_pool2d(labels[None, :, start:, start:], 2, stride)[0]


def pixels_of(cells: Tensor, stride: int) -> Tensor:
    """Maps of feature cells at the size of the frame, bilinear between the middles of the cells; the border repeats.

    Args:
        cells: ``(K, h, w)``.
        stride: px.

    Returns:
        ``(K, h * stride, w * stride)``.
    """
    pixels = pixel_grid(cells.shape[-2] * stride, cells.shape[-1] * stride, cells)
    return sample(cells[None], cell_coordinates(pixels, stride), 'border')[0]


def cell_coordinates(pixels: Tensor, stride: int) -> Tensor:
    """Coordinates in px as coordinates in cells; the middle of the first cell is at ``(stride - 1) / 2`` px."""
    return (pixels - (stride - 1) / 2) / stride

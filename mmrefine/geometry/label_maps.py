"""Labels of pixels, each a map of its own: from ids and back, at the size of feature cells, and carried along a flow."""
from __future__ import annotations

from typing import Optional

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.cycle import cycle_consistent
from mmrefine.geometry.grid import pixel_grid, sample
from mmrefine.geometry.warp import backwarp

VOID = 255  # an id in drawn masks that is neither object nor background
RETURN_ALPHA, RETURN_BETA = 0.025, 0.5  # no unit, px: a round trip that misses by more says that the pixel was hidden
LEAST_RETURNING = 0.5  # of the frame


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


def carry_labels(labels: Tensor, flow_bw: Tensor, flow_fw: Optional[Tensor] = None) -> Tensor:
    """Maps of frame t as seen in frame t + 1: ``m'(x) = m(x + flow_bw(x))``, bilinear; 0 comes in from outside.

    What comes into view behind an object has no place in frame t: the way back of such a pixel ends on the object, so
    the object leaves a trail, and the more exact the flow the cleaner the trail. With ``flow_fw``, pixels whose round
    trip misses by more than ``0.025 (|f| + |b|) + 0.5`` px, or leaves the frame, take the value of the nearest pixel
    that does return. Where less than a half of the frame returns, the check says nothing, and every pixel follows its
    own way back.

    Args:
        labels: ``(..., H, W)`` float in [0, 1], of frame t.
        flow_bw: ``(2, H, W)`` px, frame t + 1 -> frame t.
        flow_fw: ``(2, H, W)`` px, frame t -> frame t + 1; None: every pixel follows its own way back.

    Returns:
        the same shape; threshold it only to score it, so that rounding does not add up along the video.

    Raises:
        ValueError: shapes that do not belong together.
    """
    size = tuple(labels.shape[-2:])
    if labels.dim() < 2 or any(flow.shape != (2, *size) for flow in (flow_bw, flow_fw) if flow is not None):
        shapes = ' and '.join(str(tuple(flow.shape)) for flow in (flow_bw, flow_fw) if flow is not None)
        raise ValueError(f'labels (..., H, W) need flows (2, H, W), got {tuple(labels.shape)} and {shapes}')
    carried = backwarp(labels.reshape(1, -1, *size), flow_bw[None]).view_as(labels)
    if flow_fw is None:
        return carried
    returns = cycle_consistent(flow_bw[None], flow_fw[None], RETURN_ALPHA, RETURN_BETA)[0, 0]
    if returns.all() or returns.float().mean() < LEAST_RETURNING:
        return carried
    return fill_from_nearest(carried, returns)


def fill_from_nearest(values: Tensor, known: Tensor) -> Tensor:
    """Each value ``(..., H, W)`` that is not known replaced by that of the nearest pixel where it is.

    Args:
        values: ``(..., H, W)``.
        known: bool ``(H, W)``, true somewhere.
    """
    hidden = (~known).cpu().numpy().astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(nearest.max() + 1, np.int64)
    sources = np.flatnonzero(hidden == 0)
    source[nearest.ravel()[sources]] = sources
    return values.flatten(-2)[..., torch.from_numpy(source[nearest]).to(values.device)]

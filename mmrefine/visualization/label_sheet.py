"""Labels side by side with what speaks for and against them, one row a pair."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

import numpy as np

from mmrefine.structures import FlowLabel
from mmrefine.visualization.flow_wheel import UNKNOWN_GREY, draw_wheel, flow_to_rgb
from mmrefine.visualization.sheets import GAP, SOFT, WORSE, panel, write_text

TILE_WIDTH, COLUMNS, HEAD = 320, 4, 84  # px, panels a row, px
# the error at which the picture is fully red; the same in all sheets, so that scenes can be compared
FULL_ERROR = {'cycle error': (1., 'px'), 'colour residual': (30., 'grey levels')}


@dataclass(frozen=True)
class LabelRow:
    """What is drawn of one pair.

    Args:
        name: shown over the frame.
        frame: ``(H, W, 3)`` uint8 RGB, the frame that is labelled.
        label: its label.
        error: ``(H, W)``, what is not finite is unknown.
        error_name: which error: ``'cycle error'`` (px) or ``'colour residual'`` (grey levels).
    """
    name: str
    frame: np.ndarray
    label: FlowLabel
    error: np.ndarray
    error_name: str = 'cycle error'


def label_sheet(title: str, rows: Iterable[LabelRow], max_motion: float) -> np.ndarray:
    """A contact sheet of labels: frame, kept motion, weight and error of each pair, under a legend.

    All motion shares one scale, and all errors of a kind share one over all sheets. Motion that was not kept is dark grey; weight goes
    from black (0) to white (1), error from white (none) to red.

    Args:
        title: of the sheet.
        rows: at least one; drawn as they come, so they may be read one by one. All of one size.
        max_motion: px of full colour, see :func:`~mmrefine.visualization.flow_wheel.sequence_scale`.

    Returns:
        ``(h, 1316, 3)`` uint8 RGB.

    Raises:
        ValueError: no rows, a label or an error of another size than its frame, or an error that does not exist.
    """
    drawn = [_row(row, max_motion) for row in rows]
    if not drawn:
        raise ValueError(f'a sheet of labels needs at least one label, {title} has none')
    gap = np.full((GAP, drawn[0].shape[1], 3), 255, dtype=np.uint8)
    parts = [_head(title, drawn[0].shape[1], max_motion)]
    for row in drawn:
        parts += [row, gap]
    return np.vstack(parts[:-1])


def _row(row: LabelRow, max_motion: float) -> np.ndarray:
    size = row.frame.shape[:2]
    if tuple(row.label.weight.shape[1:]) != size or row.error.shape != size:
        raise ValueError(f'{row.name}: label and error must have the size of the frame, {size}, got {tuple(row.label.weight.shape[1:])} '
                         f'and {row.error.shape}')
    if row.error_name not in FULL_ERROR:
        raise ValueError(f'{row.name}: the error must be one of {", ".join(FULL_ERROR)}, got {row.error_name!r}')
    full, unit = FULL_ERROR[row.error_name]
    weight = row.label.weight[0].cpu().numpy()
    motion = flow_to_rgb(row.label.flow.permute(1, 2, 0).cpu().numpy(), max_motion, weight > 0)
    grey = np.repeat(np.round(255 * weight).astype(np.uint8)[..., None], 3, axis=2)
    known = row.error[np.isfinite(row.error)]
    mean = f'mean {known.mean():.2f} {unit}' if known.size else 'unknown'
    panels = [(row.name, row.frame), ('motion that was kept', motion), (f'weight: {row.label.kept:.1%} kept', grey),
              (f'{row.error_name}: {mean} (red at {full:g})', _reddened(row.error, full))]
    tiles = [panel(text, picture, TILE_WIDTH) for text, picture in panels]
    gap = np.full((tiles[0].shape[0], GAP, 3), 255, dtype=np.uint8)
    return np.hstack([part for tile in tiles for part in (tile, gap)][:-1])


def _reddened(error: np.ndarray, full: float) -> np.ndarray:
    known = np.isfinite(error)
    share = np.minimum(np.where(known, error, 0) / full, 1)[..., None]
    colors = np.round(255 - share * (255 - WORSE)).astype(np.uint8)
    colors[~known] = UNKNOWN_GREY
    return colors


def _head(title: str, width: int, max_motion: float) -> np.ndarray:
    head = np.full((HEAD, width, 3), 255, dtype=np.uint8)
    size = HEAD - 2 * GAP
    head[GAP:GAP + size, :size] = draw_wheel(size)
    write_text(head, title, size + GAP, HEAD // 2 - 4)
    legend = (f'colour: direction and length of the motion, full at {max_motion:.2f} px or more; white: no motion; dark grey: not labelled '
              'or unknown')
    write_text(head, legend, size + GAP, HEAD // 2 + 18, SOFT)
    return head

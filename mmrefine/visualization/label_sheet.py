"""Labels side by side with what speaks for and against them, one row a pair."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

import numpy as np

from mmrefine.structures import FlowLabel
from mmrefine.visualization.flow_wheel import flow_to_rgb
from mmrefine.visualization.panels import error_picture, grey_picture, joined, label_arrays, legend, panel

TILE_WIDTH = 320  # px
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

    All motion shares one scale, and all errors of a kind share one over all sheets. Motion that was not kept is dark
    grey; weight goes from black (0) to white (1), error from white (none) to red.

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
    about = (f'colour: direction and length of the motion, full at {max_motion:.2f} px or more; white: no motion; '
             'dark grey: not labelled or unknown')
    return np.vstack([legend(drawn[0].shape[1], (title, about)), joined(drawn, 0)])


def _row(row: LabelRow, max_motion: float) -> np.ndarray:
    flow, weight = label_arrays(row.label)
    size = row.frame.shape[:2]
    if weight.shape != size or row.error.shape != size:
        raise ValueError(f'{row.name}: label and error must have the size of the frame, {size}, got {weight.shape} and '
                         f'{row.error.shape}')
    if row.error_name not in FULL_ERROR:
        raise ValueError(f'{row.name}: the error must be one of {", ".join(FULL_ERROR)}, got {row.error_name!r}')
    full, unit = FULL_ERROR[row.error_name]
    known = row.error[np.isfinite(row.error)]
    mean = f'mean {known.mean():.2f} {unit}' if known.size else 'unknown'
    panels = [(row.name, row.frame),
              ('motion that was kept', flow_to_rgb(flow, max_motion, weight > 0)),
              (f'weight: {row.label.kept:.1%} kept', grey_picture(weight)),
              (f'{row.error_name}: {mean} (red at {full:g})', error_picture(row.error, full))]
    return joined([panel(text, picture, TILE_WIDTH) for text, picture in panels], 1)

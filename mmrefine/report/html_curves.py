"""The section of the report with the curves of the training."""
from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from mmrefine.report.plots import line_plot

POINTS = 200
# shown in this order: title with unit
CURVES: Dict[str, str] = {
    'loss': 'training loss', 'epe_to_label': 'distance to the labels [px]', 'lr': 'learning rate', 'grad_norm': 'norm of the gradient'
}


def thin_curve(values: Sequence[float], last_step: int, points: int = POINTS) -> Dict[str, Any]:
    """A curve of few points: means over equally many steps each (the last may have fewer); values that are not finite are left out.

    Args:
        values: one for each optimiser step, the last of them at ``last_step``.
        last_step: counted from 1.
        points: at most.

    Returns:
        ``steps`` (the middle of each mean, rounded up), ``values`` and ``mean_of`` (steps).
    """
    width = max(1, -(-len(values) // points))
    first = last_step - len(values) + 1
    steps: List[int] = []
    means: List[float] = []
    for start in range(0, len(values), width):
        part = [float(value) for value in values[start:start + width]]
        known = [value for value in part if math.isfinite(value)]
        if known:
            steps.append(first + start + len(part) // 2)
            means.append(math.fsum(known) / len(known))
    return dict(steps=steps, values=means, mean_of=width)


def curves_section(curves: Mapping[str, Any]) -> str:
    """A plot of each known curve; empty without any."""
    plots = [line_plot(CURVES[name], *points, 'optimiser step') for name, points in _shown(curves)]
    if not plots:
        return ''
    widths = {curves[name].get('mean_of', 1) for name, _ in _shown(curves)}
    mean = f' Each point is the mean of {max(widths)} steps.' if max(widths) > 1 else ''
    return (f'<p class="soft">What the training minimised, over its steps.{mean}</p>\n<div class="grid plots">\n' +
            '\n'.join(f'<figure>{plot}</figure>' for plot in plots) + '\n</div>')


def _shown(curves: Mapping[str, Any]) -> List[Tuple[str, Tuple[List[float], List[float]]]]:
    found = []
    for name in CURVES:
        curve = curves.get(name) or {}
        both = [(x, y) for x, y in zip(curve.get('steps') or [], curve.get('values') or []) if x is not None and y is not None]
        if both:
            found.append((name, ([x for x, _ in both], [y for _, y in both])))
    return found

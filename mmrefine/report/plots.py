"""Small plots as inline SVG: axes, ticks, a line or dots with bars. The style of the page colours them."""
from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from markupsafe import Markup

from mmrefine.report.template import render

WIDTH, HEIGHT = 360, 210  # of the drawing; it scales with the page
LEFT, RIGHT, TOP, BOTTOM = 54, 348, 26, 170  # of the plane between the axes


class Dot(NamedTuple):
    """A point with the interval of y: [low, high]; an end that is None has no bound.

    ``series`` picks the colour: 0 the first, else the second.
    """
    x: float
    y: float
    interval: Sequence[Optional[float]]
    marked: bool
    series: int = 0


class Axes(NamedTuple):
    """The range of the data that the drawing shows."""
    x: Tuple[float, float]
    y: Tuple[float, float]

    def across(self, x: float) -> float:
        """Where a value of the x axis lies in the drawing."""
        return LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (RIGHT - LEFT)

    def down(self, y: float) -> float:
        """Where a value of the y axis lies in the drawing; at the edge if it lies beyond."""
        return BOTTOM - (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0]) * (BOTTOM - TOP)


def nice_ticks(low: float, high: float, count: int = 4) -> List[float]:
    """About ``count`` round numbers from at most ``low`` to at least ``high``, around both where they are the same.

    They are 1, 2 or 5 times a power of ten apart.
    """
    if not high > low:
        pad = abs(low) / 2 or 1.
        low, high = low - pad, high + pad
    rough = (high - low) / count
    power = 10.**math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [i * step for i in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def line_plot(title: str, points: Sequence[Tuple[float, float]], x_name: str) -> Markup:
    """A line through points.

    Args:
        title: with its unit.
        points: (x, y), at least one, all finite, from left to right.
        x_name: of the x axis.
    """
    xs, ys = zip(*points)
    y_ticks = nice_ticks(min(ys), max(ys))
    factor, power = _power(y_ticks)
    label = f'{title}: {_number(ys[0])} at {x_name} {_number(xs[0])}, {_number(ys[-1])} at {_number(xs[-1])}'
    x_ticks = nice_ticks(min(0, min(xs)), max(xs))
    return _drawing(label, title + power, x_name, x_ticks, y_ticks, factor, line=points)


def dot_plot(dots: Sequence[Dot], x_name: str, title: str, zero: str) -> Markup:
    """Dots with bars, and a dashed line at 0.

    Args:
        dots: at least one; x in [0, 100].
        x_name: of the x axis.
        title: of the y axis with its unit.
        zero: what the dashed line stands for; empty: there is none, and the axis need not hold 0.
    """
    values = [*([0.] if zero else []), *(dot.y for dot in dots)]
    room = 2 * (max(values) - min(values)) or 1.  # an interval without end must not make all else flat
    ends = [end for dot in dots for end in dot.interval if end is not None]
    values += [min(max(end, min(values) - room), max(values) + room) for end in ends]
    label = f'{title} by {x_name}: ' + ', '.join(f'{dot.y:.1f} at {dot.x:.0f}' for dot in dots)
    # students of the same share stand side by side
    beside = [dot._replace(x=dot.x + (2.5 if dot.series else 0)) for dot in dots]
    ticks = nice_ticks(min(values), max(values))
    return _drawing(label, title, x_name, [0., 25., 50., 75., 100.], ticks, 1., right=106., dots=beside, zero=zero)


def _drawing(label: str, title: str, x_name: str, x_ticks: Sequence[float], y_ticks: Sequence[float], factor: float,
             right: Optional[float] = None, line: Sequence[Tuple[float, float]] = (), dots: Sequence[Dot] = (),
             zero: str = '') -> Markup:
    axes = Axes((x_ticks[0], right or x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    sizes: Any = dict(width=WIDTH, height=HEIGHT, left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM)
    return render('plot.svg', axes=axes, label=label, title=title, x_name=x_name, line=line, dots=dots, zero=zero,
                  x_ticks=[(axes.across(tick), _number(tick)) for tick in x_ticks],
                  y_ticks=[(axes.down(tick), _number(tick / factor)) for tick in y_ticks], **sizes)


def _power(ticks: Sequence[float]) -> Tuple[float, str]:
    """The power of ten by which numbers that would be long are divided, and how it is written behind the title."""
    largest = max(abs(tick) for tick in ticks)
    if largest == 0 or .01 <= largest < 1e5:
        return 1., ''
    power = math.floor(math.log10(largest) + 1e-9)
    return 10.**power, f' × 10{str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))}'


def _number(value: float) -> str:
    """Short, with a minus sign; ticks such as 0.30000000000000004 lose their tail."""
    return f'{value:.4g}'.replace('-', '−').replace('e−0', 'e−').replace('e+0', 'e')

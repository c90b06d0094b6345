"""Small plots as inline SVG: axes, ticks, a line or dots with bars. Colours come from the style of the page."""
from __future__ import annotations

import math
from html import escape
from typing import List, NamedTuple, Optional, Sequence, Tuple

WIDTH, HEIGHT = 360, 210  # of the drawing; it scales with the page
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 26, 40


class Dot(NamedTuple):
    """A point with its interval; an end that is None has no bound. ``series`` picks the colour: 0 the first, else the second."""
    x: float
    y: float
    low: Optional[float]
    high: Optional[float]
    marked: bool
    series: int = 0


class Axes(NamedTuple):
    """The range of the data that the drawing shows."""
    x: Tuple[float, float]
    y: Tuple[float, float]

    def at(self, x: float, y: float) -> Tuple[float, float]:
        """Where a point lies in the drawing."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def nice_ticks(low: float, high: float, count: int = 4) -> List[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten apart) of which the first is at most ``low``, the last at least
    ``high``; two even where both are the same."""
    if not high > low:
        pad = abs(low) / 2 or 1.
        low, high = low - pad, high + pad
    rough = (high - low) / count
    power = 10.**math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def line_plot(title: str, xs: Sequence[float], ys: Sequence[float], x_name: str) -> str:
    """A line through points; at least one point, all finite.

    Args:
        title: with its unit; not escaped yet.
        xs: growing.
        ys: as many.
        x_name: of the x axis; not escaped yet.
    """
    x_ticks, y_ticks = nice_ticks(min(0, min(xs)), max(xs)), nice_ticks(min(ys), max(ys))
    axes = Axes((x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    points = [axes.at(x, y) for x, y in zip(xs, ys)]
    factor, power = _power(y_ticks)
    drawn = f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    if len(points) == 1:
        drawn = f'<circle class="dot" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>'
    told = f'{title}: {_number(ys[0])} at {x_name} {_number(xs[0])}, {_number(ys[-1])} at {_number(xs[-1])}'
    return _drawing(told, title + power, x_name, _frame(axes, x_ticks, y_ticks, factor) + drawn)


def dot_plot(dots: Sequence[Dot], x_name: str, title: str, zero: str) -> str:
    """Dots with bars, and a dashed line at 0.

    Args:
        dots: at least one; x in [0, 100].
        x_name: of the x axis; not escaped yet.
        title: of the y axis with its unit; not escaped yet.
        zero: what the dashed line stands for; not escaped yet.
    """
    values = [0.] + [dot.y for dot in dots]
    room = 2 * (max(values) - min(values)) or 1.  # an interval without end must not make all else flat
    ends = [end for dot in dots for end in (dot.low, dot.high) if end is not None]
    values += [min(max(end, min(values) - room), max(values) + room) for end in ends]
    x_ticks, y_ticks = [0., 25., 50., 75., 100.], nice_ticks(min(values), max(values))
    axes = Axes((0., 106.), (y_ticks[0], y_ticks[-1]))
    _, level = axes.at(0, 0)
    words = level - 4 if level > TOP + 14 else level + 13  # above the line, unless the title is there
    drawn = [f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>',
             f'<text x="{LEFT + 4}" y="{words:.1f}">{escape(zero)}</text>']  # yapf: disable
    for dot in dots:
        # students of the same share stand side by side
        x, y = axes.at(dot.x + (2.5 if dot.series else 0), dot.y)
        low, high = (axes.at(0, math.copysign(1e9, sign) if end is None else end)[1] for sign, end in ((-1, dot.low), (1, dot.high)))
        marks = '' if dot.low is dot.high is None else f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        marks += f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
        marks += f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6.5"/>' if dot.marked else ''
        drawn.append(f'<g class="{"b" if dot.series else "a"}">{marks}</g>')
    told = f'{title} by {x_name}: ' + ', '.join(f'{dot.y:.1f} at {dot.x:.0f}' for dot in dots)
    return _drawing(told, title, x_name, _frame(axes, x_ticks, y_ticks) + ''.join(drawn))


def _frame(axes: Axes, x_ticks: Sequence[float], y_ticks: Sequence[float], factor: float = 1.) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in y_ticks:
        _, y = axes.at(axes.x[0], tick)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(tick / factor)}</text>')
    for tick in x_ticks:
        x, _ = axes.at(tick, axes.y[0])
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
                     f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="{"end" if x > right - 8 else "middle"}">{_number(tick)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    return ''.join(parts)


def _power(ticks: Sequence[float]) -> Tuple[float, str]:
    """The power of ten by which numbers are divided that would be long, and how it is written behind the title."""
    largest = max(abs(tick) for tick in ticks)
    if largest == 0 or .01 <= largest < 1e5:
        return 1., ''
    power = math.floor(math.log10(largest) + 1e-9)
    return 10.**power, f' × 10{str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))}'


def _drawing(told: str, title: str, x_name: str, drawn: str) -> str:
    return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}">'
            f'<text class="on" x="0" y="14">{escape(title)}</text>{drawn}'
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text></svg>')


def _number(value: float) -> str:
    """Short, with a minus sign; ticks such as 0.30000000000000004 lose their tail."""
    return f'{value:.4g}'.replace('-', '−').replace('e−0', 'e−').replace('e+0', 'e')

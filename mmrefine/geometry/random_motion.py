"""Random motion, exact as a formula."""
from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple, Protocol, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.grid import pixel_grid


class Draws(Protocol):
    """What is needed of a random generator; :class:`numpy.random.Generator` has it."""

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""

    def normal(self, *, size: Any) -> Any:
        """An array of standard normal numbers."""

    def integers(self, low: int, high: int, *, size: Any = ..., endpoint: bool = ...) -> Any:
        """Integers from ``low`` up to ``high``, which is excluded unless ``endpoint``."""


class Similarity(NamedTuple):
    """Turn and zoom about a centre, then a translation: ``p -> c + scale R(angle) (p - c) + shift``.

    Args:
        center: (x, y) px.
        angle: radians.
        scale: above 0.
        shift: (x, y) px.
    """
    center: Tuple[float, float]
    angle: float
    scale: float
    shift: Tuple[float, float]

    def motion(self, points: Tensor) -> Tensor:
        """The motion of points ``(B, 2, H, W)`` px: the same shape, px."""
        x, y = points[:, 0] - self.center[0], points[:, 1] - self.center[1]
        cos, sin = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        return torch.stack([(cos - 1) * x - sin * y + self.shift[0], sin * x + (cos - 1) * y + self.shift[1]], dim=1)

    def inverse(self) -> Similarity:
        """The similarity that undoes this one."""
        back = Similarity((self.center[0] + self.shift[0], self.center[1] + self.shift[1]), -self.angle, 1 / self.scale,
                          (0., 0.))
        return back._replace(shift=(-self.shift[0], -self.shift[1]))


class Ellipse(NamedTuple):
    """A region: centre (x, y) px, half axes px, and the angle of the first half axis in radians."""
    center: Tuple[float, float]
    axes: Tuple[float, float]
    angle: float

    def covers(self, points: Tensor) -> Tensor:
        """Which of the points ``(B, 2, H, W)`` px lie inside or on the edge: bool ``(B, 1, H, W)``."""
        x, y = points[:, :1] - self.center[0], points[:, 1:] - self.center[1]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return ((cos * x + sin * y) / self.axes[0])**2 + ((cos * y - sin * x) / self.axes[1])**2 <= 1


def random_similarity(rng: Draws, center: Tuple[float, float], length: Callable[[], float], turn: float,
                      zoom: float) -> Similarity:
    """A similarity in any direction.

    Args:
        rng: where the numbers come from.
        center: (x, y) px.
        length: draws the length of the translation, px.
        turn: largest rotation either way, degrees.
        zoom: largest change of scale either way, log2.
    """
    angle, scale = math.radians(rng.uniform(-turn, turn)), 2**rng.uniform(-zoom, zoom)
    heading = rng.uniform(0, 2 * math.pi)
    far = length()
    return Similarity(center, angle, scale, (far * math.cos(heading), far * math.sin(heading)))


def random_ellipse(rng: Draws, height: int, width: int) -> Ellipse:
    """An ellipse with its centre in the frame and half axes of 6 to 30 % of its height."""
    center = (rng.uniform(0, width), rng.uniform(0, height))
    axes = (rng.uniform(0.06, 0.3) * height, rng.uniform(0.06, 0.3) * height)
    return Ellipse(center, axes, math.radians(rng.uniform(0, 180)))


def smooth_motion(rng: Draws, height: int, width: int) -> Tensor:
    """A smooth random motion: ``(1, 2, H, W)`` px, cubic between 3 to 6 standard normal numbers a side."""
    rows, columns = (int(n) for n in rng.integers(3, 7, size=2))
    coarse = torch.as_tensor(rng.normal(size=(rows, columns, 2)), dtype=torch.float32)
    return F.interpolate(coarse.permute(2, 0, 1)[None], size=(height, width), mode='bicubic')


def pieced_motion(rng: Draws, height: int, width: int, max_motion: float, turn: float, zoom: float,
                  pieces: Tuple[int, int]) -> Tensor:
    """A similarity and a bend over the whole frame, and further similarities in a few ellipses, so that it has edges.

    Args:
        rng: where the numbers come from.
        height: of the frame, px.
        width: of the frame, px.
        max_motion: longest translation of the frame and of an ellipse, px; lengths are spread evenly, so that slow
            motion is as frequent as fast. The bend is a tenth of it.
        turn: largest rotation either way, degrees.
        zoom: largest change of scale either way, log2.
        pieces: fewest and most ellipses.

    Returns:
        ``(1, 2, H, W)`` float32 px.
    """

    def length() -> float:
        return rng.uniform(0, max_motion)

    # in double precision up to where formulas end
    points = pixel_grid(height, width, torch.zeros((), dtype=torch.float64))
    flow = random_similarity(rng, (0.5 * width, 0.5 * height), length, turn, zoom).motion(points).float()
    flow = flow + 0.1 * max_motion * smooth_motion(rng, height, width)
    for _ in range(int(rng.integers(pieces[0], pieces[1], endpoint=True))):
        region = random_ellipse(rng, height, width)
        own = random_similarity(rng, region.center, length, turn, zoom).motion(points).float()
        flow = torch.where(region.covers(points), flow + own, flow)
    return flow

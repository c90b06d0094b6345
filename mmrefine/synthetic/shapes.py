"""Outlines of objects as tables of signed distance in canonical px."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmrefine.synthetic.style import WorldStyle

OUTSIDE = -1e3  # signed distance (px) off the table


@dataclass(frozen=True)
class Shape:
    """An outline: ``distance(u) > 0`` inside, canonical px.

    The outline *is* the bilinear interpolation of the table, so it has an
    exact value at every real point.

    Attributes:
        table: float32 ``(h, w)`` signed distance, px, positive inside.
        density: table cells per canonical px.
        half: half width and half height of the outline, canonical px.
    """

    table: np.ndarray
    density: float
    half: tuple

    def cells(self, x: np.ndarray, y: np.ndarray) -> tuple:
        """Table coordinates (column, row) of canonical points."""
        h, w = self.table.shape
        return (x * self.density + 0.5 * (w - 1),
                y * self.density + 0.5 * (h - 1))

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance, px, at canonical points; ``OUTSIDE`` off the table."""
        cx, cy = self.cells(x, y)
        h, w = self.table.shape
        inside = (cx >= 0) & (cy >= 0) & (cx <= w - 1) & (cy <= h - 1)
        cx, cy = cx[inside], cy[inside]
        x0 = np.minimum(cx.astype(np.intp), w - 2)
        y0 = np.minimum(cy.astype(np.intp), h - 2)
        fx, fy = cx - x0, cy - y0
        flat = self.table.ravel()
        at = y0 * w + x0
        top = flat[at] * (1 - fx) + flat[at + 1] * fx
        bottom = flat[at + w] * (1 - fx) + flat[at + w + 1] * fx
        out = np.full(inside.shape, OUTSIDE)
        out[inside] = top * (1 - fy) + bottom * fy
        return out


def random_shape(rng: np.random.Generator, radius: float,
                 style: WorldStyle) -> Shape:
    """A bar, blob, star, polygon or ellipse of about that radius (px)."""
    if rng.uniform() < style.thin_share:
        thick = max(1.3, radius * rng.uniform(0.06, 0.16))
        rings = [_bar(rng, radius * 1.3, thick)]
    else:
        kind = rng.choice(['blob', 'star', 'polygon', 'ellipse'],
                          p=[0.4, 0.2, 0.2, 0.2])
        rings = [_ring(rng, kind, radius)]
        if rng.uniform() < style.hole_share:
            for _ in range(int(rng.integers(1, 3))):
                hole = _ring(rng, 'blob', radius * rng.uniform(0.15, 0.3))
                angle = rng.uniform(0, 2 * np.pi)
                shift = radius * rng.uniform(0, 0.4)
                rings.append(hole + shift * np.array(
                    [np.cos(angle), np.sin(angle)]))
    return shape_from_rings(rings, float(np.clip(100 / radius, 1.25, 2.5)))


def shape_from_rings(rings: list, density: float) -> Shape:
    """A shape from closed polygons ``(n, 2)`` px; all but the first are holes."""
    half = np.abs(rings[0]).max(0)
    w, h = (int(v) for v in np.ceil(2 * half * density) + 9)
    mask = np.zeros((h, w), np.uint8)
    middle = np.array([0.5 * (w - 1), 0.5 * (h - 1)])
    for i, ring in enumerate(rings):
        points = np.round((ring * density + middle) * 64).astype(np.int32)
        cv2.fillPoly(mask, [points], 0 if i else 1, cv2.LINE_8, 6)
    kept = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    lost = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    table = np.where(mask > 0, kept - 0.5, 0.5 - lost) / density
    return Shape(table.astype(np.float32), density,
                 (float(half[0]) + 1, float(half[1]) + 1))


def _ring(rng: np.random.Generator, kind: str, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    flat = rng.uniform(0.5, 1.0)
    if kind == 'blob':
        r = np.ones_like(turn)
        for n in range(2, 7):
            r += rng.normal() * 0.35 / n * np.sin(n * turn + rng.uniform(0, 6.3))
        r = np.maximum(r, 0.3)
    elif kind == 'star':
        n = int(rng.integers(4, 8))
        r = 1 + rng.uniform(0.25, 0.45) * np.sin(n * turn)
    elif kind == 'polygon':
        n = int(rng.integers(3, 7))
        turn = (np.arange(n) + rng.uniform(-0.25, 0.25, n)) * 2 * np.pi / n
        r = rng.uniform(0.85, 1.25, n)
    else:
        r = np.ones_like(turn)
    ring = np.stack([r * np.cos(turn), flat * r * np.sin(turn)], 1)
    return ring * (radius / np.sqrt(flat) / max(1.0, r.mean()))


def _bar(rng: np.random.Generator, length: float, thick: float) -> np.ndarray:
    """A bent rod with half length ``length`` and half thickness ``thick``."""
    along = np.linspace(-1, 1, 40)
    curve = rng.uniform(-0.35, 0.35) * length * (along**2 - 0.4)
    width = thick * (1 + rng.uniform(0, 0.5) * along)
    upper = np.stack([along * length, curve - width], 1)
    lower = np.stack([along * length, curve + width], 1)
    return np.concatenate([upper, lower[::-1]])

"""A scene of layers in painter's order: its pictures and its exact labels."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

from mmrefine.synthetic.layers import LayerMotion
from mmrefine.synthetic.look import Look
from mmrefine.synthetic.shapes import OUTSIDE, Shape
from mmrefine.synthetic.style import WorldStyle

Arrays = Tuple[np.ndarray, np.ndarray, np.ndarray]

_CORNERS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


@dataclass(frozen=True)
class Layer:
    """One moving textured sheet.

    Attributes:
        motion: canonical coordinates <-> frame px.
        paint: float32, grey levels. Background: a ``(s, s, 3)`` tile, one
            cell per canonical px. Object: ``(h, w, 4)``, RGB and signed
            distance (px), on the cells of ``shape``.
        shape: outline; ``None`` for the background, which is everywhere.
    """

    motion: LayerMotion
    paint: np.ndarray
    shape: Shape | None

    def draw(self, out: np.ndarray, x: np.ndarray, y: np.ndarray, t: float) -> None:
        """Paint the layer as it is at time ``t`` over ``out``.

        Args:
            out: float32 ``(H, W, 3)``, grey levels; changed in place.
            x, y: float32 ``(1, W)`` and ``(H, 1)``, the frame points of its pixels, px.
            t: time, frames.
        """
        if self.shape is None:
            u, v = np.broadcast_arrays(*self.motion.inverse(x, y, t))
            # Positive coordinates: a wrapped map of far negative ones is slow.
            size = np.float32(self.paint.shape[0])
            out[:] = cv2.remap(self.paint, u % size, v % size, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            return
        rows, cols = pixels_in(self.motion.box(self.shape.half, t), out.shape)
        under = out[rows, cols]
        if not under.size:
            return
        u, v = self.motion.inverse(x[:, cols], y[rows], t)
        u, v = self.shape.cells(*np.broadcast_arrays(u, v))
        paint = cv2.remap(self.paint, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                          borderValue=(0, 0, 0, OUTSIDE))
        # Half a px of soft edge; the samples' offsets give the rest.
        alpha = np.clip(2 * paint[..., 3:] + 0.5, 0, 1)
        under += alpha * (paint[..., :3] - under)


@dataclass(frozen=True)
class Scene:
    """Layers and recording of one clip, for every time.

    Attributes:
        size: frame ``(H, W)`` px.
        layers: the background, then the objects from front to back; the
            position in this tuple is the layer's id.
        samples: ``(dt, dx, dy)`` instants (frames) and pixel offsets whose
            mean is the picture; they average to zero.
        look: degradations.
        key: integers that name the scene's random streams.
    """

    size: tuple
    layers: tuple
    samples: tuple
    look: Look
    key: tuple

    def top(self, x: np.ndarray, y: np.ndarray, t: float) -> Arrays:
        """The layers on top at float64 frame points, also outside the frame.

        Returns:
            ids of the layers, uint8, and the canonical points ``u, v`` seen there.
        """
        ids = np.zeros(x.shape, np.uint8)
        u, v = self.layers[0].motion.inverse(x, y, t)
        for i, layer in reversed(list(enumerate(self.layers))[1:]):
            near = _in_box(layer.motion.box(layer.shape.half, t), x, y)
            if not near.any():
                continue
            lu, lv = layer.motion.inverse(x[near], y[near], t)
            hit = layer.shape.distance(lu, lv) > 0
            near[near] = hit
            ids[near], u[near], v[near] = i, lu[hit], lv[hit]
        return ids, u, v

    def follow(self, ids: np.ndarray, u: np.ndarray, v: np.ndarray,
               t: float) -> Arrays:
        """Frame points of canonical points and whether they are seen.

        Seen means inside the frame, pixel centres of the border included,
        with no layer in front.

        Args:
            ids: layer of each point.
            u, v: float64 canonical points, same shape.
            t: time, frames.

        Returns:
            ``(x, y, visible)``.
        """
        x, y = np.empty(u.shape), np.empty(u.shape)
        for i, layer in enumerate(self.layers):
            own = ids == i
            if own.any():
                x[own], y[own] = layer.motion.forward(u[own], v[own], t)
        h, w = self.size
        visible = (x >= 0) & (y >= 0) & (x <= w - 1) & (y <= h - 1)
        for i, layer in enumerate(self.layers[1:], 1):
            near = visible & ((ids > i) | (ids == 0))
            near &= _in_box(layer.motion.box(layer.shape.half, t), x, y)
            if near.any():
                lu, lv = layer.motion.inverse(x[near], y[near], t)
                visible[near] = layer.shape.distance(lu, lv) <= 0
        return x, y, visible

    def picture(self, t: int) -> np.ndarray:
        """The frame before degradation: float32 ``(H, W, 3)``, grey levels."""
        total = np.zeros(self.size + (3, ), np.float32)
        for dt, dx, dy in self.samples:
            total += self._instant(t + dt, dx, dy)
        return total / np.float32(len(self.samples))

    def frame(self, t: int) -> np.ndarray:
        """The recorded frame: uint8 ``(H, W, 3)`` RGB."""
        return self.look(self.picture(t), t)

    def _instant(self, t: float, dx: float, dy: float) -> np.ndarray:
        h, w = self.size
        x = (np.arange(w) + dx).astype(np.float32)[None]
        y = (np.arange(h) + dy).astype(np.float32)[:, None]
        out = np.zeros((h, w, 3), np.float32)
        for layer in (self.layers[0], *reversed(self.layers[1:])):
            layer.draw(out, x, y, t)
        return out


def shutter_samples(rng: np.random.Generator, style: WorldStyle) -> tuple:
    """Instants over the shutter, each at its own place inside the pixel."""
    if style.shutter == 0:
        return tuple((0.0, dx, dy) for dx, dy in _CORNERS)
    n = int(rng.integers(style.subframes[0], style.subframes[1] + 1))
    at = (np.arange(n) + 0.5) / n - 0.5
    return tuple((style.shutter * float(dt), 0.7 * float(dt), -0.7 * float(dt))
                 for dt in at)


def pixels_in(box: tuple, size: tuple) -> tuple[slice, slice]:
    """Rows and columns of a frame of ``size`` that a box ``(x0, y0, x1, y1)`` px touches; empty if it is outside."""
    h, w = size[:2]
    x0, y0, x1, y1 = box
    c0, c1 = max(int(x0) - 1, 0), min(int(x1) + 3, w)
    r0, r1 = max(int(y0) - 1, 0), min(int(y1) + 3, h)
    return slice(r0, max(r0, r1)), slice(c0, max(c0, c1))


def _in_box(box: tuple, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie in the frame box ``(x0, y0, x1, y1)``."""
    x0, y0, x1, y1 = box
    return (x >= x0) & (y >= y0) & (x <= x1) & (y <= y1)

"""A scene of textured layers: its pictures and its exact labels."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

from mmrefine.synthetic.layers import LayerMotion, background_motion, random_camera, random_motion
from mmrefine.synthetic.look import Look, random_look
from mmrefine.synthetic.shapes import OUTSIDE, Shape, random_shape
from mmrefine.synthetic.style import WorldStyle
from mmrefine.synthetic.textures import bold_texture, natural_texture

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
        back = self.layers[0]
        u, v = back.motion.inverse(x, y, t)
        # Positive coordinates: a wrapped map of far negative ones is slow.
        size = np.float32(back.paint.shape[0])
        u, v = np.broadcast_arrays(u, v)
        out = cv2.remap(back.paint, u % size, v % size, cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_WRAP)
        for layer in reversed(self.layers[1:]):
            x0, y0, x1, y1 = layer.motion.box(layer.shape.half, t)
            c0, c1 = max(int(x0) - 1, 0), min(int(x1) + 3, w)
            r0, r1 = max(int(y0) - 1, 0), min(int(y1) + 3, h)
            if c0 >= c1 or r0 >= r1:
                continue
            u, v = layer.motion.inverse(x[:, c0:c1], y[r0:r1], t)
            u, v = layer.shape.cells(*np.broadcast_arrays(u, v))
            paint = cv2.remap(layer.paint, u, v, cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_CONSTANT,
                              borderValue=(0, 0, 0, OUTSIDE))
            # Half a px of soft edge; the samples' offsets give the rest.
            alpha = np.clip(2 * paint[..., 3:] + 0.5, 0, 1)
            under = out[r0:r1, c0:c1]
            under += alpha * (paint[..., :3] - under)
        return out


def build_scene(seed: int, size: tuple, style: WorldStyle) -> Scene:
    """The scene of a seed; nothing in it depends on the length of a clip."""
    key = (int(seed), style.code)
    streams = [np.random.default_rng(s)
               for s in np.random.SeedSequence(key).spawn(4)]
    layout, paint, place, record = streams
    height = size[0]
    camera = random_camera(place, size, style)
    count = int(layout.integers(style.objects[0], style.objects[1] + 1))
    texture = bold_texture if style.look == 'bold' else natural_texture
    cells = min(1024, -(-int(1.3 * max(size)) // 64) * 64)  # of the background, px: wider than the frame
    ground = texture(paint, cells)
    pool = [texture(paint, min(cells, 256)) for _ in range(min(count, 3))]
    airlight = np.array([168, 176, 186], np.float32) + paint.normal(0, 8, 3)
    layers = [Layer(background_motion(place, size, style, camera),
                    _hazed(ground, airlight, style, 1.0), None)]
    low, high = style.radius
    for i in range(count):
        depth = i / count
        # Small things are more common than large ones.
        radius = height * (low + (high - low) * layout.uniform()**1.5)
        shape = random_shape(layout, radius, style)
        motion = random_motion(place, size, style, camera, radius, depth)
        hidden = paint.uniform() < style.camouflage
        tile = ground if hidden else pool[i % len(pool)]
        layers.append(Layer(motion, _paint_object(
            paint, tile, shape, radius, style, airlight, depth,
            hidden or i >= len(pool)), shape))
    look = random_look(record, size, style, key + (9, ))
    return Scene(tuple(size), tuple(layers), _samples(record, style), look, key)


def _samples(rng: np.random.Generator, style: WorldStyle) -> tuple:
    """Instants over the shutter, each at its own place inside the pixel."""
    if style.shutter == 0:
        return tuple((0.0, dx, dy) for dx, dy in _CORNERS)
    n = int(rng.integers(style.subframes[0], style.subframes[1] + 1))
    at = (np.arange(n) + 0.5) / n - 0.5
    return tuple((style.shutter * float(dt), 0.7 * float(dt), -0.7 * float(dt))
                 for dt in at)


def _hazed(colour: np.ndarray, airlight: np.ndarray, style: WorldStyle,
           depth: float) -> np.ndarray:
    if style.haze is None:
        return colour.astype(np.float32)
    share = style.haze[0] + (style.haze[1] - style.haze[0]) * depth
    return ((1 - share) * colour + share * airlight).astype(np.float32)


def _paint_object(rng: np.random.Generator, tile: np.ndarray, shape: Shape,
                  radius: float, style: WorldStyle, airlight: np.ndarray,
                  depth: float, recolour: bool) -> np.ndarray:
    """Colour and distance of an object on the cells of its shape."""
    h, w = shape.table.shape
    x = ((np.arange(w, dtype=np.float32) - 0.5 * (w - 1)) / shape.density)[None]
    y = ((np.arange(h, dtype=np.float32) - 0.5 * (h - 1)) / shape.density)[:, None]
    turn = rng.uniform(0, 2 * np.pi)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    size = tile.shape[0]
    ox, oy = (np.float32(v) for v in rng.uniform(0, size, 2))
    colour = cv2.remap(tile.astype(np.float32), (x * c - y * s + ox) % size,
                       (x * s + y * c + oy) % size, cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_WRAP)
    if recolour:
        colour = colour * rng.uniform(0.75, 1.2)
        if style.look == 'bold':
            colour = colour[..., rng.permutation(3)]
    light = rng.uniform(0, 2 * np.pi)
    slope = np.float32(style.shade / radius)
    shade = 1 + slope * (x * np.float32(np.cos(light))
                         + y * np.float32(np.sin(light)))
    rim = np.exp(-np.maximum(shape.table, 0) / np.float32(0.06 * radius + 0.5))
    shade = shade * (1 - np.float32(1.2 * style.shade) * rim)
    colour = _hazed(np.clip(colour * shade[..., None], 0, 255), airlight,
                    style, depth * 0.7)
    return np.ascontiguousarray(np.dstack([colour, shape.table]))


def _in_box(box: tuple, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie in the frame box ``(x0, y0, x1, y1)``."""
    x0, y0, x1, y1 = box
    return (x >= x0) & (y >= y0) & (x <= x1) & (y <= y1)

"""Textures on outlines."""
from __future__ import annotations

import cv2
import numpy as np

from mmrefine.synthetic.shapes import Shape
from mmrefine.synthetic.style import WorldStyle


def shaded_texture(rng: np.random.Generator, tile: np.ndarray, shape: Shape, radius: float, style: WorldStyle,
                   recolour: bool) -> np.ndarray:
    """Colours of an object on the cells of its shape: a piece of a texture under a light gradient, with a rim.

    Args:
        rng: random stream.
        tile: the texture, ``(s, s, 3)``, grey levels.
        shape: outline.
        radius: of the object, px.
        style: world.
        recolour: whether to change the brightness of the texture, and in a bold world its hue.

    Returns:
        float32 ``(h, w, 3)``, grey levels.
    """
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
    return np.clip(colour * shade[..., None], 0, 255)

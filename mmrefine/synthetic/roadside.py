"""Outlines and textures of what is seen from a road; rings are m, x to the right and y down from the foot."""
from __future__ import annotations

import cv2
import numpy as np

from mmrefine.synthetic.shapes import Shape
from mmrefine.synthetic.textures import natural_colour, smooth_noise

_SKIES = ((150, 178, 214), (176, 196, 220), (196, 204, 212))  # RGB: blue, pale and overcast
_HALF_CAR = ((0.5, 0.0), (0.5, 0.52), (0.43, 0.62), (0.33, 1.0))  # shares of width and height, right half from the foot
_WHEELS = ((-0.3, 0.0), (-0.3, 0.14), (0.3, 0.14), (0.3, 0.0))


def car_rings(rng: np.random.Generator) -> list:
    """A car from behind."""
    right = np.array(_HALF_CAR)
    ring = np.concatenate([np.array(_WHEELS), right, right[::-1] * (-1, 1)])
    return [ring * (rng.uniform(1.65, 1.85), -rng.uniform(1.4, 1.9))]


def static_rings(rng: np.random.Generator, room: float) -> list:
    """A pole, a sign, a tree or a bush of at most ``room`` m in width."""
    kind = rng.choice(['pole', 'sign', 'tree', 'bush'], p=[0.2, 0.25, 0.35, 0.2])
    if kind in ('pole', 'sign'):
        half, height = rng.uniform(0.06, 0.14), rng.uniform(2.2, 3.2) if kind == 'sign' else rng.uniform(4.0, 7.5)
        post = np.array([(-half, 0.0), (half, 0.0), (half, -height), (-half, -height)])
        if kind == 'pole':
            return [post]
        corners = int(rng.choice([3, 4, 30]))
        turn = np.pi * (0.5 + (2 * np.arange(corners) + 1) / corners)  # from the lower edge's right end to its left one
        radius = rng.uniform(0.45, 0.8) / np.cos(np.pi / max(corners, 4))
        board = radius * np.stack([-np.cos(turn), np.sin(turn)], axis=1)
        board[:, 1] -= height + board[:, 1].max() - 0.05
        end = board[-1, 1]
        return [np.concatenate([board, [(-half, end), post[0], post[1], (half, end)]])]
    radius = min(rng.uniform(0.9, 2.2) if kind == 'tree' else rng.uniform(0.6, 1.3), 0.42 * room)
    turn = np.linspace(0.5 * np.pi, 2.5 * np.pi, 120)[3:-3]  # a gap at the foot
    wave = 1 + sum(rng.normal() * 0.2 / n * np.sin(n * turn + rng.uniform(0, 6.3)) for n in range(2, 9))
    length = radius * np.clip(wave, 0.7, 1.2)
    flat = rng.uniform(0.8, 1.5)
    crown = np.stack([length * np.cos(turn), flat * length * np.sin(turn)], axis=1)
    if kind == 'bush':
        crown[:, 1] -= crown[:, 1].max()
        return [crown]
    crown[:, 1] -= crown[:, 1].max() + rng.uniform(1.2, 2.4)
    half = 0.08 * radius + 0.06
    return [np.concatenate([crown, [(half, crown[-1, 1]), (half, 0.0), (-half, 0.0), (-half, crown[0, 1])]])]


def draw_car(rng: np.random.Generator, colours: np.ndarray, shape: Shape) -> None:
    """One colour with a window, lights and a plate over the texture of a car, ``(h, w, 3)``, changed in place."""
    colours *= 0.3
    colours += 0.7 * natural_colour(rng) * rng.uniform(0.5, 1.8)
    width, height = 2 * np.array(shape.half)

    def fill(left: float, top: float, right: float, bottom: float, colour: tuple, slant: float = 0.0) -> None:
        corners = np.array([(left + slant, top), (right - slant, top), (right, bottom), (left, bottom)])
        cells = shape.cells((corners[:, 0] - 0.5) * width, (corners[:, 1] - 0.5) * height)
        cv2.fillPoly(colours, [np.round(np.stack(cells, axis=1) * 16).astype(np.int32)], colour, cv2.LINE_8, 4)

    dark = float(rng.uniform(20, 60))
    fill(0.14, 0.07, 0.86, 0.36, (dark, dark + 4, dark + 10), 0.08)
    fill(0.0, 0.86, 1.0, 1.0, (25.0, 25.0, 28.0))
    lights = (190.0, 40.0, 35.0) if rng.uniform() < 0.5 else (235.0, 230.0, 210.0)
    for left in (0.03, 0.83):
        fill(left, 0.5, left + 0.14, 0.6, lights)
    fill(0.38, 0.66, 0.62, 0.74, (225.0, 222.0, 205.0))


def sky_texture(rng: np.random.Generator, size: tuple, tile: np.ndarray, airlight: np.ndarray) -> np.ndarray:
    """Sky and skyline, wider and higher than the frame, ``(s, s, 3)``; the horizon is at row 0, the sky ends the tile.
    """
    side = min(2048, -(-int(1.3 * max(size)) // 64) * 64)
    y = np.arange(side, dtype=np.float32)
    height = np.where(y < side / 2, 0, side - y)[:, None]  # above the horizon, px
    rise = np.clip(height / (0.6 * size[0]), 0, 1)[..., None]
    clouds = smooth_noise(rng, side, 4, 5, 0.55)[..., None] * np.float32(rng.uniform(4, 14))
    sky = airlight + rise * (np.array(_SKIES[rng.integers(3)], np.float32) - airlight) + clouds
    top = size[0] * (0.05 + 0.05 * (1 + smooth_noise(rng, side, 8, 4, 0.6)[0]))
    far = _laid(tile, (side, side))
    return np.where((height < top)[..., None], 0.55 * far + 0.45 * airlight, sky).astype(np.float32)


def road_texture(rng: np.random.Generator, tile: np.ndarray, shape: tuple, across: float, along: float,
                 middle: float) -> np.ndarray:
    """Asphalt with lines, ``(rows, cols, 3)``.

    Args:
        rng: random stream.
        tile: its grain, ``(s, s, 3)``.
        shape: ``(rows, cols)`` cells along and across.
        across, along: m per cell.
        middle: place of the dashed line, m from the left edge.
    """
    rows, cols = shape
    grain = _laid(tile, shape)
    out = rng.uniform(85, 135) + 0.8 * (grain - grain.mean(axis=(0, 1)))
    out += 14 * smooth_noise(rng, max(rows, cols), 5, 3)[:rows, :cols, None]
    for _ in range(10):  # where the road was mended
        row, col, length, width = (rng.uniform(*part) for part in ((0, rows), (0, cols), (0.5, 4.0), (0.4, 2.5)))
        out[int(row):int(row + length / along), int(col):int(col + width / across)] += rng.uniform(-35, 25)
    out += gravel(rng, shape)
    half = max(1, round(0.07 / across))
    white = rng.uniform(190, 235)
    for at in (0.3 / across, cols - 0.3 / across):
        out[:, max(0, round(at) - half):round(at) + half] = white
    at = round(middle / across)
    for start in range(0, rows, rows // 4):
        out[start:start + rows // 10, max(0, at - half):at + half] = white
    return np.clip(out, 0, 255).astype(np.float32)


def gravel(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Detail of a few cells, without which a road hardly shows how it moves: ``(rows, cols, 1)``, grey levels."""
    rows, cols = shape
    size = max(rows, cols)
    return rng.uniform(14, 26) * smooth_noise(rng, size, size // 8, 3, 0.7)[:rows, :cols, None]


def facade_texture(rng: np.random.Generator, tile: np.ndarray, shape: tuple, across: float, along: float,
                   houses: bool) -> tuple[np.ndarray, np.ndarray]:
    """Houses with windows, or a hedge, that stand along the road.

    Args:
        rng: random stream.
        tile: their grain, ``(s, s, 3)``.
        shape: ``(rows, cols)`` cells along and upwards.
        across, along: m per cell, upwards and along.
        houses: whether these are houses.

    Returns:
        The texture, float32 ``(rows, cols, 3)``, and the height of the top at each row, m.
    """
    rows, cols = shape
    grain = _laid(tile, shape)
    if not houses:
        top = 2.6 + 1.2 * smooth_noise(rng, rows, 7, 4, 0.6)[0]
        return grain * np.float32(rng.uniform(0.6, 1.0)), np.clip(top, 0.8, cols * across)
    out, top = grain.copy(), np.full(rows, rng.uniform(0.8, 1.6))
    start = 0
    while start < rows:
        end = min(rows, start + round(rng.uniform(7, 14) / along))
        storeys = int(rng.integers(1, 4)) if end - start > 4 / along else 0
        out[start:end] = 0.4 * out[start:end] + 0.6 * natural_colour(rng) * rng.uniform(0.9, 1.5)
        if storeys:
            top[start:end] = min(2.7 * storeys + rng.uniform(0.2, 0.9), cols * across)
        dark = natural_colour(rng) * rng.uniform(0.3, 0.6)
        width, step = rng.uniform(0.9, 1.6), rng.uniform(2.2, 3.2)
        for storey in range(storeys):
            bottom = round((2.7 * storey + 0.9) / across)
            for z in np.arange(0.7, (end - start) * along - width, step):
                row = start + round(z / along)
                out[row:row + round(width / along), bottom:bottom + round(1.4 / across)] = dark
        start = end + (round(rng.uniform(0, 3) / along) if rng.uniform() < 0.4 else 0)
    return np.clip(out, 0, 255).astype(np.float32), top


def _laid(tile: np.ndarray, shape: tuple) -> np.ndarray:
    """A tileable texture over ``shape`` cells."""
    return tile[np.ix_(*(np.arange(cells) % size for cells, size in zip(shape, tile.shape)))]

"""The driving world: a road between houses or hedges, with cars, poles and trees."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmrefine.synthetic.drive import DriveCamera, PlaneLayer, PlaneMotion, Strip, levels_of
from mmrefine.synthetic.layers import Wobble
from mmrefine.synthetic.look import random_look
from mmrefine.synthetic.paint import shaded_texture
from mmrefine.synthetic.roadside import (car_rings, draw_car, facade_texture, gravel, road_texture, sky_texture,
                                         static_rings)
from mmrefine.synthetic.scene import Scene, shutter_samples
from mmrefine.synthetic.shapes import Shape, shape_from_rings
from mmrefine.synthetic.style import WorldStyle
from mmrefine.synthetic.textures import bold_texture, natural_texture

CAMERA_HEIGHT = 1.65  # m, as KITTI's
LANE = 3.5  # m from the camera's lane to those beside it
_NEAREST = 8.0  # m, where a canonical px of an upright plane is one px of the frame
_TILE = 256  # cells of a texture


def build_drive(seed: int, size: tuple, style: WorldStyle) -> Scene:
    """The driving scene of a seed; nothing in it depends on the length of a clip.

    The order of the layers is right at all times. Of two things on one side of the camera's way, the one further from
    the way is on the same ray only where it is also further ahead, so it never hides the other. So cars come first,
    lane by lane, then what stands beside the road by distance, then walls, road and ground. Cars of one lane have one
    speed, and keep their order.
    """
    key = (int(seed), style.code)
    layout, paint, place, record = (np.random.default_rng(s) for s in np.random.SeedSequence(key).spawn(4))
    camera = random_drive(place, size, style)
    texture = bold_texture if style.look == 'bold' else natural_texture
    pool = [texture(paint, _TILE) for _ in range(3)]
    airlight = (np.array([178, 184, 190]) + paint.normal(0, 8, 3)).astype(np.float32)
    haze = style.haze or (0.0, 0.0)

    def layer(motion: PlaneMotion, colours: np.ndarray, steps: tuple, count: int,
              shape: Shape | Strip | None, density: float = 1.0) -> PlaneLayer:
        return PlaneLayer(motion, levels_of(colours, steps, count), steps, shape, density, haze, airlight)

    focal = camera.focal
    sky = layer(PlaneMotion(camera, (0.0, 0.0, 1.0), (1 / focal, 0.0, 0.0), (0.0, 1 / focal, 0.0), carried=True),
                sky_texture(paint, size, pool[0], airlight), (2, 2), 1, None)
    walls = (-layout.uniform(8.0, 12.0), layout.uniform(7.0, 11.0))
    m_per_px = _NEAREST / focal
    upright = []
    for x, z, rings, motion_of, is_car in _objects(layout, style, camera, walls):
        middle = 0.5 * (rings[0].min(axis=0) + rings[0].max(axis=0))
        half = float(np.abs(rings[0] - middle).max()) / m_per_px
        shape = shape_from_rings([(ring - middle) / m_per_px for ring in rings], float(np.clip(100 / half, 1.0, 2.5)))
        colours = shaded_texture(paint, pool[int(layout.integers(3))], shape, half, style, True)
        if is_car:
            draw_car(paint, colours, shape)
        motion = PlaneMotion(camera, (x + float(middle[0]), CAMERA_HEIGHT + float(middle[1]), z), (m_per_px, 0.0, 0.0),
                             (0.0, m_per_px, 0.0), **motion_of)
        count = max(1, min(5, int(np.log2(min(colours.shape[:2])))))
        upright.append(layer(motion, colours, (2, 2), count, shape, shape.density))
    fronts = [_wall(layer, layout, paint, camera, size, pool, x) for x in walls]
    ground = _ground(layer, paint, camera, size, pool, float(layout.uniform(1.9, 4.4)))
    look = random_look(record, size, style, key + (9, ))
    return Scene(tuple(size), (sky, *upright, *fronts, *ground), shutter_samples(record, style), look, key)


def random_drive(rng: np.random.Generator, size: tuple, style: WorldStyle) -> DriveCamera:
    """A camera whose speed and whose fastest turning in the frame are drawn from the style."""
    height, width = size
    focal = float(rng.uniform(1.4, 1.8)) * height
    speed = float(rng.uniform(*style.drive or (0.0, 0.0)))
    turning = float(rng.uniform(*style.camera_speed)) * height / focal  # radians per frame

    def swing(share: float, most: float, rest: float = 0.0) -> Wobble:
        amp = most * float(rng.uniform(0.5, 1.0))
        return Wobble(0.0, (amp, rest), (share * turning / amp, 0.0), (float(rng.uniform(0, 2 * np.pi)), np.pi / 2))

    path = Wobble(speed, (0.3, ), (0.3 * speed, ), (float(rng.uniform(0, 2 * np.pi)), ))
    return DriveCamera(focal, ((width - 1) / 2, (height - 1) / 2), path, swing(1.0, 0.06),
                       swing(0.3, 0.01, -float(rng.uniform(0.0, 0.05))), swing(0.2, 0.01))


def _objects(rng: np.random.Generator, style: WorldStyle, camera: DriveCamera, walls: tuple) -> list:
    """``(x, z, rings, motion, is_car)`` of all upright things from front to back: m, outlines in m above their foot."""
    count = int(rng.integers(style.objects[0], style.objects[1] + 1))
    cars = []
    if rng.uniform() < 0.4:  # one ahead, at a distance that changes slowly
        swing = Wobble(0.0, (1.5, ), (float(rng.uniform(0.1, 0.3)), ), (float(rng.uniform(0, 2 * np.pi)), ))
        cars.append((float(rng.uniform(-0.2, 0.2)), float(rng.uniform(13, 28)), dict(path=swing, carried=True)))
    oncoming = Wobble(-camera.path.rate * float(rng.uniform(0.4, 0.9)))
    parked = rng.uniform() < style.still_share
    for z in _spread(rng, int(rng.integers(3)), 18.0, 75.0):
        cars.append((float(rng.uniform(-LANE - 0.1, -LANE + 0.2)), z, {} if parked else dict(path=oncoming)))
    for z in _spread(rng, int(rng.integers(3)), 9.0, 60.0):
        cars.append((float(rng.uniform(3.2, 3.5)), z, {}))
    found: list = [(x, z, car_rings(rng), motion, True) for x, z, motion in cars]
    for z in _spread(rng, max(count - len(cars), 3), 7.0, 60.0):
        side = int(rng.integers(2))
        inner, outer = (5.3, -walls[0]) if side == 0 else (4.8, walls[1])
        rings = static_rings(rng, outer - inner - 0.2)
        reach = float(np.abs(rings[0][:, 0]).max())
        x = float(rng.uniform(inner + reach, max(outer - reach, inner + reach)))
        found.append((-x if side == 0 else x, z, rings, {}, False))
    return found


def _spread(rng: np.random.Generator, count: int, low: float, high: float) -> list:
    """So many distances in rising order, one in each part of the range, and at least a third of a part apart."""
    return [float(low + (i + rng.uniform(0, 0.67)) * (high - low) / count) for i in range(count)]


def _wall(layer: Callable, rng: np.random.Generator, paint: np.random.Generator, camera: DriveCamera, size: tuple,
          pool: list, x: float) -> PlaneLayer:
    """Houses or a hedge along the road at x, m."""
    houses = rng.uniform() < 0.65
    tallest = 9.0 if houses else 4.5
    across, along = _cells(camera, abs(x), abs(x) * 2 * camera.focal / size[1])
    tile = pool[int(rng.integers(3))]
    rows, cols = _rows(along), -(-int(tallest / across) // 16) * 16
    texture, rim = facade_texture(paint, tile, (rows, cols), across, along, houses)
    width = 0.5 * cols
    motion = PlaneMotion(camera, (x, CAMERA_HEIGHT - width * across, 0.0), (0.0, -across, 0.0), (0.0, 0.0, along))
    return layer(motion, texture, (2, 4), 4, Strip(width, rim / across - width))


def _ground(layer: Callable, paint: np.random.Generator, camera: DriveCamera, size: tuple, pool: list,
            right: float) -> list:
    """The road, whose right edge is at ``right`` m, and the ground beside it."""
    across, along = _cells(camera, CAMERA_HEIGHT, CAMERA_HEIGHT * 2 * camera.focal / size[0])
    left = 1.5 * LANE
    cols = -(-int((left + right) / across) // 16) * 16
    rows = _rows(along)
    axes = (across, 0.0, 0.0), (0.0, 0.0, along)
    texture = road_texture(paint, pool[0], (rows, cols), across, along, left - LANE / 2)
    road = layer(PlaneMotion(camera, (0.5 * cols * across - left, CAMERA_HEIGHT, 0.0), *axes), texture, (2, 4), 4,
                 Strip(0.5 * cols, np.full(rows, 0.5 * cols)))
    beside_road = np.clip(0.9 * pool[1] + gravel(paint, pool[1].shape[:2]), 0, 255).astype(np.float32)
    beside = layer(PlaneMotion(camera, (0.0, CAMERA_HEIGHT, 0.0), *axes), beside_road, (2, 4), 4,
                   Strip(600 / across, np.full(rows, 600 / across)))
    return [road, beside]


def _cells(camera: DriveCamera, offset: float, nearest: float) -> tuple[float, float]:
    """How many m a cell is across and along, for a plane ``offset`` m beside the camera that is seen from ``nearest`` m
    on: there, it is about a px of the frame."""
    return nearest / camera.focal, nearest**2 / (camera.focal * offset)


def _rows(along: float) -> int:
    """Rows of a texture that starts over after about 36 m: a number that the levels' steps divide."""
    return _TILE * min(4, max(1, round(36 / (_TILE * along))))

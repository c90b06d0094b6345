"""The world of textured layers: one scene for each seed."""
from __future__ import annotations

import numpy as np

from mmrefine.synthetic.layers import background_motion, random_camera, random_motion
from mmrefine.synthetic.look import random_look
from mmrefine.synthetic.paint import shaded_texture
from mmrefine.synthetic.road import build_drive
from mmrefine.synthetic.scene import Layer, Scene, shutter_samples
from mmrefine.synthetic.shapes import random_shape
from mmrefine.synthetic.style import WorldStyle
from mmrefine.synthetic.textures import bold_texture, natural_texture


def build_scene(seed: int, size: tuple, style: WorldStyle) -> Scene:
    """The scene of a seed; nothing in it depends on the length of a clip."""
    if style.drive is not None:
        return build_drive(seed, size, style)
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
        layers.append(Layer(motion, np.ascontiguousarray(np.dstack([_hazed(
            shaded_texture(paint, tile, shape, radius, style, hidden or i >= len(pool)),
            airlight, style, depth * 0.7), shape.table])), shape))
    look = random_look(record, size, style, key + (9, ))
    return Scene(tuple(size), tuple(layers), shutter_samples(record, style), look, key)


def _hazed(colour: np.ndarray, airlight: np.ndarray, style: WorldStyle,
           depth: float) -> np.ndarray:
    if style.haze is None:
        return colour.astype(np.float32)
    share = style.haze[0] + (style.haze[1] - style.haze[0]) * depth
    return ((1 - share) * colour + share * airlight).astype(np.float32)

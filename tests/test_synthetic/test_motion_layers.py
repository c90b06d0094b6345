"""The motion of a layer is exact in both directions."""
import math
from dataclasses import replace

import numpy as np
import pytest

from mmrefine.synthetic.layers import Bend, Camera, Wobble
from mmrefine.synthetic.render import build_scene
from mmrefine.synthetic.style import SOURCE, TARGET

STYLES = pytest.mark.parametrize('style', [SOURCE, TARGET], ids=lambda s: s.name)


@STYLES
def test_forward_undoes_inverse_to_the_last_digits(style):
    rng = np.random.default_rng(0)
    checked = 0
    for seed in range(4):
        for layer in build_scene(seed, (64, 96), style).layers:
            for t in (0.0, 1.0, 3.25, 17.0):
                x, y = rng.uniform(-50, 150, (2, 40))
                u, v = layer.motion.inverse(x, y, t)
                back = layer.motion.forward(u, v, t)
                np.testing.assert_allclose(back, (x, y), rtol=0, atol=1e-9)
                checked += 1
    assert checked >= 4 * 4 * 4


@STYLES
def test_inverse_undoes_forward_to_the_last_digits(style):
    rng = np.random.default_rng(1)
    for layer in build_scene(5, (64, 96), style).layers:
        u, v = rng.uniform(-40, 40, (2, 40))
        back = layer.motion.inverse(*layer.motion.forward(u, v, 2.5), 2.5)
        np.testing.assert_allclose(back, (u, v), rtol=0, atol=1e-9)


def test_a_bend_moves_points_as_its_formula_says():
    bend = Bend((0.0, 0.5), 3.0, Wobble(), Wobble(rate=0.7))
    # swell 0 halves the amplitude; k = (0, 0.5), so points move along x only.
    x, y = bend.shift(np.array([2.0]), np.array([4.0]), 1.5, 1.0)
    assert y[0] == 4.0
    assert x[0] == pytest.approx(2.0 - 1.5 * math.sin(0.5 * 4.0 + 0.7 * 1.5), abs=1e-12)


def test_bends_keep_areas():
    motion = build_scene(2, (64, 96), TARGET).layers[2].motion
    step = 1e-4
    u, v = np.random.default_rng(2).uniform(-10, 10, (2, 30))

    def bent(u, v):
        for bend in motion.bends:
            u, v = bend.shift(u, v, 1.3, 1.0)
        return np.stack([u, v])

    du = (bent(u + step, v) - bent(u - step, v)) / (2 * step)
    dv = (bent(u, v + step) - bent(u, v - step)) / (2 * step)
    assert np.abs(du[0] - 1).max() > 0.01  # there is something to undo
    np.testing.assert_allclose(du[0] * dv[1] - du[1] * dv[0], 1.0, atol=1e-6)


def test_a_zoom_alone_keeps_the_frame_centre():
    still = Wobble()
    camera = Camera((47.5, 31.5), (still, still), Wobble(rate=0.1), still, (still, still))
    matrix, offset = camera.affine(2.0)
    np.testing.assert_allclose(matrix, np.exp(0.2) * np.eye(2))
    np.testing.assert_allclose(matrix @ [47.5, 31.5] + offset, [47.5, 31.5])


def test_a_pan_moves_near_layers_further():
    still = Wobble()
    camera = Camera((10.0, 10.0), (Wobble(rate=2.0), still), still, still, (still, still))
    assert camera.affine(3.0, 1.0)[1] == pytest.approx([-6.0, 0.0])
    assert camera.affine(3.0, 1.5)[1] == pytest.approx([-9.0, 0.0])


def test_the_box_holds_every_point_of_the_layer():
    rng = np.random.default_rng(3)
    for layer in build_scene(7, (64, 96), TARGET).layers[1:]:
        half = layer.shape.half
        u, v = rng.uniform(-1, 1, (2, 500)) * np.array(half)[:, None]
        for t in (0.0, 4.0):
            x0, y0, x1, y1 = layer.motion.box(half, t)
            x, y = layer.motion.forward(u, v, t)
            assert x0 <= x.min() and x.max() <= x1 and y0 <= y.min() and y.max() <= y1


def test_own_motion_of_objects_stays_within_the_style():
    style = replace(SOURCE, camera_speed=(0.0, 0.0), object_speed=(0.05, 0.05), still_share=0.0)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    for seed in range(5):
        for layer in build_scene(seed, (100, 100), style).layers[1:]:
            motion = replace(layer.motion, camera=replace(
                layer.motion.camera, shake=(Wobble(), Wobble())))
            reach = 0.3 * min(layer.shape.half)
            u, v = reach * np.cos(turn), reach * np.sin(turn)
            for t in range(8):
                a, b = motion.forward(u, v, t), motion.forward(u, v, t + 1)
                # 5 px per frame, plus what the coarse search for the peak can miss
                assert np.hypot(b[0] - a[0], b[1] - a[1]).max() < 5.5

"""Outlines and textures."""
import numpy as np
import pytest

from mmrefine.synthetic.shapes import OUTSIDE, random_shape, shape_from_rings
from mmrefine.synthetic.style import SOURCE, TARGET
from mmrefine.synthetic.textures import bold_texture, natural_texture


def circle(radius):
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    return radius * np.stack([np.cos(turn), np.sin(turn)], 1)


def test_distance_to_a_circle_is_radius_minus_length():
    shape = shape_from_rings([circle(20.0)], 2.0)
    x, y = np.random.default_rng(0).uniform(-19, 19, (2, 300))
    # Half a cell of 0.5 px, and a few per cent of the chamfer distance.
    np.testing.assert_allclose(shape.distance(x, y), 20 - np.hypot(x, y), atol=0.6)
    near = np.abs(20 - np.hypot(x, y)) > 0.5
    np.testing.assert_array_equal(shape.distance(x, y)[near] > 0, (np.hypot(x, y) < 20)[near])


def test_a_hole_is_outside():
    shape = shape_from_rings([circle(20.0), circle(6.0)], 2.0)
    got = shape.distance(np.array([0.0, 13.0, 19.0, 40.0]), np.zeros(4))
    assert got[0] == pytest.approx(-6, abs=0.5) and got[1] == pytest.approx(7, abs=0.5)
    assert got[2] == pytest.approx(1, abs=0.5) and got[3] == OUTSIDE


@pytest.mark.parametrize('style', [SOURCE, TARGET], ids=lambda s: s.name)
def test_every_random_outline_ends_inside_its_table_and_has_a_body(style):
    rng = np.random.default_rng(4)
    for _ in range(60):
        table = random_shape(rng, rng.uniform(4, 40), style).table
        rim = np.concatenate([table[0], table[-1], table[:, 0], table[:, -1]])
        assert rim.max() < 0 < 1 < table.max()


@pytest.mark.parametrize('texture', [bold_texture, natural_texture])
def test_textures_go_on_across_the_seam(texture):
    rng = np.random.default_rng(5)
    for _ in range(12):
        tile = texture(rng, 64)
        for axis in (0, 1):
            steps = np.abs(np.diff(tile, axis=axis)).mean(axis=(1 - axis, 2))
            seam = np.abs(np.take(tile, 0, axis) - np.take(tile, -1, axis)).mean()
            assert seam <= 1.3 * steps.max()

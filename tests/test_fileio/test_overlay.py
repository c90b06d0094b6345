from __future__ import annotations

import numpy as np
import pytest

from mmrefine.fileio.video.overlay import fixed_overlay, share_beside

SIZE = (96, 128)
y, x = np.mgrid[:SIZE[0], :SIZE[1]]


def frames_of(count, rng):
    """Frames that have nothing in common."""
    return [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(count)]


def covered(frames, overlay, level=30):
    return [np.where(overlay[..., None], np.uint8(level), frame) for frame in frames]


OVERLAYS = dict(
    logo=(y < 12) & (x > 110), letterbox=(y < 14) | (y >= 82), diagonals=(x + y) // 6 % 2 == 0,
    frame=(np.minimum(y, SIZE[0] - 1 - y) < 6) | (np.minimum(x, SIZE[1] - 1 - x) < 6))


@pytest.mark.parametrize('name', OVERLAYS)
def test_an_overlay_is_found_where_it_is(name):
    found = fixed_overlay(covered(frames_of(8, np.random.default_rng(0)), OVERLAYS[name]))
    assert found is not None
    wrong = found != OVERLAYS[name]
    assert wrong.mean() < 0.01 and not (found & ~OVERLAYS[name]).any()


@pytest.mark.parametrize('name, share', [('logo', (20 * 25 - 12 * 17) / (96 * 128 - 12 * 17)),
                                         ('letterbox', 16 / 68), ('diagonals', 1.),
                                         ('frame', 1 - 68 * 100 / (84 * 116))])
def test_how_much_of_the_scene_lies_beside_an_overlay(name, share):
    assert share_beside(OVERLAYS[name]) == pytest.approx(share, abs=1e-9)


def test_moving_frames_have_none_and_single_pixels_do_not_count():
    frames = frames_of(8, np.random.default_rng(1))
    assert fixed_overlay(frames) is None
    assert fixed_overlay(covered(frames, (x % 7 == 0) & (y % 5 == 0))) is None
    assert fixed_overlay(covered(frames, x == 30)) is None


def test_a_scene_in_which_only_an_object_moves_is_no_overlay():
    frames = frames_of(8, np.random.default_rng(2))
    assert fixed_overlay(covered(frames, ~((x < 40) & (y < 40)))) is None
    assert fixed_overlay([frames[0]] * 8) is None

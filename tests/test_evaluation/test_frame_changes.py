from __future__ import annotations

import numpy as np
import pytest

from mmrefine.evaluation.guard.frame_changes import frame_change, nothing_changes

SIZE = (96, 128)
y, x = np.mgrid[:SIZE[0], :SIZE[1]]


@pytest.mark.parametrize('strength', [0.3, 1., 5., 20.])
def test_independent_noise_is_no_change_however_strong(strength):
    rng = np.random.default_rng(3)
    scene = 60 + 100 * (np.sin(x / 9) * np.cos(y / 7) > 0)[..., None].repeat(3, axis=2)
    noisy = [np.clip(scene + strength * rng.normal(size=scene.shape), 0, 255).round().astype(np.uint8)
             for _ in range(25)]
    changes = [frame_change(one, two) for one, two in zip(noisy, noisy[1:])]
    assert nothing_changes(changes)
    powers = [one.power / one.blocks for one in changes if one.blocks]
    assert not powers or abs(np.mean(powers) - 1) < 0.1


def test_a_shift_by_a_tenth_of_a_pixel_is_a_change_and_a_brighter_exposure_is_not():
    def wave(shift):
        return np.repeat((128 + 80 * np.sin((x - shift) / 6) * np.cos(y / 8))[..., None], 3, axis=2)

    assert not nothing_changes([frame_change(wave(0).round().astype(np.uint8), wave(0.1).round().astype(np.uint8))])
    assert nothing_changes([frame_change(wave(0).round().astype(np.uint8), (0.7 * wave(0)).round().astype(np.uint8))])


def test_frames_smaller_than_a_block_are_compared_by_their_pixels():
    small = np.full((6, 40, 3), 50, np.uint8)
    moved = small.copy()
    moved[2, 3] = 200
    assert nothing_changes([frame_change(small, small)]) and not nothing_changes([frame_change(small, moved)])

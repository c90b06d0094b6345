"""The grain of a sensor: how strong, how often, independent between the frames, and nothing else changes."""
from __future__ import annotations

import numpy as np
import pytest

from mmrefine.datasets.transforms import SensorNoise
from mmrefine.errors import ConfigError


def grey(seed=0):
    frame = np.full((64, 64, 3), 128, np.uint8)
    return dict(frame1=frame, frame2=frame.copy(), flow=np.ones((64, 64, 2), np.float32),
                rng=np.random.default_rng(seed))


def deviations(prob, std=6.):
    """Standard deviation of frame 1 in 300 draws, grey levels."""
    return np.array([SensorNoise(std=std, prob=prob)(grey(seed))['frame1'].std() for seed in range(300)])


def test_strengths_are_spread_evenly_up_to_the_largest():
    found = deviations(prob=1.)
    assert found.max() < 6.3 and found.min() < 0.5
    # rounding adds 1/12 to the variance
    assert np.mean(found) == pytest.approx(3., abs=0.4)


def test_as_many_pairs_as_prob_says_get_noise_and_the_others_keep_their_bytes():
    assert np.mean(deviations(prob=0.3) > 0) == pytest.approx(0.3, abs=0.08)


def test_the_frames_get_grain_of_their_own_around_what_they_were():
    changed = SensorNoise(std=20., prob=1.)(grey(seed=5))
    first, second = (changed[name].astype(float) - 128 for name in ('frame1', 'frame2'))
    assert changed['frame1'].dtype == np.uint8 and first.std() > 2
    assert abs(first.mean()) < 0.5 and first.std() == pytest.approx(second.std(), rel=0.05)
    assert abs((first * second).mean()) < 0.05 * first.std()**2


def test_motion_and_input_stay():
    results = grey()
    changed = SensorNoise(std=20., prob=1.)(results)
    assert changed['flow'] is results['flow'] and results['frame1'].std() == 0


def test_the_same_draw_gives_the_same_grain():
    one, other = (SensorNoise(prob=1.)(grey(seed=3)) for _ in range(2))
    np.testing.assert_array_equal(one['frame2'], other['frame2'])


@pytest.mark.parametrize('key, value', [('std', -1.), ('std', float('nan')), ('prob', 1.5)])
def test_a_value_out_of_range_is_named(key, value):
    with pytest.raises(ConfigError, match=f'SensorNoise.{key} .*{value}'):
        SensorNoise(**{key: value})

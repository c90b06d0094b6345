import colorsys

import numpy as np
import pytest

from mmrefine.visualization import draw_wheel, flow_to_rgb, sequence_scale
from mmrefine.visualization.flow_wheel import wheel_colors


def color(u, v, max_motion=1.):
    return tuple(int(c) for c in flow_to_rgb(np.array([[[u, v]]], dtype=np.float32), max_motion)[0, 0])


def turn(k):
    """The motion of full length at k of the 55 steps of the wheel."""
    return np.cos(2 * np.pi * k / 55), np.sin(2 * np.pi * k / 55)


@pytest.mark.parametrize('step, expected', [
    (0, (255, 0, 0)), (15, (255, 255, 0)), (21, (0, 255, 0)), (25, (0, 255, 255)), (36, (0, 0, 255)),
    (49, (255, 0, 255)),
    (7.5, (255, 128, 0)), (52, (255, 0, 128))])
def test_the_pure_colors_lie_where_baker_et_al_put_them(step, expected):
    assert color(*turn(step)) == pytest.approx(expected, abs=1)


def test_right_is_red_down_is_yellowish_left_is_cyan_to_blue_and_up_is_blue_to_magenta():
    assert color(1, 0) == (255, 0, 0)
    assert color(0, 1) == (255, round(255 * 13.75 / 15), 0)
    assert color(-1, 0) == (0, round(255 * (1 - 2.5 / 11)), 255)
    assert color(0, -1) == (round(255 * 5.25 / 13), 0, 255)


@pytest.mark.parametrize('angle', np.linspace(0, 360, 25)[:-1])
def test_opposite_motions_have_hues_about_half_a_turn_apart(angle):
    u, v = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    hues = [colorsys.rgb_to_hsv(*(c / 255 for c in color(s * u, s * v)))[0] for s in (1, -1)]
    apart = abs(hues[0] - hues[1])
    assert min(apart, 1 - apart) > 0.3  # 0.5 on an even wheel; this one gives more room to red-yellow and blue-magenta


def test_the_hue_turns_one_way_without_a_jump():
    colors = wheel_colors(np.linspace(0, 2 * np.pi, 1000))
    assert np.abs(np.diff(colors, axis=0)).max() < 0.06
    hues = np.unwrap([2 * np.pi * colorsys.rgb_to_hsv(*c)[0] for c in colors])
    assert (np.diff(hues) >= -1e-9).all() and hues[-1] - hues[0] == pytest.approx(2 * np.pi)


def test_no_motion_is_white_and_unknown_motion_dark_grey():
    flow = np.zeros((2, 3, 2), dtype=np.float32)
    flow[0, 0, 1], flow[0, 1, 0] = np.nan, np.inf
    valid = np.ones((2, 3), dtype=bool)
    valid[1, 2] = False
    picture = flow_to_rgb(flow, 2., valid)
    unknown = {(0, 0), (0, 1), (1, 2)}
    for y in range(2):
        for x in range(3):
            assert tuple(picture[y, x]) == ((64, 64, 64) if (y, x) in unknown else (255, 255, 255))


def test_the_color_deepens_with_the_length_up_to_the_scale_and_no_further():
    assert color(2, 0, 4) == (255, 128, 128)
    assert color(4, 0, 4) == color(5, 0, 4) == color(1e9, 0, 4) == (255, 0, 0)


def test_the_same_motion_has_the_same_color_in_every_picture_of_a_sequence():
    slow, fast = np.full((4, 4, 2), 1.), np.full((4, 4, 2), 1.)
    fast[2:] *= 20
    assert np.array_equal(flow_to_rgb(slow, 10.)[0], flow_to_rgb(fast, 10.)[0])


def test_the_scale_pools_the_sequence_and_ignores_what_is_unknown():
    a, b = np.zeros((10, 10, 2)), np.zeros((10, 10, 2))
    a[..., 0], b[..., 1] = np.arange(100).reshape(10, 10), np.arange(100, 200).reshape(10, 10)
    assert sequence_scale([a, b], percentile=50) == pytest.approx(99.5)
    assert sequence_scale([a, np.full((3, 3, 2), np.nan)], percentile=100) == 99
    assert sequence_scale(flow for flow in [a, b]) == pytest.approx(np.percentile(np.arange(200), 98))


def test_a_few_wild_vectors_do_not_change_the_scale():
    flow = np.full((20, 20, 2), 3.)
    flow[0, :5] = 1e4
    assert sequence_scale([flow]) == pytest.approx(3 * 2**.5)


def test_a_still_or_empty_sequence_has_the_least_scale():
    assert sequence_scale([np.full((4, 4, 2), 0.01)]) == sequence_scale([]) == 0.5


def test_the_legend_shows_the_motion_from_its_centre():
    wheel = draw_wheel(101)
    assert tuple(wheel[50, 50]) == (255, 255, 255) and tuple(wheel[0, 0]) == (255, 255, 255)
    assert tuple(wheel[50, 100]) == color(1, 0) and tuple(wheel[0, 50]) == color(0, -1)
    assert tuple(wheel[100, 50]) == color(0, 1) and tuple(wheel[50, 25]) == color(-.5, 0)


@pytest.mark.parametrize('scale', [0., -1., float('nan'), float('inf')])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match=f'max_motion must be a positive number of px, got {scale}'):
        flow_to_rgb(np.zeros((2, 2, 2)), scale)


def test_a_flow_in_torch_layout_is_refused():
    with pytest.raises(ValueError, match=r'flow must be \(H, W, 2\), got \(2, 5, 6\)'):
        flow_to_rgb(np.zeros((2, 5, 6)), 1.)

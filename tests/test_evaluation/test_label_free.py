import pytest
import torch

from mmrefine.evaluation.flow.label_free import exposure_gain, label_free_tallies
from mmrefine.evaluation.tallies import pool_by_scene
from mmrefine.geometry import backwarp


def flows(u, size=(8, 10)):
    flow = torch.zeros(1, 2, *size)
    flow[:, 0] = u
    return flow


def texture(size=(8, 10), channels=3):
    return 0.2 + 0.5 * torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(3))


def score(frames1, frames2, fw, bw):
    return label_free_tallies(frames1, frames2, fw, bw)[0].scores()


def test_a_true_translation_scores_perfectly_where_it_stays_in_the_frame():
    frames2 = texture()
    scores = score(backwarp(frames2, flows(2.)), frames2, flows(2.), flows(-2.))
    assert scores['cycle_median'] == scores['cycle_mean'] == 0
    assert scores['inside'] == scores['consistent'] == pytest.approx(80)  # 2 of 10 columns leave
    assert scores['color_residual'] == pytest.approx(0, abs=1e-3)
    assert scores['motion'] == 2


def test_the_cycle_error_of_a_flow_that_does_not_come_back_is_what_is_left():
    scores = score(texture(), texture(), flows(3.), flows(-1.))
    assert scores['cycle_mean'] == scores['cycle_median'] == pytest.approx(2)
    assert scores['consistent'] == 0  # 4 > 0.01 (9 + 1) + 0.5


@pytest.mark.parametrize('left, share', [(0.7, 100), (0.72, 0)])  # px^2: 0.49 <= 0.5, 0.52 > 0.5 + 0.01 * 0.52
def test_consistent_at_rest_means_within_half_a_square_pixel(left, share):
    fw = torch.zeros(1, 2, 4, 4)
    bw = torch.full((1, 2, 4, 4), left / 2**.5)
    assert score(texture((4, 4)), texture((4, 4)), fw, bw)['consistent'] == share


def test_the_color_residual_is_in_grey_levels():
    frames1 = torch.full((1, 3, 6, 6), 0.4)
    frames1[:, :, :3] = 0.2
    frames2 = frames1.clone()
    frames2[:, 0, 0, :3] += 30 / 255  # one channel of 3, 3 pixels of 36
    scores = score(frames1, frames2, flows(0., (6, 6)), flows(0., (6, 6)))
    assert scores['color_residual'] == pytest.approx(30 / 3 * 3 / 36, rel=1e-4)


def test_a_change_of_exposure_is_no_residual_but_wrong_motion_is():
    frames = texture((12, 12))
    rest = flows(0., (12, 12))
    assert score(frames, 1.3 * frames, rest, rest)['color_residual'] == pytest.approx(0, abs=1e-3)
    assert score(frames, frames, flows(1., (12, 12)), flows(-1., (12, 12)))['color_residual'] > 20


def test_the_gain_is_per_channel_and_bounded_and_1_for_black():
    frame = torch.full((3, 4, 4), 0.2)
    inside = torch.ones(4, 4, dtype=torch.bool)
    factors = torch.tensor([1.5, 4., 0.]).view(3, 1, 1)
    assert exposure_gain(frame, frame * factors, inside).flatten().tolist() == pytest.approx([1.5, 2., 1.])


def test_a_flow_that_leaves_the_frame_everywhere_has_no_scores_inside():
    scores = score(texture(), texture(), flows(50.), flows(-50.))
    assert scores['inside'] == scores['consistent'] == 0
    assert all(scores[name] != scores[name] for name in ('cycle_median', 'cycle_mean', 'color_residual', 'motion'))


def test_a_backward_flow_of_nan_is_not_judged_as_inside():
    bw = flows(0.)
    bw[:, :, :4] = float('nan')
    assert score(texture(), texture(), flows(0.), bw)['inside'] == 50


def test_pairs_are_pooled_over_pixels_and_by_scene():
    fw, bw = torch.cat([flows(5.), flows(0.)]), torch.cat([flows(-3.), flows(1.)])
    tallies = label_free_tallies(texture().repeat(2, 1, 1, 1), texture().repeat(2, 1, 1, 1), fw, bw)
    scores = pool_by_scene(zip('xy', tallies))
    assert scores['cycle_mean'] == pytest.approx((40 * 2 + 80 * 1) / 120)  # half of the first frame stays inside
    assert scores['cycle_median'] == pytest.approx(1.5)
    assert scores['scene/x/cycle_mean'] == pytest.approx(2) and scores['scene/y/cycle_mean'] == pytest.approx(1)
    assert sum(tallies[1:], tallies[0]).pairs == 2

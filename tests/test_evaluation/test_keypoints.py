import numpy as np
import pytest
import torch

from mmrefine.evaluation.joints.pck import object_sizes, tally_keypoints
from mmrefine.geometry import carry_points


def pck(points, truth, visible, threshold):
    """The share of keypoints that are right in frames that follow one in which all joints are given."""
    points, truth = (np.concatenate([np.zeros_like(values[:1]), values]) for values in (points, truth))
    visible = np.concatenate([np.ones_like(visible[:1]), visible])
    sizes = np.concatenate([[0.], np.broadcast_to(threshold, len(points) - 1)])
    return tally_keypoints(points, truth, visible, sizes, (1., )).scores()['PCK@1']


@pytest.fixture
def truth():
    return np.random.default_rng(1).uniform(0, 100, (3, 5, 2))


def test_exact_points_are_all_right_even_at_threshold_0(truth):
    assert pck(truth, truth, np.ones((3, 5)), 0.) == 1


@pytest.mark.parametrize('shift, right',
                         [((3., 4.), 1), ((3., 4.001), 0), ((-5., 0.), 1), ((0., -5.1), 0), ((4., 4.), 0)])
def test_points_are_right_up_to_the_threshold_as_the_crow_flies(shift, right):
    # whole numbers: the distance of (3, 4) is 5 without rounding
    truth = np.arange(30.).reshape(3, 5, 2)
    assert pck(truth + shift, truth, np.ones((3, 5)), 5.) == right


def test_invisible_points_do_not_count_whatever_they_hold(truth):
    visible = np.ones((3, 5), bool)
    points = truth.copy()
    points[:, 2:] += 50.
    assert pck(points, truth, visible, 1.) == pytest.approx(2 / 5)
    visible[:, 2:] = False
    truth[:, 2:] = np.nan
    assert pck(points, truth, visible, 1.) == 1
    # and right ones that are not seen do not help
    visible[:] = False
    visible[0, 3], truth[0, 3] = True, 0.
    assert pck(points, truth, visible, 1.) == 0


def test_a_point_that_is_nowhere_is_wrong(truth):
    points = truth.copy()
    points[1, 4] = np.nan
    assert pck(points, truth, np.ones((3, 5)), 1e6) == pytest.approx(14 / 15)


def test_frames_have_thresholds_of_their_own_and_points_are_pooled():
    # by hand: off by 1, 2, 3 in both frames; the first frame allows 2, the second 0.5, and hides its last point
    truth = np.zeros((2, 3, 2))
    points = truth + np.array([[1., 0.], [0., 2.], [3., 0.]])
    visible = np.array([[1, 1, 1], [1, 1, 0]])
    assert pck(points, truth, visible, np.array([2., 0.5])) == pytest.approx(2 / 5)
    assert pck(points, truth, visible, np.array([0.5, 2.])) == pytest.approx(2 / 5)
    # the mean of the frames' shares would be (2/3 + 1) / 2
    assert pck(points, truth, visible, 2.) == pytest.approx(4 / 5)


def test_the_size_of_an_object_is_the_side_of_a_square_as_large():
    mask = np.zeros((40, 50), bool)
    mask[3:19, 5:30] = True  # 16 x 25 = 20 x 20
    assert object_sizes('mask', np.zeros((1, 1, 2)), np.ones((1, 1)), mask[None]) == pytest.approx(20)


def test_points_move_with_the_flow_between_pixels_too():
    y, x = torch.meshgrid(torch.arange(6.), torch.arange(8.), indexing='ij')
    flow = torch.stack([0.5 * x, -0.25 * y + 0.125 * x])  # linear, so bilinear interpolation is exact
    points = torch.tensor([[0., 0.], [7., 5.], [2.5, 3.25]])
    wanted = torch.stack([1.5 * points[:, 0], 0.75 * points[:, 1] + 0.125 * points[:, 0]], dim=1)
    np.testing.assert_allclose(carry_points(points, flow), wanted, atol=1e-5)


def test_a_point_outside_moves_as_the_nearest_pixel_of_the_edge():
    flow = torch.zeros(2, 4, 6)
    flow[0, 3, 5], flow[1, 0, 0] = -4., 2.
    points = torch.tensor([[9., 12.], [-3., -1.], [9., 0.]])
    assert carry_points(points, flow).tolist() == [[5., 12.], [-3., 1.], [9., 0.]]


def test_points_and_flows_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r'\(3, 3\) and \(2, 4, 6\)'):
        carry_points(torch.zeros(3, 3), torch.zeros(2, 4, 6))
    with pytest.raises(ValueError, match=r'\(3, 2\) and \(1, 2, 4, 6\)'):
        carry_points(torch.zeros(3, 2), torch.zeros(1, 2, 4, 6))

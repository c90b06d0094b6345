"""What looks that are wrong in a known way come to, on motion that is known."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import resize
from mmrefine.labeling import Arbiter
from mmrefine.labeling.flow.views.arbiter import geometric_median, median_round_trip

SIZE = (48, 64)
MOTION = (3., 2.)


def world(motion=MOTION, seed=0):
    """Two frames of a texture that moves as a whole, first and second argument of a view, and the motion both ways."""
    dx, dy = map(int, motion)
    noise = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(seed))
    plane = resize(noise, (SIZE[0] + 40, SIZE[1] + 40))
    frames1 = plane[..., 20:20 + SIZE[0], 20:20 + SIZE[1]]
    frames2 = plane[..., 20 - dy:20 - dy + SIZE[0], 20 - dx:20 - dx + SIZE[1]]
    truth = torch.tensor([[dx, dy], [-dx, -dy]], dtype=torch.float)[..., None, None].expand(2, 2, *SIZE).clone()
    return torch.cat([frames1, frames2]), torch.cat([frames2, frames1]), truth


def planted(truth, error=(4., -3.), rows=slice(14, 34), columns=slice(20, 44)):
    """The motion with a patch that is wrong, the same way forward and backward: it comes back."""
    wrong = truth.clone()
    wrong[0, :, rows, columns] += torch.tensor(error).view(2, 1, 1)
    wrong[1, :, rows, columns] -= torch.tensor(error).view(2, 1, 1)
    return wrong


def noisy(flow, size, seed=1):
    return flow + size * torch.randn(flow.shape, generator=torch.Generator().manual_seed(seed))


def settle(looks, frames=None, **settings):
    frames1, frames2, _ = frames or world()
    return Arbiter(**settings).settle(frames1, frames2, torch.stack(list(looks)))


def epe(flow, truth):
    return float((flow - truth).norm(dim=1).mean())


INNER = (slice(None), slice(None), slice(18, 30), slice(
    25, 39))  # of the planted patch, less than the window away from its middle


def test_the_median_minimises_the_weighted_sum_of_distances():
    points = torch.randn(4, 1, 2, 3, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(4, 1, 1, 3, 5, generator=torch.Generator().manual_seed(1)) * torch.tensor(
        [1., 1., 1., .2]).view(4, 1, 1, 1, 1)
    found, shares = geometric_median(points, weights, 1e-3, steps=200)

    def cost(at):
        return (weights * (points - at).norm(dim=2, keepdim=True)).sum(dim=0)

    for angle in torch.arange(0, 6.28, .4):
        step = .03 * torch.stack([angle.cos(), angle.sin()]).view(1, 2, 1, 1)
        assert (cost(found + step) >= cost(found) - 1e-4).all()
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(1, 1, 3, 5))
    torch.testing.assert_close((shares * points).sum(dim=0), found)


def test_points_without_any_weight_count_alike():
    points = torch.tensor([0., 3., 6.]).view(3, 1, 1, 1, 1)
    found, shares = geometric_median(points, torch.zeros(3, 1, 1, 1, 1), .01, steps=100)
    torch.testing.assert_close(found, torch.full((1, 1, 1, 1), 3.), rtol=0, atol=.01)
    assert shares.argmax(dim=0).item() == 1


def test_looks_that_err_at_random_together_are_better_than_each():
    truth = world()[2]
    looks = [noisy(truth, .3, seed) for seed in range(5)]
    found, shares = settle(looks, trust=0., picture=0.)
    assert epe(found, truth) < .65 * min(epe(look, truth) for look in looks)
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(2, 1, *SIZE))


@pytest.mark.parametrize('settings', [dict(), dict(trust=0.), dict(picture=0.)])
def test_one_look_that_goes_astray_in_a_patch_changes_little(settings):
    truth = world()[2]
    good = [noisy(truth, .05, seed) for seed in range(3)]
    found, shares = settle([noisy(planted(truth), .05, 9), *good], radius=3, **settings)
    assert (found - truth)[:, :, 18:30, 25:39].norm(dim=1).max() < .3
    assert shares[0][INNER].max() < .05


def test_of_two_looks_the_picture_prefers_the_one_that_explains_it_patch_by_patch():
    truth = world()[2]
    left, right = planted(truth, columns=slice(4, 24)), planted(truth, columns=slice(40, 60))
    found, _ = settle([left, right], radius=3, picture=60., trust=0.)
    without, _ = settle([left, right], picture=0., trust=0.)
    for columns in (slice(9, 19), slice(45, 55)):
        there = (..., slice(18, 30), columns)
        assert (found - truth)[there].abs().max() < .3 < (without - truth)[there].abs().max()


def test_where_the_picture_tells_nothing_it_changes_nothing():
    truth = world()[2]
    flat = torch.full((2, 3, *SIZE), .5)
    looks = [noisy(truth, .1, 1), noisy(truth, .1, 2), planted(truth)]
    assert torch.equal(
        settle(looks, frames=(flat, flat, truth))[0],
        settle(looks, frames=(flat, flat, truth), picture=0.)[0])


def test_a_pixel_that_leaves_the_frame_with_one_look_has_no_say():
    """Where one look leaves the frame, no other gains by explaining what it shows there."""
    frames1, frames2, truth = world()
    gone = truth.clone()
    gone[..., 32:] += 100.
    looks = [truth, planted(truth, columns=slice(44, 60)), gone]
    beyond = (..., slice(None), slice(36, None))
    one, two = (settle(looks, trust=0., picture=picture, radius=3)[1] for picture in (0., 60.))
    torch.testing.assert_close(one[beyond], two[beyond])
    assert not torch.allclose(*(settle(looks[:2], trust=0., picture=picture, radius=3)[1][beyond]
                                for picture in (0., 60.)))


def test_a_look_that_knows_a_part_of_the_frame_changes_nothing_where_it_knows_nothing():
    frames1, frames2, truth = world()
    looks = torch.stack([truth, truth + torch.tensor([3., 0.]).view(2, 1, 1)])
    half = truth.clone()
    half[:, :, 20:] = float('nan')
    wanted = Arbiter().settle(frames1, frames2, looks, makers=[0, 0])
    flow, shares = Arbiter().settle(frames1, frames2, torch.cat([looks, half[None]]), makers=[0, 0, 1])
    assert (wanted[1][0] > .99).all()
    torch.testing.assert_close(flow[:, :, 20:], wanted[0][:, :, 20:])
    torch.testing.assert_close(shares[:2, :, :, 20:], wanted[1][..., 20:, :])
    assert (shares[2, :, :, 20:] == 0).all() and (shares[2, :, :, :20] > .3).all()


def test_a_wild_look_hardly_counts_anywhere_also_where_it_is_right():
    truth = world()[2]
    wild = noisy(truth, 4.)
    wild[..., :20] = truth[..., :20]
    looks = [noisy(truth, .3), wild]
    trusted, without = (settle(looks, trust=trust, picture=0.)[1][1, ..., 4:14].mean() for trust in (2., 0.))
    assert trusted < .05 and .4 < without < .6


def test_the_trust_is_of_each_pair_by_itself():
    frames1, frames2, truth = world()
    other1, other2, _ = world(seed=7)
    frames1 = torch.stack([frames1[0], other1[0], frames1[1], other1[1]])
    frames2 = torch.stack([frames2[0], other2[0], frames2[1], other2[1]])
    good, bad = noisy(truth, .1), noisy(truth, 5.)
    held = torch.stack([noisy(truth, 1.)[0]] * 2 + [noisy(truth, 1.)[1]] * 2)
    challenger = torch.stack([good[0], bad[0], good[1], bad[1]])
    shares = settle([held, challenger], frames=(frames1, frames2, None), picture=0.)[1][1].mean(dim=(1, 2, 3))
    assert shares[0] > .9 and shares[2] > .9 and shares[1] < .2 and shares[3] < .2


def test_a_ratio_of_round_trips_counts_with_its_power():
    truth = torch.zeros(2, 2, *SIZE)
    looks = [truth.clone() for _ in range(4)]
    for look, motion in zip(looks, (8., 8., 8., -4.)):
        look[0, 0] = motion                                   # round trips of 8 and 4 px, both ways
    # three against one, and the median of two places is the heavier one: 3 (1/2)^1 and 3 (1/2)^3 against 1
    for trust, heavier in ((1., 8.), (3., -4.)):
        found, _ = settle(looks, picture=0., trust=trust)
        torch.testing.assert_close(found[0, 0], torch.full(SIZE, heavier), rtol=0, atol=1.)


def test_both_directions_are_treated_alike():
    frames1, frames2, truth = world()
    looks = torch.stack([noisy(truth, .5), planted(truth), noisy(truth, .1, 3)])
    found, shares = settle(looks)
    turned, shares_turned = settle(looks.roll(1, dims=1), frames=(frames2, frames1, None))
    torch.testing.assert_close(turned, found.roll(1, dims=0))
    torch.testing.assert_close(shares_turned, shares.roll(1, dims=1))


def test_the_round_trip_is_the_median_of_both_directions():
    flow = torch.zeros(2, 2, 5, 6)
    flow[0, 0] = .5          # e = 0.5 wherever it lands inside, both ways
    torch.testing.assert_close(median_round_trip(flow).flatten(), torch.tensor([.5, .5]))
    assert median_round_trip(flow + 1000).isinf().all()
    assert median_round_trip(flow * float('nan')).isinf().all()


def test_a_look_that_leaves_the_frame_everywhere_or_is_not_finite_has_no_share():
    truth = world()[2]
    for lost in (truth + 1000, truth * float('nan')):
        found, shares = settle([truth, noisy(truth, .1), lost])
        assert found.isfinite().all() and shares[2].max() == 0
        assert epe(found, truth) < .2
    assert settle([truth * float('nan')] * 2)[0].isnan().all()


def test_looks_that_all_leave_the_frame_are_still_a_motion():
    truth = world()[2]
    found, _ = settle([*[truth + 1000] * 3, truth + 2000])
    torch.testing.assert_close(found, truth + 1000, rtol=0, atol=.5)


@pytest.mark.parametrize('settings, message', [
    (dict(trust=-.1), 'trust.*-0.1'),
    (dict(picture=float('nan')), 'picture.*nan'),
    (dict(radius=0), 'radius.*0'),
])
def test_invalid_settings_are_refused_by_value(settings, message):
    with pytest.raises(ConfigError, match=message):
        Arbiter(**settings)

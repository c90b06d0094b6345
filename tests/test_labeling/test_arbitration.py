"""Which look wins where, on motion that is known and looks that are wrong in a known way."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import resize
from mmrefine.labeling import Arbiter
from mmrefine.labeling.arbitration import fine_detail, reversed_ways, round_trip_ratio

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


INNER = (slice(None), slice(None), slice(18, 30), slice(25, 39))  # of the planted patch, less than the window away from its middle


@pytest.mark.parametrize('scale, finer', [(2., True), (2., False)])
def test_a_finer_look_is_refused_where_it_explains_the_picture_worse_and_taken_elsewhere(scale, finer):
    frames1, frames2, truth = world()
    held, challenger = noisy(truth, .5), planted(truth)
    taken = Arbiter(radius=3).prefers(frames1, frames2, held, challenger, scale, finer)
    assert not taken[INNER].any()
    away = torch.ones_like(taken)
    away[..., 10:38, 16:48] = False
    away[..., :6, :] = away[..., -6:, :] = away[..., :, :6] = away[..., :, -6:] = False
    assert taken[away].all()


def test_a_finer_look_is_taken_where_the_coarser_one_is_wrong():
    frames1, frames2, truth = world()
    taken = Arbiter(radius=3).prefers(frames1, frames2, noisy(planted(truth), .2), noisy(truth, .05), 2.)
    assert taken[INNER].all()


def test_the_decision_changes_in_patches_not_in_pixels():
    """Looks that are wrong in every second pixel each: pixel by pixel the better one would tear the motion to shreds."""
    frames1, frames2, truth = world()
    odd = (torch.arange(SIZE[1]) % 2).view(1, 1, 1, -1).float()
    held, challenger = truth + 2.5 * odd, truth + 2.5 * (1 - odd)
    taken = Arbiter(lead=0., refuse=9.).prefers(frames1, frames2, held, challenger, 1., finer=False)
    changes = (taken[..., 1:] != taken[..., :-1]).float().sum(dim=-1)
    assert changes.max() <= 4  # 32 pairs of neighbours in a row


def test_a_wild_look_loses_the_whole_pair_also_where_it_is_right():
    frames1, frames2, truth = world()
    wild = noisy(truth, 4.)
    wild[..., :20] = truth[..., :20]
    assert Arbiter(radius=1, refuse=1e9, trust=1e9, least=0.).prefers(frames1, frames2, noisy(truth, .1), wild, 2.)[..., 4:14].any()
    assert not Arbiter(radius=1).prefers(frames1, frames2, noisy(truth, .1), wild, 2.).any()


def test_the_veto_is_of_each_pair_by_itself():
    frames1, frames2, truth = world()
    other1, other2, _ = world(seed=7)
    held = noisy(truth, .5)
    frames1 = torch.stack([frames1[0], other1[0], frames1[1], other1[1]])
    frames2 = torch.stack([frames2[0], other2[0], frames2[1], other2[1]])
    challenger = torch.stack([truth[0], noisy(truth, 5.)[0], truth[1], noisy(truth, 5.)[1]])
    both = torch.stack([held[0], held[0], held[1], held[1]])
    taken = Arbiter().prefers(frames1, frames2, both, challenger, 2.)
    assert taken[0].all() and taken[2].all() and not taken[1].any() and not taken[3].any()


def test_a_look_that_loses_most_pixels_of_a_direction_loses_that_direction():
    frames1, frames2, truth = world()
    held, challenger = noisy(truth, .5), truth.clone()
    challenger[0, :, :, 16:] += 6.
    challenger[1, :, :, 16:] -= 6.
    free = Arbiter(radius=1, refuse=9., trust=9., least=0.).prefers(frames1, frames2, held, challenger, 2.)
    share = free.float().mean(dim=(1, 2, 3))
    assert 0.1 < share.min() and share.max() < 0.5
    assert not Arbiter(radius=1, refuse=9., trust=9., least=.5).prefers(frames1, frames2, held, challenger, 2.).any()


def flat_world():
    frames1, frames2, truth = world()
    return torch.full_like(frames1, .5), torch.full_like(frames2, .5), truth


@pytest.mark.parametrize('reach, trust, finer, taken', [
    (4., .5, True, False),     # 7.2 px at twice the size are beyond the reach, and the round trips are as long as before
    (8., .5, True, True),      # within the reach
    (4., 1., True, True),      # trusted
    (8., .5, False, False),    # no finer: nothing to its favour
])  # yapf: disable
def test_where_the_picture_tells_nothing_a_finer_look_wins_unless_it_is_doubted(reach, trust, finer, taken):
    frames1, frames2, truth = flat_world()
    found = Arbiter(reach=reach, trust=trust, detail=0.).prefers(frames1, frames2, truth, truth.clone(), 2., finer)
    assert found.all() if taken else not found.any()


def test_a_finer_look_may_explain_the_picture_a_little_worse_up_to_the_lead():
    frames1, frames2, truth = world()
    held, challenger = truth, noisy(truth, .1)
    assert Arbiter(refuse=99., trust=99., lead=.3).prefers(frames1, frames2, held, challenger, 2.).all()
    assert not Arbiter(refuse=99., trust=99., lead=0.).prefers(frames1, frames2, held, challenger, 2.).any()


def test_both_directions_are_treated_alike():
    frames1, frames2, truth = world()
    held, challenger = noisy(truth, .5), planted(truth)
    taken = Arbiter(radius=3).prefers(frames1, frames2, held, challenger, 2.)
    turned = Arbiter(radius=3).prefers(frames2, frames1, reversed_ways(held), reversed_ways(challenger), 2.)
    assert torch.equal(turned, reversed_ways(taken)) and 0 < taken.float().mean() < 1


def test_the_ratio_is_that_of_the_median_round_trips_of_both_directions():
    forward = torch.zeros(2, 2, 5, 6)
    held, challenger = forward.clone(), forward.clone()
    held[0, 0] = .5          # e = 0.5 wherever it lands inside, both ways
    challenger[0, 0] = .125
    torch.testing.assert_close(round_trip_ratio(held, challenger).flatten(), torch.tensor([.25, .25]))
    # a round trip below `still` counts as that long
    torch.testing.assert_close(round_trip_ratio(held, forward, still=.1).flatten(), torch.tensor([.2, .2]))
    assert round_trip_ratio(forward, forward).eq(1).all()


def test_a_look_that_leaves_the_frame_everywhere_or_is_not_finite_is_infinitely_worse():
    frames1, frames2, truth = world()
    for lost in (truth + 1000, truth * float('nan')):
        assert round_trip_ratio(truth, lost).isinf().all()
        assert not Arbiter().prefers(frames1, frames2, truth, lost, 2.).any()


@pytest.mark.parametrize('settings, message', [
    (dict(lead=-.1), 'lead.*-0.1'),
    (dict(trust=2.), 'trust.*refuse=1.0.*2.0'),
    (dict(trust=0.), 'trust.*0.0'),
    (dict(least=1.), r'least.*\[0, 1\).*1.0'),
    (dict(radius=0), 'radius.*0'),
    (dict(reach=-1.), 'reach.*-1.0'),
])
def test_settings_that_cannot_be_meant_are_refused_by_value(settings, message):
    with pytest.raises(ConfigError, match=message):
        Arbiter(**settings)


@pytest.mark.parametrize('detail, ratio, taken', [(0., .8, True), (9., .8, False), (9., .5, True), (0., 1.2, False)])
def test_frames_without_detail_hold_the_finer_look_to_the_trusted_ratio(detail, ratio, taken):
    frames1, frames2, truth = world()
    held, challenger = truth.clone(), truth.clone()
    held[0, 0] += .2            # round trips of 0.2 px
    challenger[0, 0] += .2 * ratio
    found = Arbiter(detail=detail, trust=.6).prefers(frames1, frames2, held, challenger, 2.)
    assert found.all() if taken else not found.any()


def test_detail_is_the_second_difference_over_the_first():
    column = torch.arange(12.)
    ramp = (column / 255).expand(1, 3, 9, 12)
    stripes = (column % 2 / 255).expand(1, 3, 9, 12)
    torch.testing.assert_close(fine_detail(torch.cat([ramp, stripes, ramp.new_full(ramp.shape, .5)])).flatten(),
                               torch.tensor([0., 2., 0.]), rtol=0, atol=1e-3)
    noise = torch.rand(1, 3, 60, 60)
    assert fine_detail(noise) > 1.5 and fine_detail(resize(noise, (178, 178))) < .7

"""Labels grow within a thing and not beyond it: planes, gaps and walls whose grown label can be told by hand."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.fileio import read_flow, read_image
from mmrefine.labeling import EdgeAwareDensify, PairContext

RADICAL = math.sqrt(2)


def field(x, y=0., height=7, width=15):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def context(flow, frame=None):
    frame = torch.full((len(flow), 3, *flow.shape[-2:]), .5) if frame is None else frame
    # neither the other frame nor the other flow is looked at
    return PairContext(frame, torch.rand_like(frame), flow, torch.randn_like(flow))


def columns(*kept, height=7, width=15):
    weight = torch.zeros(1, 1, height, width)
    weight[..., list(kept)] = 1.
    return weight


def replaced(**settings):
    """Settings that take no advice from the teacher."""
    return EdgeAwareDensify(**dict(dict(agree=None, fill=True), **settings))


@pytest.mark.parametrize('motion', [(0.1, -7.3), (1 / 3, 250.7), (0., 0.)])
def test_one_pixel_in_one_motion_grows_by_the_length_of_the_way(motion):
    """From the middle of a 9x9 frame: k straight steps and d diagonal ones leave fade^(k + d sqrt 2); the flow is that
    of the source."""
    flow = torch.randn(1, 2, 9, 9) * 50
    flow[..., 4, 4] = torch.tensor(motion)
    weight = torch.zeros(1, 1, 9, 9)
    weight[..., 4, 4] = .75
    grown, w = replaced(reach=3, fade=.8)(context(flow), weight)
    y, x = (torch.arange(9) - 4).abs().view(-1, 1), (torch.arange(9) - 4).abs().view(1, -1)
    steps, diagonal = torch.maximum(x, y), torch.minimum(x, y)
    wanted = .75 * .8**(steps - diagonal + diagonal * RADICAL) * (steps <= 3)
    torch.testing.assert_close(w[0, 0], wanted.float())
    reached = (steps <= 3).expand(1, 2, 9, 9)
    assert torch.equal(grown[reached], torch.tensor(motion).view(1, 2, 1, 1).expand(1, 2, 9, 9)[reached])   # exactly
    assert torch.equal(grown[~reached], flow[~reached]) and not w[0, 0][steps > 3].any()


def test_verified_pixels_keep_flow_and_weight_bit_for_bit_and_inputs_stay_as_they_were():
    flow, weight = torch.randn(2, 2, 9, 11), torch.rand(2, 1, 9, 11) * (torch.rand(2, 1, 9, 11) < .4)
    before, frames = (flow.clone(), weight.clone()), torch.rand(2, 3, 9, 11)
    grown, w = replaced(color=200., spread=5.)(context(flow, frames), weight)
    kept = weight > 0
    assert torch.equal(w[kept], weight[kept]) and torch.equal(grown[kept.expand_as(flow)], flow[kept.expand_as(flow)])
    assert float((w > 0).float().mean()) > .8                 # it did grow
    assert float(w[~kept].max()) < .9 * float(weight.max()) + 1e-6
    assert torch.equal(flow, before[0]) and torch.equal(weight, before[1])


def two_planes(gap=0, height=7, width=15, contrast=60):
    """Columns 0..7 move right by 3 px, the others down by 5, with a step of ``contrast`` grey levels between."""
    flow, frame = field(3, 0, height, width), torch.full((1, 3, height, width), .4)
    flow[..., 8:] = field(0, 5, height, width)[..., 8:]
    frame[..., 8:] += contrast / 255
    return flow, frame


@pytest.mark.parametrize('verified, empty', [((0, 1, 13, 14), ()), ((0, 1), range(8, 15)), ((9, ), range(8))])
def test_labels_fill_their_plane_and_do_not_cross_the_edge_of_the_picture(verified, empty):
    flow, frame = two_planes()
    teacher = torch.full_like(flow, 99.)                     # wrong wherever it is not verified
    kept = columns(*verified).bool().expand_as(flow)
    teacher[kept] = flow[kept]
    grown, w = replaced()(context(teacher, frame), columns(*verified))
    full = [x for x in range(15) if x not in empty]
    assert float(w[..., full].min()) > .3 and not w[..., list(empty)].any()
    torch.testing.assert_close(grown[..., full], flow[..., full], atol=1e-6, rtol=0)


def test_where_nothing_is_verified_nothing_grows():
    flow = torch.randn(1, 2, 7, 15)
    grown, w = replaced()(context(flow), columns())
    assert not w.any() and torch.equal(grown, flow)


def test_a_step_of_colour_as_large_as_its_tolerance_leaves_a_factor_of_0_37():
    frame = torch.full((1, 3, 1, 4), .2)
    frame[..., 2:] += torch.tensor([30., 0., 0.]).view(1, 3, 1, 1) / 255       # a root mean square of 30 / sqrt 3
    _, w = replaced(color=30 / math.sqrt(3), fade=.5, least=.001)(context(field(1, 1, 1, 4), frame),
                                                                  columns(0, height=1, width=4))
    torch.testing.assert_close(w[0, 0, 0], torch.tensor([1., .5, .25 / math.e, .125 / math.e]))


def test_a_thin_wall_stops_growth_even_if_the_far_side_looks_the_same():
    frame = torch.full((1, 3, 7, 15), .5)
    frame[..., 6] = 0.
    _, w = replaced()(context(field(1), frame), columns(2))
    assert float(w[..., :6].min()) > 0 and not w[..., 6:].any()


@pytest.mark.parametrize('right, lost', [(10, [6]), (11, [6, 7])])
def test_where_two_motions_meet_in_one_colour_both_lose_and_no_mean_is_made(right, lost):
    """From columns 2 and ``right`` on: the fronts meet at one column, or between two of them."""
    flow = field(3)
    flow[..., 7:] = field(-3)[..., 7:]
    grown, w = replaced()(context(flow), columns(0, 1, 2, right))
    kept = [x for x in range(right) if x not in lost]
    assert not w[..., lost].any() and float(w[..., kept].min()) > .3
    side = torch.where(torch.arange(15) < lost[0], 3., -3.).expand(7, 15)
    assert torch.equal(grown[0, 0][:, kept], side[:, kept])


def test_the_weight_falls_with_the_disagreement_of_the_sources():
    """One empty pixel between 3 sources each of motion 0 and d: the same shares, so the deviation is d / 2."""
    for d in (0., .2, .5):
        flow = torch.zeros(1, 2, 3, 3)
        flow[:, 0, :, 2] = d
        weight = torch.zeros(1, 1, 3, 3)
        weight[..., ::2] = 1.
        grown, w = replaced(reach=1, spread=.4)(context(flow), weight)
        first = math.exp(-(d / 2 / .4)**2)
        assert float(grown[0, 0, 1, 1]) == pytest.approx(d / 2)
        assert float(w[0, 0, 1, 1]) == pytest.approx(.9 * first * second_round(d))


def second_round(d):
    """The middle pixel hears those above and below too, at the mean ``d / 2``: they lower the deviation a little."""
    sides = 2 * .9 + 4 * .9**RADICAL                         # shares of the six sources, motion 0 or d
    middle = 2 * .9 * w_of_an_end(d)
    return math.exp(-sides * (d / 2)**2 / (sides + middle) / .4**2)


def w_of_an_end(d):
    """Weight after the first round of the pixels above and below: 4 sources, two of each motion."""
    return .9 * math.exp(-(d / 2 / .4)**2)


@pytest.mark.parametrize('off, fill, agrees', [(.9, False, True), (.9, True, True), (1.1, False, False),
                                               (1.1, True, False)])
def test_the_teacher_is_heard_where_it_agrees_and_replaced_or_left_out_where_not(off, fill, agrees):
    teacher = field(2, 1)
    teacher[:, 1, :, 4] += off                               # one column beside the verified ones
    grown, w = EdgeAwareDensify(agree=1., fill=fill, reach=2, fade=.5, spread=50.)(context(teacher), columns(
        0, 1, 2, 3))
    if agrees:
        assert torch.equal(grown, teacher) and float(w[..., 4].min()) > .45
    elif fill:
        assert torch.equal(grown[..., :6], field(2, 1)[..., :6]) and float(w[..., 5].min()) > .2
    else:
        assert torch.equal(grown, teacher) and not w[..., 4:].any()


def test_soft_weights_below_source_are_raised_and_never_lowered():
    weight = columns(0)
    weight[..., 1:] = torch.tensor([.3, .9, .3, .7, .3, .01] + [0.] * 8)
    flow = torch.rand(1, 2, 7, 15)
    flow[..., 0] = torch.tensor([4., 4.]).view(1, 2, 1)
    grown, w = replaced(source=.5, reach=1, fade=.5)(context(flow), weight)
    # column 1 hears .5 from 0 and .45 from 2, in two motions: it stays; 6 hears nobody; 3 and 5 hear the columns 2
    # and 4
    assert torch.equal(w[..., [0, 2, 4, 6]], weight[..., [0, 2, 4, 6]]) and torch.equal(
        grown[..., [0, 2, 4, 6]], flow[..., [0, 2, 4, 6]])
    assert (w >= weight).all() and torch.equal(grown[..., 1], flow[..., 1])
    one = flow.clone()
    one[:] = 4.
    _, w = replaced(source=.5, reach=1, fade=.5)(context(one), weight)
    torch.testing.assert_close(w[0, 0, 0, :8], torch.tensor([1., .5, .9, .45, .7, .35, .01, 0.]))


def by_hand(flow, frame, weight, reach, fade, color, spread, least, agree, fill):
    """The docstring's formula, pixel by pixel over the whole frame: ``(2, H, W)``, ``(3, H, W)``, ``(H, W)`` float64
    arrays."""
    height, width = weight.shape
    teacher, flow, w = flow, flow.copy(), weight.copy()

    def ask(y, x):
        shares, motions = [], []
        for v in range(max(y - 1, 0), min(y + 2, height)):
            for u in range(max(x - 1, 0), min(x + 2, width)):
                if (v, u) != (y, x) and w[v, u] > 0:
                    d = np.sqrt(np.mean((255 * (frame[:, v, u] - frame[:, y, x]))**2))
                    shares.append(w[v, u] * fade**np.hypot(v - y, u - x) * np.exp(-(d / color)**2))
                    motions.append(flow[:, v, u])
        if not shares:
            return None
        mean = np.average(motions, axis=0, weights=shares)
        return mean, max(shares), np.average(((motions - mean)**2).sum(1), weights=shares)

    grown = set()
    for _ in range(reach):
        layer = []
        for y in range(height):
            for x in range(width):
                heard = ask(y, x) if w[y, x] == 0 else None
                if heard and heard[1] * np.exp(-heard[2] / spread**2) >= least:
                    near = agree is not None and np.hypot(*(teacher[:, y, x] - heard[0])) <= agree
                    if near or fill:
                        layer.append((y, x, teacher[:, y,
                                                    x] if near else heard[0], heard[1] * np.exp(-heard[2] / spread**2)))
        for y, x, motion, share in layer:
            flow[:, y, x], w[y, x] = motion, share
            grown.add((y, x))
    final = {(y, x): w[y, x] * np.exp(-ask(y, x)[2] / spread**2) for y, x in grown}
    for (y, x), share in final.items():
        w[y, x] = share if share >= least else 0.
        if w[y, x] == 0:
            flow[:, y, x] = teacher[:, y, x]
    return flow, w


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('agree, fill', [(None, True), (.8, False), (.8, True)])
def test_the_result_is_that_of_a_double_loop_over_all_pixels(agree, fill, seed):
    random = np.random.default_rng(seed)
    flow = random.normal(size=(2, 2, 8, 9)).astype(np.float32)
    frame = random.uniform(.4, .5, size=(2, 3, 8, 9)).astype(np.float32)
    weight = (random.uniform(.2, 1, size=(2, 1, 8, 9)) * (random.random((2, 1, 8, 9)) < .25)).astype(np.float32)
    settings = dict(reach=4, fade=.9, color=12., spread=1.5, least=.05, agree=agree, fill=fill)
    ctx = context(torch.from_numpy(flow), torch.from_numpy(frame))
    grown, w = EdgeAwareDensify(**settings)(ctx, torch.from_numpy(weight))
    for i in range(2):
        wanted, wanted_w = by_hand(flow[i].astype(float), frame[i].astype(float), weight[i, 0].astype(float),
                                   **settings)
        np.testing.assert_allclose(w[i, 0].numpy(), wanted_w, atol=1e-6)
        np.testing.assert_allclose(grown[i].numpy(), wanted, atol=1e-5)
    alone = PairContext(*(x[1:] for x in vars(ctx).values() if x is not None))
    for whole, one in zip((grown, w), EdgeAwareDensify(**settings)(alone, torch.from_numpy(weight[1:]))):
        assert torch.equal(whole[1:], one)
    changed = (w > 0) & (torch.from_numpy(weight) == 0)
    assert 10 < int(changed.sum())


def test_growth_turns_and_mirrors_with_the_frame():
    flow, frame = torch.randn(1, 2, 10, 12), .4 + .1 * torch.rand(1, 3, 10, 12)
    weight = (torch.rand(1, 1, 10, 12) < .2).float()
    grown, w = replaced(spread=2.)(context(flow, frame), weight)
    for turn in (lambda x: x.transpose(2, 3), lambda x: x.flip(3), lambda x: x.flip(2)):
        turned, v = replaced(spread=2.)(context(turn(flow), turn(frame)), turn(weight))
        torch.testing.assert_close(v, turn(w))
        torch.testing.assert_close(turned, turn(grown), atol=1e-5, rtol=1e-5)


def test_on_a_real_networks_motion_filled_pixels_come_closer_to_the_truth_and_edges_help(shared_data):
    """Official RAFT-small on a pair of FlyingChairs, verified by the truth: within 0.5 px. The others hold occlusions
    and borders."""
    folder = shared_data / 'flow_pairs' / 'chairs'
    truth, teacher = read_flow(folder / '0000000-gt.flo')[0], np.load(
        shared_data / 'oracles' / 'raft_small_chairs_0000000.npz')['flow']
    truth, teacher, frame = (torch.from_numpy(x).permute(2, 0, 1)[None].float()
                             for x in (truth, teacher, read_image(folder / '0000000-img0.ppm')))
    ctx = context(teacher, frame / 255)
    error_before = (teacher - truth).norm(dim=1, keepdim=True)
    weight = (error_before < .5).float()

    def filled(**settings):
        flow, w = replaced(**settings)(ctx, weight)
        w = w * (weight == 0)
        error = (flow - truth).norm(dim=1, keepdim=True)
        return float(
            (w > 0).sum() / (weight == 0).sum()), *(float((w * e).sum() / w.sum()) for e in (error, error_before))

    share, after, before = filled()
    assert share > .3 and after < .6 * before                # 1.15 px against 2.64
    assert after < .3 * filled(color=1000.)[1]               # 8.26 px for one that sees no edges


@pytest.mark.parametrize('settings, said', [
    (dict(reach=0), 'EdgeAwareDensify.reach must be a whole number, at least 1, got 0'),
    (dict(reach=2.), 'EdgeAwareDensify.reach .* got 2.0'),
    (dict(fade=1.), r'EdgeAwareDensify.fade must lie in \(0, 1\), got 1.0'),
    (dict(least=0.), r'EdgeAwareDensify.least must lie in \(0, 1\), got 0.0'),
    (dict(color=0), 'EdgeAwareDensify.color must be finite and above 0, got 0'),
    (dict(spread=-1), 'EdgeAwareDensify.spread must be finite and above 0, got -1'),
    (dict(source=1.), r'EdgeAwareDensify.source must lie in \[0, 1\), got 1.0'),
    (dict(agree=-2.), 'EdgeAwareDensify.agree .* got -2.0'),
    (dict(agree=None),
     'EdgeAwareDensify.agree must be a distance in px unless EdgeAwareDensify.fill is True, got None'),
])
def test_invalid_values_are_refused_by_key_and_value(settings, said):
    with pytest.raises(ConfigError, match=said):
        EdgeAwareDensify(**settings)

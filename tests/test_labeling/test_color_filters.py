"""Each colour filter where its own term decides: hue, order, light."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import census_residual
from mmrefine.labeling import CensusFilter, ColorFilter, GainRobustColorFilter, LabFilter, PairContext

SIZE = 24


def at_rest(frames1, frames2, fw=(0, 0)):
    flow = torch.tensor([float(fw[0]), float(fw[1])]).view(1, 2, 1, 1).repeat(len(frames1), 1, *frames1.shape[-2:])
    return PairContext(frames1, frames2, flow, -flow)


def one_color(*rgb):
    """RGB in grey levels of 255, all over the frame."""
    return torch.tensor([float(value) for value in rgb]).view(1, 3, 1, 1).repeat(1, 1, SIZE, SIZE) / 255


def texture(low=60, high=140, batch=1, size=SIZE):
    """Whole grey levels, as a decoder gives them."""
    return torch.randint(low, high, (batch, 3, size, size)).float() / 255


def share(weight):
    return float(weight.mean())


def test_lab_drops_a_change_of_hue_that_rgb_keeps_and_keeps_one_of_light_that_rgb_drops():
    """Green for blue by 2 levels: 1.3 levels on average. 4 levels of grey: L changes by 1.6."""
    hue = at_rest(one_color(20, 20, 20), one_color(20, 22, 18))
    light = at_rest(one_color(128, 128, 128), one_color(132, 132, 132))
    rgb, lab = ColorFilter(tolerance=1.5), LabFilter()
    assert (share(rgb(hue)), share(lab(hue))) == (1, 0)
    assert (share(rgb(light)), share(lab(light))) == (0, 1)


@pytest.mark.parametrize('tolerance, kept', [(99.99, 0), (100.01, 1)])
def test_black_and_white_are_100_lab_units_apart(tolerance, kept):
    assert share(LabFilter(tolerance)(at_rest(one_color(0, 0, 0), one_color(255, 255, 255)))) == kept


@pytest.mark.parametrize('curve', [
    pytest.param(lambda x: x**2.2, id='gamma'),
    pytest.param(lambda x: .5 * x + .3, id='gain and offset'),
    pytest.param(lambda x: x * torch.tensor([1.4, 1., .7]).view(1, 3, 1, 1), id='white balance'),
])
def test_census_is_blind_to_every_monotone_change_of_brightness_and_rgb_is_not(curve):
    frames = texture()
    same, changed = at_rest(frames, frames), at_rest(frames, curve(frames))
    census = CensusFilter(tolerance=0.)
    assert torch.equal(census(changed), census(same)) and share(census(same)) == 1
    assert share(ColorFilter(tolerance=10.)(changed)) < .2


def test_census_drops_a_reversed_order_of_little_contrast_that_rgb_keeps():
    """A chequer of 120 and 121 levels, then its negative: every pixel changes by 1 level and every unequal comparison
    flips."""
    chequer = (120 + torch.arange(SIZE).view(-1, 1).add(torch.arange(SIZE)) % 2).float().expand(1, 3, SIZE, SIZE) / 255
    ctx = at_rest(chequer, 241 / 255 - chequer)
    assert share(ColorFilter()(ctx)) == 1 and share(CensusFilter()(ctx)) == 0


def test_a_share_of_half_of_the_comparisons_decides_at_one_half():
    """In a 3x3 window of a chequer 4 of 8 neighbours are unequal to the centre, and only they flip in the negative."""
    chequer = (120 + torch.arange(SIZE).view(-1, 1).add(torch.arange(SIZE)) % 2).float().expand(1, 3, SIZE, SIZE) / 255
    ctx = at_rest(chequer, 241 / 255 - chequer)
    middle = (0, 0, slice(1, -1), slice(1, -1))
    assert bool((CensusFilter(tolerance=.5, radius=1)(ctx)[middle] == 1).all())
    assert bool((CensusFilter(tolerance=.49, radius=1)(ctx)[middle] == 0).all())


def test_census_hands_all_its_settings_to_the_residual():
    ctx = at_rest(texture(60, 70), texture(60, 70))
    kept = set()
    for settings in (dict(), dict(radius=1), dict(tie=4.5)):
        weight = CensusFilter(tolerance=.6, **settings)(ctx)
        assert torch.equal(weight, (census_residual(ctx.frames1, ctx.frames2, ctx.flow_fw, **settings) <= .6).float())
        kept.add(weight.numpy().tobytes())
    assert len(kept) == 3                                     # no two settings mean the same


def test_census_keeps_a_flat_area_as_long_as_it_stays_flat():
    flat = one_color(100, 100, 100)
    assert share(CensusFilter()(at_rest(flat, flat, fw=(.37, 0)))) == pytest.approx(
        (SIZE - 1) / SIZE)  # one column leaves
    assert share(CensusFilter()(at_rest(flat, texture()))) < .05


@pytest.mark.parametrize('scope', ['frame', 'local'])
@pytest.mark.parametrize('gain, offset', [(1.3, 0.), (.7, 0.), (1., 20.), (.8, 30.)])
def test_a_global_gain_and_offset_leave_the_gain_robust_weights_as_they_were(scope, gain, offset):
    """One corner is repainted, which no light explains: weights of both kinds, and the same ones."""
    frames1 = texture()
    frames2 = frames1.clone()
    frames2[..., :6, :6] = texture()[..., :6, :6]
    robust = GainRobustColorFilter(tolerance=3., scope=scope, radius=3)
    plain, lit = at_rest(frames1, frames2), at_rest(frames1, gain * frames2 + offset / 255)
    weight = robust(plain)
    assert torch.equal(robust(lit), weight)
    assert bool((weight[..., :6, :6].mean() < .1) & (weight[..., 12:, 12:] == 1).all())
    assert share(ColorFilter(tolerance=3.)(lit)) < .3 < .85 < share(ColorFilter(tolerance=3.)(plain))


def test_each_channel_has_its_own_gain():
    frames = texture()
    warmer = frames * torch.tensor([1.3, 1., .8]).view(1, 3, 1, 1)
    assert share(GainRobustColorFilter(tolerance=.1)(at_rest(frames, warmer))) == 1


def test_light_that_differs_over_the_frame_needs_the_local_scope():
    frames = texture(size=48)
    shade = torch.linspace(1., .6, 48).expand(1, 1, 48, 48)
    ctx = at_rest(frames, frames * shade)
    assert share(GainRobustColorFilter(tolerance=4., scope='frame')(ctx)) < .4
    assert share(GainRobustColorFilter(tolerance=4., scope='local', radius=5)(ctx)) > .95


@pytest.mark.parametrize('scope', ['frame', 'local'])
@pytest.mark.parametrize('gain, limit, kept', [(1.5, 2., 1), (1.5, 1.2, 0)])
def test_more_gain_than_the_limit_counts_as_a_change_of_colour(scope, gain, limit, kept):
    frames = texture(100, 140)
    weight = GainRobustColorFilter(tolerance=1.3, scope=scope, max_gain=limit)(at_rest(frames, gain * frames))
    assert share(weight) == pytest.approx(kept, abs=.1)


@pytest.mark.parametrize('scope', ['frame', 'local'])
@pytest.mark.parametrize('shift, kept', [(63., 1), (66., 0)])
def test_more_offset_than_the_limit_counts_as_a_change_of_colour(scope, shift, kept):
    """Flat on flat: gain means nothing there, and the default limit is 64 levels, the tolerance 1.275."""
    ctx = at_rest(one_color(100, 50, 0), one_color(100 + shift, 50 + shift, shift))
    assert share(GainRobustColorFilter(scope=scope)(ctx)) == kept


def test_the_local_scope_does_not_shrink_texture_onto_a_flat_area():
    ctx = at_rest(one_color(100, 100, 100), texture())
    assert share(GainRobustColorFilter(scope='local')(ctx)) < .1


@pytest.mark.parametrize('filter_', [LabFilter(200.), CensusFilter(1.), GainRobustColorFilter(255.),
                                     GainRobustColorFilter(255., scope='local')])
def test_what_leaves_the_frame_is_never_kept_and_what_stays_is_compared_where_it_lands(filter_):
    frames2 = texture()
    frames1 = torch.roll(frames2, -2, dims=3)                 # 2 px right
    assert filter_(at_rest(frames1, frames2, fw=(2, 0)))[0, 0].tolist() == [[1.] * (SIZE - 2) + [0., 0.]] * SIZE
    strict = type(filter_)(.5) if isinstance(filter_, GainRobustColorFilter) else type(filter_)(.01)
    assert share(strict(at_rest(frames1, frames2, fw=(2, 0)))[..., :-2]) == 1
    assert share(strict(at_rest(frames1, frames2, fw=(1, 0)))) < .1


def test_a_pair_of_which_nothing_stays_inside_gets_no_weight_from_any_colour_filter():
    for filter_ in (LabFilter(200.), CensusFilter(1.), GainRobustColorFilter(255.),
                    GainRobustColorFilter(255., scope='local')):
        assert share(filter_(at_rest(texture(), texture(), fw=(99, 0)))) == 0, filter_


@pytest.mark.parametrize('build, said', [
    (lambda: LabFilter(tolerance=-1), 'LabFilter.tolerance must be finite and not negative, got -1'),
    (lambda: CensusFilter(tolerance=float('nan')), 'CensusFilter.tolerance .* got nan'),
    (lambda: CensusFilter(tie=-.1), 'CensusFilter.tie .* got -0.1'),
    (lambda: CensusFilter(radius=0), 'CensusFilter.radius must be a whole number, at least 1, got 0'),
    (lambda: CensusFilter(radius=1.5), 'CensusFilter.radius .* got 1.5'),
    (lambda: GainRobustColorFilter(tolerance=-2), 'GainRobustColorFilter.tolerance .* got -2'),
    (lambda: GainRobustColorFilter(scope='global'),
     "GainRobustColorFilter.scope must be 'frame' or 'local', got 'global'"),
    (lambda: GainRobustColorFilter(max_gain=.5),
     'GainRobustColorFilter.max_gain must be finite and at least 1, got 0.5'),
    (lambda: GainRobustColorFilter(max_offset=-3), 'GainRobustColorFilter.max_offset .* got -3'),
    (lambda: GainRobustColorFilter(radius=True), 'GainRobustColorFilter.radius .* got True'),
])
def test_invalid_values_are_refused_by_key_and_value(build, said):
    with pytest.raises(ConfigError, match=said):
        build()

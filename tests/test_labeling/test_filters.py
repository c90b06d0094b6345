"""What each filter keeps."""
from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import cycle_consistent
from mmrefine.labeling import ColorFilter, CycleFilter, InFrameFilter, PairContext, SoftCycleFilter
from mmrefine.registry import FILTERS


def constant(x, y, size=5):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, size, size)


def context(fw=(0, 0), bw=(0, 0), frames1=None, frames2=None, size=5):
    black = torch.zeros(1, 3, size, size)
    return PairContext(black if frames1 is None else frames1,
                       black if frames2 is None else frames2, constant(*fw, size),
                       constant(*bw, size))


def test_swapping_a_context_turns_time_around():
    ctx = PairContext(*(torch.full((1, ), float(i)) for i in range(10)))
    assert [float(x) for x in vars(ctx.reversed()).values()] == [1., 0., 3., 2., 5., 4., 7., 6., 9., 8.]
    assert list(vars(PairContext(*(torch.zeros(1) for _ in range(4))).reversed()).values())[4:] == [None] * 6


def test_the_cycle_filter_hands_all_its_settings_to_the_cycle_check():
    fw, bw = torch.randn(2, 2, 2, 12, 12).unbind(0)
    frames = torch.zeros(2, 3, 12, 12)
    ctx = PairContext(frames, frames, fw, bw)
    masks = set()
    for settings in (dict(), dict(alpha=.3), dict(beta=.9),
                     dict(alpha=.3, beta=.9, form='squared'),
                     dict(alpha=.3, beta=.9, magnitude='warped')):
        weight = CycleFilter(**settings)(ctx)
        assert torch.equal(weight, cycle_consistent(fw, bw, **settings).float())
        masks.add(weight.numpy().tobytes())
    assert len(masks) == 5                                   # no two settings mean the same


def test_the_cycle_filter_meets_the_reference_on_a_real_pair(shared_data):
    oracle = np.load(shared_data / 'oracles' / 'cycle_mask_libby_00010.npz')
    fw, bw = (torch.from_numpy(oracle[f'flow_{d}'])[None] for d in ('fw', 'bw'))
    frames = torch.zeros(1, 3, *fw.shape[-2:])
    ctx = PairContext(frames, frames, fw, bw)
    for direction, name in ((ctx, 'fw'), (ctx.reversed(), 'bw')):
        inside = InFrameFilter()(direction)[0, 0].bool()
        wanted = torch.from_numpy(oracle[f'consistent_{name}'])
        assert torch.equal(CycleFilter()(direction)[0, 0].bool()[inside], wanted[inside])


@pytest.mark.parametrize('change, kept', [(.5 - 2**-9, True), (.5, False), (.5 + 2**-9, False)])
def test_the_colour_tolerance_is_strict_and_in_grey_levels(change, kept):
    changed = torch.full((1, 3, 5, 5), change)               # 0.5 are 127.5 grey levels
    weight = ColorFilter(tolerance=127.5)(context(frames2=changed))
    assert bool((weight == float(kept)).all())


@pytest.mark.parametrize('levels, kept', [(1.27, True), (1.28, False)])
def test_the_default_colour_tolerance_is_that_of_the_reference(levels, kept):
    """0.005 on the reference's scale of length 1 are 1.275 grey levels."""
    changed = torch.full((1, 3, 5, 5), levels / 255)
    assert bool((ColorFilter()(context(frames2=changed)) == float(kept)).all())


def test_the_colour_change_is_the_mean_over_rgb():
    changed = torch.tensor([6., 0., 0.]).view(1, 3, 1, 1).expand(1, 3, 5, 5) / 255  # mean 2 levels
    assert ColorFilter(tolerance=2.1)(context(frames2=changed)).all()
    assert not ColorFilter(tolerance=1.9)(context(frames2=changed)).any()


def test_colour_outside_the_frame_is_never_kept_not_even_black_on_black():
    weight = ColorFilter(tolerance=255.)(context(fw=(2, 0)))
    assert weight[0, 0].tolist() == [[1., 1., 1., 0., 0.]] * 5


def test_the_in_frame_filter_drops_what_leaves_and_nothing_else():
    weight = InFrameFilter()(context(fw=(-1, 3)))
    wanted = torch.zeros(5, 5)
    wanted[:2, 1:] = 1.
    assert torch.equal(weight[0, 0], wanted)


@pytest.mark.parametrize('fw, bw, wanted', [
    ((1, 0), (-1, 0), 1.),                                   # a perfect round trip
    ((.5, 0), (0, 0), math.exp(-(.5 / .55)**2)),             # e = 0.5, t = 0.1 * 0.5 + 0.5
    ((0, 0), (0, .5), math.exp(-(.5 / .55)**2)),             # the other flow, the other axis
    ((.2, 0), (.2, 0), math.exp(-(.4 / .54)**2)),            # both sizes add up
])
def test_the_soft_cycle_weight_follows_its_formula(fw, bw, wanted):
    weight = SoftCycleFilter(alpha=.1, beta=.5)(context(fw, bw))
    assert float(weight[0, 0, 2, 2]) == pytest.approx(wanted, rel=1e-5)


def test_the_soft_cycle_weight_is_0_37_where_the_hard_filter_draws_its_line():
    ctx = context(fw=(.5, 0))
    assert SoftCycleFilter(alpha=0., beta=.5)(ctx)[0, 0, 2, 2] == pytest.approx(math.exp(-1))
    assert CycleFilter(alpha=0., beta=.5)(ctx)[0, 0, 2, 2] == 1


def test_the_soft_cycle_weight_is_0_outside_the_frame():
    weight = SoftCycleFilter()(context(fw=(0, 2), bw=(0, -2)))
    assert weight[0, 0, 3:].eq(0).all() and weight[0, 0, :3].eq(1).all()


@pytest.mark.parametrize('build, said', [
    (lambda: CycleFilter(alpha=-1), 'CycleFilter.alpha must be finite and not negative, got -1'),
    (lambda: CycleFilter(beta=float('nan')), 'CycleFilter.beta .* got nan'),
    (lambda: CycleFilter(form='l1'), "CycleFilter.form .* got 'l1'"),
    (lambda: CycleFilter(magnitude='both'), "CycleFilter.magnitude .* got 'both'"),
    (lambda: ColorFilter(tolerance=-.5), 'ColorFilter.tolerance .* got -0.5'),
    (lambda: SoftCycleFilter(beta=0), 'SoftCycleFilter.beta must be finite and above 0, got 0 px'),
    (lambda: SoftCycleFilter(alpha=float('inf')), 'SoftCycleFilter.alpha .* got inf'),
    (lambda: SoftCycleFilter(alpha='a'), "SoftCycleFilter.alpha must be finite and not negative, got 'a'"),
])
def test_invalid_values_are_refused_by_key_and_value(build, said):
    with pytest.raises(ConfigError, match=said):
        build()


def test_every_registered_filter_gives_weights_of_one_channel_in_zero_to_one():
    ctx = PairContext(*torch.rand(2, 2, 3, 8, 9).unbind(0), *torch.randn(6, 2, 2, 8, 9).unbind(0),
                      *torch.rand(2, 2, 1, 8, 9).mul(2).unbind(0))
    before = [x.clone() for x in vars(ctx).values()]
    ours = [name for name, cls in FILTERS.module_dict.items()
            if 'mmrefine.labeling.flow' in cls.__module__
            and name not in ('TrackAgreementFilter', 'FeatureAgreement')]  # they need a network
    for name in ours:
        weight = FILTERS.build(dict(type=name))(ctx)
        assert weight.shape == (2, 1, 8, 9) and weight.dtype == torch.float32, name
        assert 0 <= float(weight.min()) and float(weight.max()) <= 1, name
    assert len(ours) == 14
    assert all(torch.equal(a, b) for a, b in zip(before, vars(ctx).values()))   # inputs untouched


@pytest.mark.parametrize('page, kind', [('filters.md', 'flow'), ('tracks.md', 'tracks')])
def test_a_page_has_a_row_for_each_filter_with_all_its_defaults(page, kind):
    page = (Path(__file__).resolve().parents[2] / 'docs' / page).read_text(encoding='utf-8')
    rows = {line.split('`')[1]: line for line in page.splitlines() if line.startswith('| `')}
    ours = {name: cls for name, cls in FILTERS.module_dict.items() if f'mmrefine.labeling.{kind}' in cls.__module__}
    rows = {name: row for name, row in rows.items() if kind == 'flow' or name.endswith('Filter')}
    assert ours and set(rows) == set(ours)
    for name, cls in ours.items():
        settings = inspect.signature(cls).parameters.values()
        wanted = [s.name if s.default is s.empty else f'{s.name}={s.default!r}' for s in settings]
        assert not [text for text in wanted if f'`{text}`' not in rows[name]], (name, wanted)

"""Speeds share a label: pixels counted by hand."""
from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.labeling import InverseHistogram, SpeedQuota, SpeedThreshold
from mmrefine.registry import BALANCERS, DENSIFIERS


def label(*speeds, weights=None):
    """One row of pixels of these speeds in px, in directions all around, and their weights, 1 if not given."""
    angles = torch.arange(len(speeds)) * 1.5707963267948966
    flow = torch.stack([torch.cos(angles), torch.sin(angles)]) * torch.tensor(speeds)
    weight = torch.ones(len(speeds)) if weights is None else torch.tensor(weights)
    return flow.view(1, 2, 1, -1), weight.view(1, 1, 1, -1)


def balanced(part, *args, **kwargs):
    return part(*label(*args, **kwargs))[0, 0, 0].tolist()


def test_the_speed_threshold_is_strict_and_keeps_what_it_says_of_the_slow():
    speeds, weights = (0., 2., 3., 3.5, 80.), (1., .5, 1., .5, 1.)
    assert balanced(SpeedThreshold(3.), *speeds, weights=weights) == [0., 0., 0., .5, 1.]
    assert balanced(SpeedThreshold(3., slow=.25), *speeds, weights=weights) == [.25, .125, .25, .5, 1.]
    assert balanced(SpeedThreshold(), 4.9, 5.1) == [0., 1.]


def test_a_bin_over_its_quota_is_scaled_down_to_it_and_one_below_stays():
    """10 pixels, a quota of 0.2 is a weight of 2. Slow: 5 pixels of 1; middle: 4 of 0.5, just 2; fast: 1."""
    speeds, weights = (0.,) * 5 + (1., 1.5, 1., 1.9) + (9., ), (1., ) * 5 + (.5, ) * 4 + (1., )
    found = balanced(SpeedQuota(edges=(1., 2.), quotas=.2), *speeds, weights=weights)
    assert found == pytest.approx([.4] * 5 + [.5] * 4 + [1.])


def test_each_bin_can_have_a_quota_of_its_own_and_an_edge_belongs_to_the_faster_bin():
    found = balanced(SpeedQuota(edges=(1., 2.), quotas=(.125, .25, 1.)), .5, .5, .99, 1., 1.5, 2., 3., 4.)
    assert found == pytest.approx([1 / 3] * 3 + [1.] * 5)    # 8 pixels: room for 1, 2 and 8


def test_the_mean_weight_after_quotas_is_the_sum_of_what_each_bin_may_hold():
    flow, weight = torch.randn(1, 2, 20, 20) * 4, torch.rand(1, 1, 20, 20)
    after = SpeedQuota(edges=(2., 4.), quotas=.125)(flow, weight)
    speed = flow.norm(dim=1, keepdim=True)
    held = [float((weight * inside).sum()) / 400 for inside in (speed < 2, (speed >= 2) & (speed < 4), speed >= 4)]
    assert max(held) > .125 > min(held)                      # both cases are there
    assert float(after.mean()) == pytest.approx(sum(min(share, .125) for share in held), rel=1e-5)


def test_the_inverse_histogram_evens_the_bins_out_until_its_cap():
    """6 slow pixels, 3 of middle speed, 1 fast: ratios 1, 2, 6 to the most common bin; the cap makes the last one 4."""
    speeds = (0., ) * 6 + (1., ) * 3 + (7., )
    even = balanced(InverseHistogram(edges=(.5, 5.), cap=10.), *speeds)
    assert even == pytest.approx([1 / 6] * 6 + [2 / 6] * 3 + [1.])
    assert [sum(even[:6]), sum(even[6:9]), even[9]] == pytest.approx([1., 1., 1.])
    assert balanced(InverseHistogram(edges=(.5, 5.), cap=4.), *speeds) == pytest.approx([1 / 4] * 6 + [2 / 4] * 3 + [1.])


def test_the_inverse_histogram_counts_weight_and_not_pixels():
    found = balanced(InverseHistogram(edges=(1., ), cap=9.), 0., 0., 5., 5., 5., weights=(1., 1., .5, .5, 0.))
    assert found == pytest.approx([.5, .5, .5, .5, 0.])


@pytest.mark.parametrize('part', [InverseHistogram(), SpeedQuota(quotas=1.), InverseHistogram(cap=1.), SpeedThreshold(slow=1.)])
def test_what_is_in_balance_stays_bit_for_bit(part):
    flow, weight = label(3., 3., 3., 3., weights=(.3, 1 / 3, 0., 1.))
    assert torch.equal(part(flow, weight), weight)


@pytest.mark.parametrize('part', [SpeedThreshold(), SpeedQuota(quotas=.05), InverseHistogram()])
def test_labels_are_balanced_one_by_one_and_no_weight_rises_or_comes_from_nothing(part):
    flow, weight = torch.randn(3, 2, 12, 10) * torch.tensor([.3, 3., 30.]).view(3, 1, 1, 1), torch.rand(3, 1, 12, 10)
    weight[:, :, :6] = 0.
    weight[2] = 0.                                           # a label that is not believed at all
    before = flow.clone(), weight.clone()
    after = part(flow, weight)
    assert (after <= weight).all() and (after >= 0).all() and (after[:2] < weight[:2]).any()
    for i in range(3):
        assert torch.equal(part(flow[i:i + 1], weight[i:i + 1]), after[i:i + 1])
    assert torch.equal(flow, before[0]) and torch.equal(weight, before[1])


def test_every_registered_balancer_keeps_shape_and_type():
    flow, weight = torch.randn(2, 2, 5, 6), torch.rand(2, 1, 5, 6)
    ours = [name for name, cls in BALANCERS.module_dict.items() if 'mmrefine' in cls.__module__]
    found = [BALANCERS.build(dict(type=name))(flow, weight) for name in ours]
    assert len(ours) == 3 and all(w.shape == weight.shape and w.dtype == torch.float32 for w in found)


def test_the_page_on_labels_has_a_row_for_each_part_with_all_its_defaults():
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'labels.md').read_text(encoding='utf-8')
    rows = {line.split('`')[1]: line for line in page.splitlines() if line.startswith('| `')}
    ours = {name: cls for registry in (DENSIFIERS, BALANCERS) for name, cls in registry.module_dict.items() if 'mmrefine' in cls.__module__}
    assert len(ours) == 4 and set(ours) <= set(rows)
    for name, cls in ours.items():
        settings = inspect.signature(cls).parameters.values()
        missing = [f'{s.name}={s.default!r}' for s in settings if f'`{s.name}={s.default!r}`' not in rows[name]]
        assert not missing, (name, missing)


@pytest.mark.parametrize('build, said', [
    (lambda: SpeedThreshold(-1.), 'SpeedThreshold.least_motion must be finite and not negative, got -1.0'),
    (lambda: SpeedThreshold(slow=1.5), r'SpeedThreshold.slow must lie in \[0, 1\], got 1.5'),
    (lambda: SpeedQuota(edges=()), r'SpeedQuota.edges must be rising speeds above 0 px, at least one, got \(\)'),
    (lambda: SpeedQuota(edges=(2., 1.)), r'SpeedQuota.edges .* got \(2.0, 1.0\)'),
    (lambda: SpeedQuota(edges=5.), 'SpeedQuota.edges .* got 5.0'),
    (lambda: SpeedQuota(quotas=(.5, .5)), r'SpeedQuota.quotas .* each of the 4 bins, got \(0.5, 0.5\)'),
    (lambda: SpeedQuota(quotas=0.), 'SpeedQuota.quotas .* got 0.0'),
    (lambda: InverseHistogram(edges=(0., 1.)), r'InverseHistogram.edges .* got \(0.0, 1.0\)'),
    (lambda: InverseHistogram(cap=.5), 'InverseHistogram.cap must be finite and at least 1, got 0.5'),
])
def test_values_that_cannot_be_meant_are_refused_by_key_and_value(build, said):
    with pytest.raises(ConfigError, match=said):
        build()

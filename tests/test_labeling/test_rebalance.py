"""Speeds share a label: pixels counted by hand."""
from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError
from mmrefine.labeling import FlowLabeler, InverseHistogram, Novelty, SpeedQuota, SpeedThreshold
from mmrefine.registry import BALANCERS, DENSIFIERS
from mmrefine.structures import PairBatch, PairContext

VIDEO = Path(__file__).resolve().parents[2] / 'configs' / 'refine' / 'raft_small_video.py'


def label(*speeds, weights=None):
    """One row of pixels of these speeds in px, in directions all around, and their weights, 1 if not given."""
    angles = torch.arange(len(speeds)) * 1.5707963267948966
    flow = torch.stack([torch.cos(angles), torch.sin(angles)]) * torch.tensor(speeds)
    weight = torch.ones(len(speeds)) if weights is None else torch.tensor(weights)
    return flow.view(1, 2, 1, -1), weight.view(1, 1, 1, -1)


def weigh(part, flow, weight, plain=None):
    """As the labeler asks, with all that is known of the pairs."""
    frames = torch.zeros(len(flow), 3, *flow.shape[-2:])
    return part(PairContext(frames, frames, flow, -flow, plain_fw=plain), flow, weight)


def balanced(part, *args, **kwargs):
    return weigh(part, *label(*args, **kwargs))[0, 0, 0].tolist()


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
    after = weigh(SpeedQuota(edges=(2., 4.), quotas=.125), flow, weight)
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
    assert balanced(InverseHistogram(edges=(.5, 5.), cap=4.),
                    *speeds) == pytest.approx([1 / 4] * 6 + [2 / 4] * 3 + [1.])


def test_the_inverse_histogram_counts_weight_and_not_pixels():
    found = balanced(InverseHistogram(edges=(1., ), cap=9.), 0., 0., 5., 5., 5., weights=(1., 1., .5, .5, 0.))
    assert found == pytest.approx([.5, .5, .5, .5, 0.])


@pytest.mark.parametrize(
    'part',
    [InverseHistogram(), SpeedQuota(quotas=1.),
     InverseHistogram(cap=1.),
     SpeedThreshold(slow=1.)])
def test_what_is_in_balance_stays_bit_for_bit(part):
    flow, weight = label(3., 3., 3., 3., weights=(.3, 1 / 3, 0., 1.))
    assert torch.equal(weigh(part, flow, weight), weight)


@pytest.mark.parametrize('part', [SpeedThreshold(), SpeedQuota(quotas=.05), InverseHistogram()])
def test_labels_are_balanced_one_by_one_and_no_weight_rises_or_comes_from_nothing(part):
    flow, weight = torch.randn(3, 2, 12, 10) * torch.tensor([.3, 3., 30.]).view(3, 1, 1, 1), torch.rand(3, 1, 12, 10)
    weight[:, :, :6] = 0.
    weight[2] = 0.                                           # a label that is not believed at all
    before = flow.clone(), weight.clone()
    after = weigh(part, flow, weight)
    assert (after <= weight).all() and (after >= 0).all() and (after[:2] < weight[:2]).any()
    for i in range(3):
        assert torch.equal(weigh(part, flow[i:i + 1], weight[i:i + 1]), after[i:i + 1])
    assert torch.equal(flow, before[0]) and torch.equal(weight, before[1])


def test_novelty_is_half_way_up_at_its_distance_and_leaves_a_share_where_nothing_is_new():
    flow, weight = label(0., 1., 3., 1e6, weights=(1., 1., .5, 1.))
    found = weigh(Novelty(half=1., least=.2), flow, weight, 0 * flow)[0, 0, 0]
    assert found.tolist() == pytest.approx([.2, .2 + .8 / 2, .5 * (.2 + .8 * 3 / 4), 1.], abs=1e-5)
    assert torch.equal(weigh(Novelty(least=1.), flow, weight, 0 * flow), weight)
    assert weigh(Novelty(least=0.), flow, weight, flow).sum() == 0


class Growing:
    """Sees that everything moves to the right by the share of a px that ``seen`` says for a size of frames."""

    def __init__(self, seen, warm=True):
        self.seen, self.accepts_flow_init = seen, warm

    def estimate(self, frames1, frames2, flow_init=None):
        flow = torch.zeros_like(frames1[:, :2])
        flow[:, 0] = self.seen[frames1.shape[-1]]
        return [flow]


@pytest.mark.parametrize('warm', [True, False])  # PWC-Net and others always start from rest
@pytest.mark.parametrize('view', [dict(type='CascadeView'), dict(type='ArbitratedView', scales=(1., 2.), flip=False)])
def test_the_plain_pass_of_the_view_tells_what_is_new(view, warm):
    frames = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    teacher = Growing({40: 0.5, 80: 0.5}, warm)  # at twice the size half as much
    plain, = FlowLabeler(view=view).label_pairs(teacher, PairBatch(frames, frames))
    labeler = FlowLabeler(view=view, directions='both', balance=dict(type='Novelty', half=.25, least=.1))
    weighed, = labeler.label_pairs(teacher, PairBatch(frames, frames))
    motion = weighed.forward.flow[0].mean().item()
    assert torch.equal(weighed.forward.flow, plain.forward.flow) and 0.2 < motion < 0.5
    assert weighed.forward.weight.mean().item() == pytest.approx(.1 + .9 * (.5 - motion) / (.75 - motion), rel=1e-3)
    assert weighed.stats['unbalanced'] == 1 and weighed.stats_backward['kept'] == pytest.approx(weighed.stats['kept'],
                                                                                                rel=1e-3)


@pytest.mark.parametrize('view, teacher', [
    (dict(type='CascadeView', scales=(1., )), Growing({40: 1.})),
    (dict(type='CascadeView', scales=(2., )), Growing({80: 1.})),
    (dict(type='CascadeView', scales=(1.5, 2.)), Growing({60: 1., 80: 1.}, warm=False)),
    (dict(type='ArbitratedView', scales=(1., ), flip=False), Growing({40: 1.})),
])
def test_a_view_without_a_plain_pass_beside_the_label_is_refused(view, teacher):
    frames = torch.rand(1, 3, 32, 40)
    with pytest.raises(ConfigError, match=r'Novelty compares .* scales such as \(1\.0, 2\.0\)'):
        FlowLabeler(view=view, balance=dict(type='Novelty')).label_pairs(teacher, PairBatch(frames, frames))


def test_the_video_configs_learn_nothing_across_a_cut():
    """There the passes differ most, and without a guard the cut would have most of the weight."""
    labeler = FlowLabeler(**{
        key: value
        for key, value in load_config(VIDEO).labeler.to_dict().items() if key != 'type'
    })
    shots = F.interpolate(torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0)), (32, 40),
                          mode='bilinear')
    teacher = Growing({40: 0.5, 80: 3.})
    same, = labeler.label_pairs(teacher, PairBatch(shots[:1], shots[:1].roll(1, -1)))
    cut, = labeler.label_pairs(teacher, PairBatch(shots[:1], shots[1:]))
    assert same.forward.weight.mean() > 0.3 and same.backward.weight.mean() > 0.3
    assert cut.forward.weight.sum() == 0 == cut.backward.weight.sum() and cut.stats['passed_CutGuard'] == 0


@pytest.mark.parametrize('key, value', [('half', 0.), ('half', float('inf')), ('least', -.1), ('least', 1.5)])
def test_invalid_settings_of_novelty_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf'Novelty\.{key} must .* got {value}'):
        Novelty(**{key: value})


def test_every_registered_balancer_keeps_shape_and_type():
    flow, weight = torch.randn(2, 2, 5, 6), torch.rand(2, 1, 5, 6)
    ours = [name for name, cls in BALANCERS.module_dict.items() if 'mmrefine.labeling.flow' in cls.__module__]
    parts = [BALANCERS.build(dict(type=name)) for name in ours]
    found = [weigh(part, flow, weight, 0 * flow if getattr(part, 'needs_plain', False) else None) for part in parts]
    assert len(ours) == 4 and all(w.shape == weight.shape and w.dtype == torch.float32 for w in found)


def test_the_page_on_labels_has_a_row_for_each_part_with_all_its_defaults():
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'labels.md').read_text(encoding='utf-8')
    rows = {line.split('`')[1]: line for line in page.splitlines() if line.startswith('| `')}
    ours = {
        name: cls
        for registry in (DENSIFIERS, BALANCERS)
        for name, cls in registry.module_dict.items() if 'mmrefine.labeling.flow' in cls.__module__
    }
    assert len(ours) == 5 and set(ours) <= set(rows)
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
    (lambda: Novelty(least='x'), r"Novelty.least must lie in \[0, 1\], got 'x'"),
])
def test_invalid_values_are_refused_by_key_and_value(build, said):
    with pytest.raises(ConfigError, match=said):
        build()

"""CRAFT: each attention against a dense second implementation, its network in training and in use."""
from __future__ import annotations

import copy
import itertools
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmrefine.errors import ConfigError
from mmrefine.models import FlowRefiner, FrozenTeacher
from mmrefine.models.networks import craft_attention
from mmrefine.models.networks.craft import (CrossFrameCorrelation, IntraFrameAttention, MotionAggregation,
                                            SemanticSmoothing)
from mmrefine.models.networks.craft_attention import PositionBias
from mmrefine.models.raft_fast.two_way import runs_two_way
from mmrefine.registry import MODELS
from mmrefine.structures import FlowSample

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
SIZE = (3, 4)  # of the grids
CELLS = 12


def config_of(name):
    return Config.fromfile(CONFIGS / f'{name}.py').model


@lru_cache(maxsize=None)
def built():
    torch.manual_seed(0)
    estimator = FlowRefiner(config_of('craft_small').estimator).estimator
    enliven(estimator)
    with torch.no_grad():  # random weights throw the flow about, and rounding with it
        estimator.decoder.flow_pred.predict_layer.weight.mul_(.1)
    return estimator


def refiner(**settings):
    settings.setdefault('test_iters', 3)
    settings.setdefault('train_iters', 2)
    return FlowRefiner(copy.deepcopy(built()), **settings).eval()


def enliven(module):
    """Weights under which every part shows: nothing is 0, and cells and modes are not all alike."""
    generator = torch.Generator().manual_seed(7)
    for name, value in module.named_parameters():
        if 'position' in name or 'skip' in name or 'mode_score' in name:
            value.data.copy_(torch.randn(value.shape, generator=generator, dtype=value.dtype))
        elif 'attention' in name:
            value.data.mul_(4)


def part(kind, *args):
    torch.manual_seed(1)
    found = kind(*args).double()
    enliven(found)
    return found.eval()


def features(*shape, seed=3):
    return torch.randn(*shape, *SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=['one tile', 'row by row'])
def tiles(request, monkeypatch):
    if request.param == 'row by row':
        monkeypatch.setattr(craft_attention, '_TILE_BYTES', 1)


# ---- the second implementation: dense, cell by cell where that is plainer ----


def dense_bias(table, size):
    radius = table.shape[0] // 2
    found = table.new_zeros(size[0] * size[1], size[0] * size[1])
    places = list(itertools.product(range(size[0]), range(size[1])))
    for i, (y, x) in enumerate(places):
        for j, (v, u) in enumerate(places):
            if abs(v - y) <= radius and abs(u - x) <= radius:
                found[i, j] = table[v - y + radius, u - x + radius]
    return found


def standard(x):
    """Mean 0, variance 1 over the last axis."""
    return (x - x.mean(-1, keepdim=True)) / x.var(-1, correction=0, keepdim=True).sqrt()


def cells_of(feat):
    return feat.flatten(2).mT


def dense_scores(attention, cells1, cells2, weight):
    """``(B, M, N, N)``: a matrix for each mode."""
    key = attention.query if attention.key is None else attention.key
    width = cells1.shape[-1] // attention.modes
    found = []
    for mode in range(attention.modes):
        of = slice(mode * width, (mode + 1) * width)
        q, k = (layer(cells)[..., of] for layer, cells in ((attention.query, cells1), (key, cells2)))
        found.append(q @ k.mT / width**0.5)
    scores = torch.stack(found, dim=1)
    for sample in scores:
        if sample.max() > 100:
            sample.clamp_(-100, 100)
    return scores + weight * dense_bias(attention.position.biases, SIZE)


def dense_collected(aggregation, weights, cells):
    width = cells.shape[-1]
    by_mode = [weights[:, mode] @ (cells @ aggregation.value.weight[mode * width:(mode + 1) * width].T)
               for mode in range(weights.shape[1])]
    shares = torch.stack([aggregation.mode_score(one)[..., 0] for one in by_mode]).softmax(dim=0)
    total = sum(share[..., None] * one for share, one in zip(shares, by_mode))
    return standard(aggregation.skip * cells + total)


def dense_smoothing(module, feat):
    cells = standard(cells_of(feat))
    weights = dense_scores(module.attention, cells, cells, 0.5).softmax(-1)
    return dense_collected(module.aggregation, weights, cells).mT.unflatten(2, SIZE)


def dense_volume(module, feat1, feat2):
    scores = dense_scores(module.attention, standard(cells_of(feat1)), standard(cells_of(feat2)), 0.5)
    shares = 1. if module.mean is None else (module.mean.mode_score.weight * scores).softmax(dim=1)
    return standard((shares * scores).sum(dim=1).flatten(1)).view(-1, CELLS, CELLS)


# ---- parts ----


@pytest.mark.parametrize('size, radius', [((3, 4), 2), ((3, 4), 7), ((9, 5), 2), ((1, 6), 1)])
def test_the_position_bias_of_any_rows_is_the_table_at_the_offset_of_each_two_cells(size, radius):
    bias = PositionBias(radius)
    torch.nn.init.normal_(bias.biases)
    wanted = dense_bias(bias.biases, size)
    assert torch.equal(bias(size, (0, size[0])), wanted)
    for top, bottom in itertools.combinations(range(size[0] + 1), 2):
        assert torch.equal(bias(size, (top, bottom)), wanted[top * size[1]:bottom * size[1]])


@pytest.mark.parametrize('learns', [True, False])
def test_features_are_smoothed_as_by_dense_attention(tiles, learns):
    module, feat = part(SemanticSmoothing, 8, 2), features(2, 8)
    with torch.set_grad_enabled(learns):
        torch.testing.assert_close(module(feat), dense_smoothing(module, feat))


@pytest.mark.parametrize('modes', [4, 1])
@pytest.mark.parametrize('learns', [True, False])
def test_the_volume_is_the_mean_score_of_the_modes_normed_over_each_pair(tiles, learns, modes):
    module, feat1, feat2 = part(CrossFrameCorrelation, 8, modes, 2), features(2, 8), features(2, 8, seed=4)
    with torch.set_grad_enabled(learns):
        volume = module.volume(feat1, feat2)
        pyramid = module(feat1, feat2)
    torch.testing.assert_close(volume, dense_volume(module, feat1, feat2))
    torch.testing.assert_close(volume.flatten(1).mean(1), torch.zeros(2).double())
    assert torch.equal(pyramid[0].view(2, CELLS, CELLS), volume)
    torch.testing.assert_close(pyramid[1], F.avg_pool2d(volume.view(-1, 1, *SIZE), 2))


def test_the_volume_of_exchanged_frames_is_the_transposed_one_where_the_bias_has_no_direction():
    """Queries and keys are tied."""
    module, feat1, feat2 = part(CrossFrameCorrelation, 8, 4, 1), features(1, 8), features(1, 8, seed=4)
    with torch.no_grad():
        module.attention.position.biases.add_(module.attention.position.biases.flip(0, 1))
        torch.testing.assert_close(module.volume(feat1, feat2).mT, module.volume(feat2, feat1))


@pytest.mark.parametrize('max_bytes', [0, 2**30])
def test_motion_is_collected_as_by_dense_attention_whether_the_weights_are_kept_or_not(tiles, max_bytes):
    attention, aggregation = part(IntraFrameAttention, 8, 2, max_bytes), part(MotionAggregation, 6, 2)
    context, motion = features(2, 8), features(2, 6, seed=4)
    with torch.no_grad():
        weights = attention(context)
        found = [aggregation(weights, motion) for _ in range(2)]
    assert (weights._kept is None) is (max_bytes == 0)
    cells = standard(cells_of(context))
    dense = dense_scores(attention.attention, cells, cells, 1.).softmax(-1)
    wanted = dense_collected(aggregation, dense, cells_of(motion)).mT.unflatten(2, SIZE)
    torch.testing.assert_close(found, [wanted, wanted])


def test_scores_beyond_a_hundred_are_cut_off_in_the_sample_that_has_them_only(tiles):
    module, feat1, feat2 = part(CrossFrameCorrelation, 8, 2, 1), features(2, 8), features(2, 8, seed=4)
    cells = [standard(cells_of(feat)) for feat in (feat1, feat2)]
    with torch.no_grad():
        most = [dense_scores(module.attention, *cells, 0.)[i].max() for i in range(2)]
        module.attention.query.weight.mul_((200 / sum(most)).sqrt())
        module.attention.query.bias.mul_((200 / sum(most)).sqrt())
        scores = [sample.max() for sample in dense_scores(module.attention, *cells, 0.)]
        assert sorted(score == 100 for score in scores) == [False, True]  # one of them is cut off
        found = module.volume(feat1, feat2)
        torch.testing.assert_close(found, dense_volume(module, feat1, feat2))
        for i in range(2):
            torch.testing.assert_close(module.volume(feat1[i:i + 1], feat2[i:i + 1]), found[i:i + 1])


@pytest.mark.parametrize('kind', ['smoothing', 'volume', 'motion'])
def test_gradients_of_the_tiles_are_those_of_dense_attention(kind, tiles):
    feat1, feat2 = features(2, 8).requires_grad_(), features(2, 8, seed=4).requires_grad_()
    if kind == 'smoothing':
        parts = [part(SemanticSmoothing, 8, 2)]
        found, wanted = parts[0](feat1), dense_smoothing(parts[0], feat1)
    elif kind == 'volume':
        parts = [part(CrossFrameCorrelation, 8, 2, 1)]
        found, wanted = parts[0].volume(feat1, feat2), dense_volume(parts[0], feat1, feat2)
    else:
        parts = [part(IntraFrameAttention, 8, 2, 0), part(MotionAggregation, 8, 2)]
        weights, cells = parts[0](feat1), standard(cells_of(feat1))
        found = parts[1](weights, parts[1](weights, feat2))  # twice, as in iterations
        dense = dense_scores(parts[0].attention, cells, cells, 1.).softmax(-1)
        again = dense_collected(parts[1], dense, cells_of(feat2))
        wanted = dense_collected(parts[1], dense, again).mT.unflatten(2, SIZE)
    leaves = [feat1, *([] if kind == 'smoothing' else [feat2]),
              *(value for one in parts for value in one.parameters() if value.requires_grad)]
    slope = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # a bias that all modes share changes no share of theirs
    ours = torch.autograd.grad((found * slope).sum(), leaves)
    theirs = torch.autograd.grad((wanted * slope).sum(), leaves, allow_unused=True)
    for leaf, one, other in zip(leaves, ours, theirs):
        torch.testing.assert_close(one, torch.zeros_like(leaf) if other is None else other, atol=1e-9, rtol=1e-7)


def test_what_is_computed_again_for_the_gradients_drops_the_same_numbers(tiles, monkeypatch):

    def gradient(module, **patched):
        with monkeypatch.context() as patch:
            for name, value in patched.items():
                patch.setattr(craft_attention, name, value)
            torch.manual_seed(5)
            feat = features(1, 8).requires_grad_()
            slope = features(1, 8, seed=9)
            return torch.autograd.grad((module(feat) * slope).sum(), feat)[0]

    module = part(SemanticSmoothing, 8, 2).train()
    ours, kept = gradient(module), gradient(module, frugally=lambda call, rows: call(rows))
    torch.testing.assert_close(ours, kept)
    assert not torch.allclose(ours, gradient(module.eval()))  # something was dropped


def test_attention_starts_near_a_comparison_of_the_features_themselves():
    module = SemanticSmoothing(8, 2)
    first, second = module.attention.key.weight.split(4)
    identity = 0.2 * torch.eye(4).repeat(1, 2)
    assert (first - identity).abs().max() < 0.1 and second.abs().max() < 0.1
    assert (module.aggregation.value.weight[:8] - 0.2 * torch.eye(8)).abs().max() < 0.1
    assert not module.attention.position.biases.any() and module.aggregation.skip.tolist() == [1.]


# ---- the network ----


@pytest.mark.parametrize('name, count', [('craft', 6_307_435), ('craft_small', 1_353_503)])
def test_the_networks_have_the_size_that_their_configs_say(name, count):
    """The authors' logs give the first number."""
    network = MODELS.build(config_of(name))
    assert sum(value.numel() for value in network.parameters()) == count
    assert f'{count:,}'.replace(',', ' ') in (CONFIGS / f'{name}.py').read_text()


@pytest.mark.parametrize('modes, count', [(2, 6_274_667), (1, 6_258_281)])
def test_fewer_modes_within_frame_1_are_as_many_parameters_as_in_the_logs_of_the_authors(modes, count):
    estimator = config_of('craft').estimator
    estimator.decoder.intra_modes = modes
    assert sum(value.numel() for value in FlowRefiner(estimator).parameters()) == count


@pytest.mark.parametrize('change', [dict(f2_modes=3), dict(decoder=dict(inter_modes=5)),
                                    dict(decoder=dict(intra_modes=0))])
def test_modes_that_do_not_divide_the_channels_are_refused(change):
    estimator = config_of('craft_small').estimator
    for key, value in change.items():
        estimator[key].update(value) if isinstance(value, dict) else estimator.update({key: value})
    with pytest.raises(ConfigError, match=r'CRAFT: [035] modes of attention do not divide \d+ channels'):
        FlowRefiner(estimator)


def frames(count=2, height=67, width=75):
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(count, 3, height, width, generator=generator)
    return first, .8 * first.roll(2, dims=-1) + .2 * torch.rand(first.shape, generator=generator)


def start_flow(seed=2, count=2, height=67, width=75):
    return 6 * torch.randn(count, 2, height, width, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@pytest.mark.parametrize('starts', [(None, None), (1, 2), (3, None)])
def test_both_ways_at_once_are_the_two_ways_by_themselves(starts):
    network, (one, two) = refiner(), frames()
    assert network.accepts_flow_init
    given = [None if seed is None else start_flow(seed) for seed in starts]
    found = network.estimate_both(one, two, *given)
    wanted = network.plain_flows(one, two, given[0])[-1], network.plain_flows(two, one, given[1])[-1]
    torch.testing.assert_close(network.estimate(one, two, given[0]), [wanted[0]], rtol=0, atol=1e-4)
    for flow, other in zip(found, wanted):
        assert flow.abs().max() > 0.1
        torch.testing.assert_close(flow, other, rtol=0, atol=1e-4)
    names = [['a', 'b'], ['b', 'c']]
    shown = torch.stack([one[0], two[0]]), torch.stack([two[0], one[1]])  # the frame b is in both
    for flow, other in zip(network.estimate_both(*shown, names=names), network.estimate_both(*shown)):
        torch.testing.assert_close(flow, other, rtol=0, atol=1e-4)


@torch.no_grad()
def test_no_pair_of_a_batch_sees_another_and_a_start_moves_the_flow():
    network, (one, two) = refiner(), frames()
    together = network.estimate(one, two)[-1]
    for i in range(2):
        torch.testing.assert_close(network.estimate(one[i:i + 1], two[i:i + 1])[-1], together[i:i + 1], rtol=0,
                                   atol=1e-4)
    assert (network.estimate(one, two, start_flow())[-1] - together).abs().max() > 1


@torch.no_grad()
def test_less_memory_gives_the_same_flow(monkeypatch):
    network, pair = refiner(), frames()
    wanted = network.estimate(*pair)[-1]
    network.estimator.decoder.attn.max_bytes = 0
    monkeypatch.setattr(craft_attention, '_TILE_BYTES', 1)
    torch.testing.assert_close(network.estimate(*pair)[-1], wanted, rtol=0, atol=1e-4)


def samples(count=2, height=67, width=75):
    return [FlowSample(flow=torch.full((2, height, width), 2.), weight=torch.ones(1, height, width))
            for _ in range(count)]


def test_it_learns_from_labels_and_all_that_may_learn_does():
    network = refiner(losses=[dict(type='MaskedSequenceLoss')]).train()
    loss, logged = network.parse_losses(network(torch.stack(frames(), dim=1), samples(), mode='loss'))
    loss.backward()
    frozen = {name for name, value in network.named_parameters() if value.grad is None}
    assert frozen == {f'estimator.decoder.attn.mode_score.{kind}' for kind in ('weight', 'bias')}
    assert not any(network.get_parameter(name).requires_grad for name in frozen)
    silent = {name.rpartition('estimator.')[2] for name, value in network.named_parameters()
              if name not in frozen and not value.grad.abs().sum() > 0}
    # it shifts the scores of all modes alike, so its gradient is 0 but for rounding
    assert silent <= {'decoder.aggregator.mode_score.bias'} and logged['epe_to_label'] > 0


def test_a_step_lowers_the_loss():
    network = refiner(losses=[dict(type='MaskedSequenceLoss')])  # in evaluation mode nothing is dropped
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss, _ = network.parse_losses(network(torch.stack(frames(), dim=1), samples(), mode='loss'))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[2] < losses[1] < losses[0]


def test_training_drops_numbers_and_a_teacher_does_not():
    network, pair = refiner(), frames()
    teacher = FrozenTeacher(network)
    assert torch.equal(teacher.estimate(*pair)[-1], teacher.estimate(*pair)[-1])
    network.train()
    with torch.no_grad():
        assert not torch.equal(network.estimate(*pair)[-1], network.estimate(*pair)[-1])


@pytest.mark.parametrize('backward', [False, True])
@pytest.mark.parametrize('feat', ['fnet', 'trans'])
def test_losses_see_features_before_or_after_the_smoothing(feat, backward):
    losses = [dict(type='ContrastiveFlowLoss')] + [dict(type='CycleLoss')] * backward
    network, (one, two) = refiner(losses=losses, feat=feat), frames(height=64, width=72)
    outputs = network._outputs(one, two, None)
    own = network.estimator
    first, second = (own.encoder(network.normalize(frame)) for frame in (one, two))
    wanted = (first, own.f2_trans(second) if feat == 'trans' else second)
    torch.testing.assert_close(outputs.features, wanted, rtol=0, atol=1e-4)
    network.train()
    loss, _ = network.parse_losses(network(torch.stack([one, two], dim=1), samples(2, 64, 72), mode='loss'))
    loss.backward()
    learns = own.f2_trans.attention.query.weight.grad is not None  # the contrastive loss alone looks at no flow
    assert torch.isfinite(loss) and learns is (backward or feat == 'trans')


@torch.no_grad()
def test_a_teacher_in_half_precision_gives_nearly_the_same_flow():
    network, pair = refiner(), frames()
    wanted = FrozenTeacher(network).estimate_both(*pair)
    found = FrozenTeacher(network, 'bfloat16').estimate_both(*pair)
    for flow, other in zip(found, wanted):
        assert 0 < (flow - other).norm(dim=1).mean() < 0.05 * other.norm(dim=1).mean()


def test_features_that_it_does_not_have_are_refused():
    with pytest.raises(ConfigError, match="model.feat='f2': CRAFT compares features of fnet, trans; name one of these"):
        refiner(feat='f2')


def test_both_ways_each_frame_is_encoded_and_smoothed_once():
    network, pair, seen = refiner(), frames(count=1), []
    parts = {name: network.estimator.get_submodule(name) for name in ('encoder', 'f2_trans', 'context')}
    for name, module in parts.items():
        module.register_forward_hook(lambda _, args, __, name=name: seen.append((name, len(args[0]))))
    assert runs_two_way(network.estimator)
    network.estimate_both(*pair)
    assert sorted(seen) == [('context', 2), ('encoder', 2), ('f2_trans', 2)]


@pytest.mark.parametrize('settings', [{}, dict(max_train_bytes=0)])
def test_our_way_of_training_gives_the_gradients_of_the_own_way_of_the_network(settings, monkeypatch):
    network = refiner(losses=[dict(type='MaskedSequenceLoss')], train_iters=4, **settings)

    def learn(ours):
        monkeypatch.setattr(FlowRefiner, '_trains_fast', lambda self, shown: ours)
        network.zero_grad()
        loss, _ = network.parse_losses(network(torch.stack(frames(), dim=1), samples(), mode='loss'))
        loss.backward()
        return [loss.detach(), *(value.grad.clone() for value in network.parameters() if value.grad is not None)]

    ours, own = learn(True), learn(False)
    assert len(ours) == len(own) > 50
    square = sum((one - other).double().square().sum() for one, other in zip(ours, own))
    assert square.sqrt() < 1e-4 * sum(one.double().square().sum() for one in own).sqrt()


@torch.no_grad()
@pytest.mark.parametrize('limit', [0, 10**5])
def test_where_the_volumes_of_a_batch_exceed_the_limit_pairs_take_turns(limit):
    network, pair = refiner(), frames(count=3)
    wanted = [*network.estimate(*pair), *network.estimate_both(*pair)]
    network.max_corr_bytes = limit
    seen = []
    network.estimator.decoder.corr_block.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    found = [*network.estimate(*pair), *network.estimate_both(*pair)]
    alone = 4 * 90 * sum((9 >> level) * (10 >> level) for level in range(4))
    assert seen == ([1] * 9 if limit < 2 * alone else [2, 1, 2, 2, 2])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    assert FrozenTeacher(network).peak_bytes((67, 75), 2) == (alone if limit < 2 * alone else 2 * alone)

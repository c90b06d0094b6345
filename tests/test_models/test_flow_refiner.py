"""A stock network that learns from weighted labels: the traps F1, F2, F3, F11, F15, F16, one by one."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.official_checkpoints import convert_raft
from mmrefine.compat.stock import stock_config_root
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.fileio.flow_io import read_flow
from mmrefine.fileio.images import read_image
from mmrefine.models import FlowRefiner, FramePreprocessor
from mmrefine.registry import MODELS
from mmrefine.structures import FlowEstimator, FlowSample

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'


@pytest.fixture
def pair():
    """Two frame pairs of an odd size, ``(2, 2, 3, 70, 90)``."""
    return torch.rand(2, 2, 3, 70, 90)


def statistics(refiner):
    return {k: v.clone() for k, v in refiner.state_dict().items() if 'running_' in k}


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


def test_a_config_names_it_and_it_is_a_flow_estimator(raft_config):
    with DefaultScope.overwrite_default_scope('mmrefine'):
        refiner = MODELS.build(
            dict(type='FlowRefiner', estimator=ConfigDict(raft_config), losses=[dict(type='MaskedSequenceLoss')]))
    assert isinstance(refiner, FlowRefiner) and isinstance(refiner, FlowEstimator)
    assert isinstance(refiner.data_preprocessor, FramePreprocessor)
    assert refiner.accepts_flow_init is True


def test_parts_of_ours_are_reachable_inside_a_stock_config(raft_config):
    """F16."""
    raft_config['encoder']['type'] = 'mmrefine.OfficialRAFTEncoder'
    refiner = FlowRefiner(estimator=raft_config)
    assert type(refiner.estimator.encoder).__name__ == 'OfficialRAFTEncoder'
    assert type(refiner.estimator).__module__.startswith('mmflow.')


def test_keys_are_the_stock_keys_behind_estimator(build_raft):
    refiner = build_raft()
    stock = refiner.estimator.state_dict()
    assert len(stock) > 100
    assert set(refiner.state_dict()) == {f'estimator.{key}' for key in stock}


def test_flows_have_the_size_of_odd_frames_one_per_iteration(build_raft, pair):
    refiner = build_raft(test_iters=4).eval()
    flows = refiner(pair)
    assert [tuple(flow.shape) for flow in flows] == [(2, 2, 70, 90)] * 4
    assert all(bool(torch.isfinite(flow).all()) for flow in flows)


@pytest.mark.parametrize('settings, in_test, in_training', [
    (dict(), 2, 3),  # test_cfg.iters and decoder.iters of the stock config
    (dict(test_iters=5), 5, 3),
    (dict(train_iters=1), 2, 1),
])
def test_iterations_come_from_the_refiner_or_else_from_the_stock_config(
        build_raft, label, settings, in_test, in_training):
    refiner = build_raft(**settings)
    seen = []
    refiner.estimator.decoder.flow_pred.register_forward_hook(lambda *_: seen.append(1))
    frames = torch.rand(1, 2, 3, 64, 64)
    refiner(frames)
    assert len(seen) == in_test
    refiner(frames, [label(64, 64)], mode='loss')
    assert len(seen) - in_test == in_training
    assert refiner.estimator.decoder.iters == 3


def test_the_decoder_gets_its_iterations_back_when_a_call_fails(build_raft):
    refiner = build_raft(test_iters=7)
    with pytest.raises(RuntimeError):
        refiner.estimate(torch.rand(1, 4, 64, 64), torch.rand(1, 4, 64, 64))
    assert refiner.estimator.decoder.iters == 3


def test_weight_zero_gives_exactly_zero_gradient(build_raft, pair, label):
    """F1."""
    refiner = build_raft().train()
    results = refiner(pair, [label(70, 90, weight=0.), label(70, 90, weight=0.)], mode='loss')
    results['loss_masked_sequence'].backward()
    assert results['loss_masked_sequence'] == 0.
    gradients = [p.grad for p in refiner.parameters() if p.grad is not None]
    assert len(gradients) > 50 and all(bool((g == 0).all()) for g in gradients)


def test_a_pair_without_weight_does_not_change_what_the_other_teaches(build_raft, pair, label):
    """F1, across the batch: the loss of a batch is that of its one labelled pair."""
    refiner = build_raft().eval().requires_grad_(False)
    alone = refiner(pair[:1], [label(70, 90)], mode='loss')
    beside = refiner(pair, [label(70, 90), label(70, 90, flow=50., weight=0.)], mode='loss')
    assert beside['loss_masked_sequence'] == pytest.approx(float(alone['loss_masked_sequence']), rel=1e-4)
    assert beside['epe_to_label'] == pytest.approx(float(alone['epe_to_label']), rel=1e-4)
    assert beside['label_share'] == pytest.approx(0.5)


def test_predict_fills_every_sample(build_raft, pair):
    """F2."""
    refiner = build_raft().eval()
    samples = [FlowSample(metainfo=dict(key='a')), FlowSample(metainfo=dict(key='b'))]
    with torch.no_grad():
        out = refiner(pair, samples, mode='predict')
        flow = refiner(pair)[-1]
    assert [sample.key for sample in out] == ['a', 'b']
    for index in range(2):
        assert torch.equal(out[index].pred_flow, flow[index])
    assert not torch.equal(flow[0], flow[1])


def test_predict_works_without_samples_and_counts_them_otherwise(build_raft, pair):
    refiner = build_raft().eval()
    assert [tuple(s.pred_flow.shape) for s in refiner(pair, mode='predict')] == [(2, 70, 90)] * 2
    with pytest.raises(ValueError, match='2 frame pairs need as many data_samples, got 1'):
        refiner(pair, [FlowSample()], mode='predict')


def test_batch_norm_stays_frozen_after_train(build_raft, pair, label):
    """F3: MMEngine calls .train() every iteration."""
    refiner = build_raft(freeze_bn=True)
    refiner.train().train()
    before = statistics(refiner)
    assert before and refiner.training and refiner.estimator.encoder.training
    refiner(pair, [label(70, 90), label(70, 90)], mode='loss')
    assert same(before, statistics(refiner))
    assert not any(m.training for m in refiner.modules() if isinstance(m, _BatchNorm))


def test_batch_norm_learns_statistics_when_it_may(build_raft, pair, label):
    refiner = build_raft(freeze_bn=False).train()
    before = statistics(refiner)
    refiner(pair, [label(70, 90), label(70, 90)], mode='loss')
    assert not same(before, statistics(refiner))


def test_sync_batch_norm_becomes_plain_without_a_process_group(build_raft, raft_config):
    """F15."""
    assert raft_config['cxt_encoder']['norm_cfg']['type'] == 'SyncBN'
    refiner = build_raft()
    kinds = {type(m) for m in refiner.modules() if isinstance(m, _BatchNorm)}
    assert kinds and nn.SyncBatchNorm not in kinds


def test_only_losses_are_named_loss(build_raft, pair, label):
    """F11: MMEngine sums every key that contains 'loss'."""
    refiner = build_raft(losses=[dict(type='MaskedSequenceLoss'), dict(type='MaskedSequenceLoss', loss_weight=0.5)])
    results = refiner(pair, [label(70, 90), label(70, 90)], mode='loss')
    assert set(results) == {'loss_masked_sequence', 'loss_masked_sequence_2', 'epe_to_label', 'label_share'}
    total, log = refiner.parse_losses(results)
    assert total.item() == pytest.approx(1.5 * results['loss_masked_sequence'].item())
    assert not log['epe_to_label'].requires_grad


def test_epe_to_label_is_the_weighted_mean_error_of_the_final_flow(build_raft, pair):
    refiner = build_raft(train_iters=2).eval()
    weight = torch.rand(1, 70, 90)
    with torch.no_grad():
        flow = refiner(pair[:1])[-1][0]
        results = refiner(pair[:1], [FlowSample(flow=torch.zeros(2, 70, 90), weight=weight)], mode='loss')
    wanted = (weight[0] * flow.norm(dim=0)).sum() / weight.sum()
    assert results['epe_to_label'] == pytest.approx(float(wanted), rel=1e-5)
    assert results['label_share'] == pytest.approx(float(weight.mean()))


def test_a_step_of_training_lowers_the_loss(build_raft, label):
    refiner = build_raft(train_iters=2).train()
    data = dict(inputs=list(torch.randint(0, 256, (1, 2, 3, 64, 64), dtype=torch.uint8)), data_samples=[label(64, 64)])
    optimizer = OptimWrapper(torch.optim.Adam(refiner.parameters(), lr=1e-3))
    logs = [refiner.train_step(data, optimizer)['loss_masked_sequence'].item() for _ in range(6)]
    assert logs[-1] < 0.9 * logs[0]


def test_bfloat16_autocast_trains_close_to_float32(build_raft, label):
    refiner = build_raft().train()
    frames, samples = torch.rand(1, 2, 3, 64, 96), [label(64, 96, flow=1.)]
    full = refiner(frames, samples, mode='loss')['loss_masked_sequence']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = refiner(frames, samples, mode='loss')['loss_masked_sequence']
    half.backward()
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.03)
    assert all(bool(torch.isfinite(p.grad).all()) for p in refiner.parameters() if p.grad is not None)


@pytest.mark.parametrize('losses', [[dict(type='MaskedSequenceLoss')], [dict(type='CycleLoss')],
                                    [dict(type='PhotometricLoss', residual='color')]])
def test_a_flow_that_is_not_finite_names_the_remedies(build_raft, pair, label, losses):
    """Whatever the loss: one without labels would leave out what lands nowhere, and be 0."""
    refiner = build_raft(losses=losses)
    with torch.no_grad():
        refiner.estimator.decoder.flow_pred.predict_layer.bias.fill_(float('nan'))
    with pytest.raises(MMRefineError, match='flow of the network has values that are nan.*lr.*clip_grad'):
        refiner(pair[:1], [label(70, 90)], mode='loss')


def test_labels_and_losses_that_are_missing_are_named(build_raft, pair):
    with pytest.raises(ConfigError, match='needs samples with flow and weight, and these have none.*LoadLabel'):
        build_raft()(pair[:1], [FlowSample(flow=torch.zeros(2, 70, 90))], mode='loss')
    with pytest.raises(ConfigError, match='model.losses is empty.*MaskedSequenceLoss'):
        build_raft(losses=[])(pair[:1], [FlowSample()], mode='loss')
    with pytest.raises(ValueError, match="got 'train'"):
        build_raft()(pair, mode='train')


LABEL_FREE = [dict(type='PhotometricLoss'), dict(type='SmoothnessLoss'), dict(type='CycleLoss')]


def test_losses_without_labels_learn_from_frames_alone(build_raft, pair):
    refiner = build_raft(losses=LABEL_FREE).train()
    results = refiner(pair, [FlowSample(), FlowSample()], mode='loss')
    assert set(results) == {'loss_photometric', 'loss_smoothness', 'loss_cycle'}  # and nothing about a label
    refiner.parse_losses(results)[0].backward()
    gradients = [p.grad for p in refiner.parameters() if p.grad is not None]
    assert len(gradients) > 50 and all(bool(g.isfinite().all()) for g in gradients) and any(g.any() for g in gradients)
    assert all(torch.equal(value, refiner(pair, mode='loss')[name]) for name, value in results.items())


def test_a_label_that_is_there_is_compared_with_though_no_loss_needs_it(build_raft, pair, label):
    results = build_raft(losses=LABEL_FREE[:1])(pair, [label(70, 90), label(70, 90)], mode='loss')
    assert results['label_share'] == 1. and results['epe_to_label'] > 0


def test_the_losses_get_both_ways_where_one_asks_and_what_the_network_saw(build_raft, pair, label):
    """The ways are those of two calls, and so are the features."""
    refiner = build_raft(losses=[*LABEL_FREE, dict(type='ContrastiveFlowLoss')], train_iters=2).eval()
    seen = []
    refiner.losses['loss_cycle'].register_forward_hook(lambda module, args, output: seen.append(args[0]))
    with torch.no_grad():
        refiner(pair, [label(70, 90), label(70, 90)], mode='loss')
        flows, back = refiner.estimate(pair[:, 0], pair[:, 1]), refiner.estimate(pair[:, 1], pair[:, 0])
        features = refiner.estimator.encoder(torch.nn.functional.pad(
            refiner.normalize(pair[:, 1]), seen[0].padding, mode='replicate'))
    assert torch.equal(seen[0].frames1, pair[:, 0]) and torch.equal(seen[0].frames2, pair[:, 1])
    assert len(seen[0].flows) == len(seen[0].flows_bw) == 2 and seen[0].padding == (3, 3, 1, 1)
    outputs = seen[0]
    ours = (outputs.flows[-1], outputs.flows_bw[-1], outputs.features[1])
    for found, wanted in zip(ours, (flows[-1], back[-1], features)):
        assert torch.allclose(found, wanted, atol=1e-4)


def test_a_loss_that_no_network_of_the_kind_can_serve_is_named(build_raft):
    stacked = Config.fromfile(stock_config_root() / '_base_/models/flownets.py').model
    with pytest.raises(ConfigError, match='ContrastiveFlowLoss needs features, and .* provides backward, estimate, '
                       r'labels; leave it out \(RAFT, GMA, .* have features\)'):
        FlowRefiner(estimator=stacked, losses=[dict(type='ContrastiveFlowLoss')])
    with pytest.raises(ConfigError, match='L1Loss lacks `needs`, so it is not a loss'):
        build_raft(losses=[dict(type=nn.L1Loss)])


def test_frames_of_two_shapes_are_refused(build_raft):
    with pytest.raises(ValueError, match=r'\(1, 3, 64, 64\) and \(1, 3, 64, 72\)'):
        build_raft().estimate(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 72))


@pytest.mark.parametrize('settings, wanted', [
    (dict(bgr_to_rgb=True), (-1., 0., 1.)),
    (dict(bgr_to_rgb=False), (1., 0., -1.)),  # mmflow reads BGR
])
def test_the_network_sees_its_own_channel_order_and_range(build_raft, raft_config, settings, wanted):
    raft_config['data_preprocessor'].update(settings)
    refiner = build_raft()
    seen = []
    refiner.estimator.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    frame = torch.tensor([0., 0.5, 1.]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    refiner.estimate(frame, frame)
    assert [float(c) for c in seen[0].mean((0, 2, 3))] == pytest.approx(wanted, abs=1e-6)


def test_a_network_without_mean_gets_grey_levels(build_raft, raft_config):
    del raft_config['data_preprocessor']
    refiner = build_raft()
    assert refiner.normalize(torch.ones(1, 3, 2, 2)).unique().tolist() == [255.]


def test_inputs_are_not_written_to(build_raft, pair):
    before = pair.clone()
    build_raft()(pair)
    assert torch.equal(pair, before)


def test_flow_init_reaches_the_decoder_in_cells(build_raft):
    """8 px right and 4 px up are one cell right and half a cell up, also in the padding."""
    refiner = build_raft(test_iters=1).eval()
    seen = []
    refiner.estimator.decoder.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    frames = torch.rand(1, 3, 70, 90)
    flow_init = torch.tensor([8., -4.]).view(1, 2, 1, 1).expand(1, 2, 70, 90)
    refiner.estimate(frames, frames, flow_init)
    assert torch.equal(seen[0], torch.tensor([1., -0.5]).view(1, 2, 1, 1).expand(1, 2, 9, 12))


def test_flow_init_of_a_step_stays_where_it_is(build_raft):
    """The left half moves, the right half rests: the border between the cells is that between the pixels."""
    refiner = build_raft(test_iters=1).eval()
    seen = []
    refiner.estimator.decoder.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    flow_init = torch.zeros(1, 2, 64, 64)
    flow_init[..., :32] = 16.
    refiner.estimate(*torch.rand(2, 1, 3, 64, 64), flow_init)
    assert seen[0][0, 0, 0].tolist() == [2.] * 4 + [0.] * 4


def test_starting_from_zero_is_starting_from_nothing(build_raft, pair):
    refiner = build_raft().eval()
    with torch.no_grad():
        nothing = refiner.estimate(pair[:, 0], pair[:, 1])
        zero = refiner.estimate(pair[:, 0], pair[:, 1], torch.zeros(2, 2, 70, 90))
    assert torch.allclose(nothing[-1], zero[-1], atol=1e-5)


def test_a_start_from_the_truth_ends_nearer_to_it(shared_data):
    """Official weights, a real pair, one iteration; a wrong unit, sign or axis of the start would end farther away."""
    folder = shared_data / 'flow_pairs' / 'chairs'
    frames = [torch.from_numpy(read_image(folder / f'0000000-img{i}.ppm')).permute(2, 0, 1)[None] / 255 for i in (0, 1)]
    truth = torch.from_numpy(read_flow(folder / '0000000-gt.flo')[0]).permute(2, 0, 1)[None]
    cfg = Config.fromfile(CONFIGS / 'raft_small.py').model
    refiner = FlowRefiner(estimator=cfg.estimator, test_iters=1).eval()
    state, _ = convert_raft(load_checkpoint_file(shared_data / 'weights' / 'raft-small.pth'))
    refiner.estimator.load_state_dict(state)
    with torch.no_grad():
        cold, warm = (refiner.estimate(*frames, init)[-1] for init in (None, truth))
    epe_cold, epe_warm = (float((flow - truth).norm(dim=1).mean()) for flow in (cold, warm))
    assert epe_warm < 0.8 * epe_cold


def test_settings_that_cannot_be_meant_are_named(raft_config):
    with pytest.raises(ConfigError, match='no `type`.*decoder'):
        FlowRefiner(estimator=dict(decoder={}))
    with pytest.raises(ConfigError, match='got str'):
        FlowRefiner(estimator='RAFT')
    with pytest.raises(ConfigError, match='model.train_iters must be at least 1, got 0'):
        FlowRefiner(estimator=raft_config, train_iters=0)


def test_stages_do_not_fetch_weights_of_their_own(raft_config):
    """The stages of FlowNet2 and MaskFlowNet name a download each; a refinement starts from one whole checkpoint."""
    download = dict(type='Pretrained', checkpoint='https://nowhere.invalid/part.pth')
    raft_config['encoder']['init_cfg'] = download
    refiner = FlowRefiner(estimator=raft_config)
    assert refiner.estimator.encoder.init_cfg is None
    refiner.init_weights()
    assert raft_config['encoder']['init_cfg'] is download


def test_a_download_of_the_whole_network_is_left_to_the_user(raft_config):
    whole = dict(type='Pretrained', checkpoint='raft.pth')
    refiner = FlowRefiner(estimator=dict(raft_config, init_cfg=whole))
    assert refiner.estimator.init_cfg == whole


def test_a_built_network_is_taken_as_it_is(build_raft):
    first = build_raft()
    second = FlowRefiner(estimator=first.estimator)
    assert set(second.state_dict()) == set(first.state_dict())
    frames = torch.rand(2, 1, 3, 64, 64)
    first.eval(), second.eval()
    assert torch.equal(first.estimate(*frames)[-1], second.estimate(*frames)[-1])


def test_a_loss_that_returns_no_scalar_is_named(build_raft, pair, label):
    refiner = build_raft()
    for returned, found in ((torch.ones(2), r'shape \(2,\)'), (3., 'float')):
        refiner.losses['loss_masked_sequence'].forward = lambda outputs, sample, value=returned: value
        with pytest.raises(ConfigError, match=f'MaskedSequenceLoss must return a tensor of one number, got {found}'):
            refiner(pair[:1], [label(70, 90)], mode='loss')

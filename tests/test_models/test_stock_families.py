"""Every stock model of mmflow labels, learns, and keeps silent where the label does (F1, F14)."""
from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from mmengine.config import Config
from torch.nn.modules.batchnorm import _BatchNorm

from mmrefine.compat.stock import stock_config_root, stock_model_configs
from mmrefine.errors import ConfigError
from mmrefine.models import FlowRefiner
from mmrefine.models.losses.build import build_losses
from mmrefine.structures import FlowSample

NAMES = stock_model_configs()
ITERATING = {
    '_base_/models/raft.py', '_base_/models/gma/gma.py', '_base_/models/gma/gma_p-only.py',
    '_base_/models/gma/gma_plus-p.py'
}
# Answers per network: levels, of IRR-PWC two flows on each of its five coarse levels.
ANSWERS = {
    **dict.fromkeys(ITERATING, 2),  # iterations, as set below
    '_base_/models/flownet2/flownet2.py': 3,
    '_base_/models/irrpwc.py': 12,
    '_base_/models/liteflownet/liteflownet_pre_M3S3R3.py': 4,
    '_base_/models/liteflownet/liteflownet_pre_M4S4R4.py': 3,
    '_base_/models/liteflownet/liteflownet_pre_M5S5R5.py': 2,
    '_base_/models/liteflownet/liteflownet_pre_M6S6.py': 1,
    '_base_/models/liteflownet/liteflownet_pre_M6S6R6.py': 1,
    '_base_/models/liteflownet2/liteflownet2.py': 4,
    '_base_/models/liteflownet2/liteflownet2_pre_M3S3R3.py': 4,
    '_base_/models/liteflownet2/liteflownet2_pre_M4S4R4.py': 3,
    '_base_/models/liteflownet2/liteflownet2_pre_M5S5R5.py': 2,
    '_base_/models/liteflownet2/liteflownet2_pre_M6S6.py': 1,
    '_base_/models/liteflownet2/liteflownet2_pre_M6S6R6.py': 1,
}
# by the last of a sequence or of a pyramid, or by the only flow there is
LABEL_FREE = [dict(type='PhotometricLoss', occlusion='range_map'), dict(type='SmoothnessLoss', order=2),
              dict(type='CycleLoss', occlusion=None)]
# Networks that a label of the motion does not reach everywhere: IRR-PWC decodes occlusion, too. Distributed training
# must be told (`find_unused_parameters`, see test_configs).
PARTLY_TAUGHT = {'_base_/models/irrpwc.py'}
HEIGHT, WIDTH = 57, 62  # odd and even padding to 64 x 64


@lru_cache(maxsize=1)
def build(name):
    """The refiner of a stock config; the tests of one network follow one another, so it is built once."""
    torch.manual_seed(0)
    kind = 'MaskedSequenceLoss' if name in ITERATING else 'MaskedPyramidLoss'
    iterations = dict(train_iters=2, test_iters=2) if name in ITERATING else {}
    return FlowRefiner(
        estimator=Config.fromfile(stock_config_root() / name).model, losses=[dict(type=kind)], **iterations)


def flow_of_mmflow(refiner, inputs):
    """What ``predict()`` of the stock network says about one padded pair; ``(2, H, W)`` px."""
    from mmflow.structures import FlowDataSample
    height, width = inputs.shape[-2:]
    sample = FlowDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width)))
    refiner.estimator.test_cfg = dict(iters=2)
    return refiner.estimator.predict(inputs, [sample])[0].pred_flow_fw.data


def without_labels(refiner):
    """What losses without labels say of a pair that was cropped out of larger frames."""
    refiner.losses, refiner.needs = build_losses(LABEL_FREE, {'backward'})
    frames = torch.randint(0, 256, (2, 3, HEIGHT + 9, WIDTH + 8), dtype=torch.uint8)
    sample = FlowSample(whole_frames=frames, metainfo=dict(corner=(8, 3)))
    inputs = frames[None, ..., 3:3 + HEIGHT, 8:8 + WIDTH].float() / 255
    return refiner.parse_losses(refiner(inputs, [sample], mode='loss'))


def label(weight):
    return [FlowSample(flow=torch.full((2, HEIGHT, WIDTH), 3.), weight=torch.full((1, HEIGHT, WIDTH), weight))]


def test_mmflow_has_28_stock_models():
    assert len(NAMES) == 28
    assert set(ANSWERS) <= set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_a_stock_model_labels_as_mmflow_predicts_and_learns_by_weight(name):
    """One test a network: the big ones take longer to build than to run.

    The tolerance is that of float32 sums in another order (the up-sampling), relative to the largest motion.
    """
    refiner = build(name).eval()
    frames = torch.rand(1, 2, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        flows = refiner.plain_flows(frames[:, 0], frames[:, 1])
        pad = torch.nn.ReplicationPad2d((1, 1, 3, 4))
        inputs = torch.cat([pad(refiner.normalize(frames[:, i])) for i in (0, 1)], dim=1)
        theirs = flow_of_mmflow(refiner, inputs)[:, 3:-4, 1:-1]
    assert len(flows) == ANSWERS.get(name, 5)
    assert all(tuple(flow.shape) == (1, 2, HEIGHT, WIDTH) and bool(flow.isfinite().all()) for flow in flows)
    assert float((flows[-1][0] - theirs).abs().max()) <= 1e-5 * max(1., float(theirs.abs().max()))

    refiner.train()
    assert not any(m.training for m in refiner.modules() if isinstance(m, _BatchNorm))
    for weight in (0., 1.):
        refiner.zero_grad(set_to_none=True)
        loss, _ = refiner.parse_losses(refiner(frames, label(weight), mode='loss'))
        loss.backward()
        gradients = [p.grad for p in refiner.parameters() if p.grad is not None]
        assert len(gradients) > 20
        if weight == 0.:
            assert loss.item() == 0. and all(not g.any() for g in gradients)
    assert any(p.grad is None and p.requires_grad for p in refiner.parameters()) is (name in PARTLY_TAUGHT)
    before = [p.detach().flatten()[:64].clone() for p in refiner.parameters()]
    torch.optim.SGD(refiner.parameters(), lr=1e-3).step()
    moved = sum(not torch.equal(old, p.detach().flatten()[:64]) for old, p in zip(before, refiner.parameters()))
    assert moved > 0.5 * len(gradients)

    refiner.zero_grad(set_to_none=True)
    losses, needs = refiner.losses, refiner.needs
    loss, named = without_labels(refiner)
    loss.backward()
    refiner.losses, refiner.needs = losses, needs
    assert set(named) == {'loss', *(f'loss_{kind}' for kind in ('photometric', 'smoothness', 'cycle'))}
    assert loss.isfinite() and sum(p.grad is not None and bool(p.grad.any()) for p in refiner.parameters()) > 20


@pytest.mark.parametrize('name', ['_base_/models/pwcnet.py', '_base_/models/liteflownet2/liteflownet2_pre_M6S6R6.py'])
def test_a_pyramid_starts_and_iterates_only_as_it_is_built(name):
    refiner = build(name)
    frames = torch.rand(1, 3, 64, 64)
    assert refiner.accepts_flow_init is False
    with pytest.raises(ValueError, match='cannot start from a flow.*accepts_flow_init is False'):
        refiner.estimate(frames, frames, torch.zeros(1, 2, 64, 64))
    with pytest.raises(ConfigError, match='model.train_iters=12.*does not iterate'):
        FlowRefiner(estimator=refiner.estimator, train_iters=12)


@pytest.mark.parametrize('name', sorted(ITERATING))
def test_raft_and_gma_may_start_from_a_flow(name):
    refiner = build(name).eval()
    frames = torch.rand(2, 1, 3, 64, 64)
    assert refiner.accepts_flow_init is True
    with torch.no_grad():
        nothing, ten = (refiner.estimate(*frames, init)[-1] for init in (None, torch.full((1, 2, 64, 64), 10.)))
    assert not torch.allclose(nothing, ten, atol=0.1)


@pytest.mark.parametrize('name', [
    '_base_/models/pwcnet.py', '_base_/models/irrpwc.py', '_base_/models/maskflownets.py', '_base_/models/flownetc.py',
    '_base_/models/liteflownet/liteflownet_pre_M4S4R4.py', '_base_/models/gma/gma_p-only.py'
])
def test_bfloat16_autocast_trains_every_family(name):
    """``--amp`` on a CPU: a finite loss near that of float32."""
    refiner = build(name).train()
    frames = torch.rand(1, 2, 3, HEIGHT, WIDTH)
    full, _ = refiner.parse_losses(refiner(frames, label(1.), mode='loss'))
    refiner.zero_grad(set_to_none=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half, _ = refiner.parse_losses(refiner(frames, label(1.), mode='loss'))
    half.backward()
    assert half.item() == pytest.approx(full.item(), rel=0.1)
    assert all(bool(p.grad.isfinite().all()) for p in refiner.parameters() if p.grad is not None)

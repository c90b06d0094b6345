"""On a GPU: the labels and losses of the CPU, the same bytes twice, whole runs, and every family of networks.

    MMREFINE_TEST_GPU=1 python -m pytest tests/test_gpu.py
"""
from __future__ import annotations

import copy
import json
import warnings

import pytest
import torch
from small_runs import KEYS, ROOT, run, same_state, small_config

with warnings.catch_warnings():
    # what libraries say at their import on a newer torch is not held against a test
    warnings.simplefilter('ignore')
    from mmcv.ops import Correlation, DeformConv2d
    from mmengine.config import Config
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

    from mmrefine.apis import label_pair, open_model

from mmrefine.compat.stock import stock_config_root
from mmrefine.fileio import LabelStore
from mmrefine.models import FlowRefiner, FrozenTeacher
from mmrefine.structures import FlowSample
from mmrefine.synthetic import render_clip

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(),
                                reason='PyTorch finds no GPU, or MMREFINE_TEST_GPU=1 is not set')

SIZE = (128, 192)
DEMO = ROOT / 'configs' / 'demo' / 'raft_small_source.pth'


@pytest.fixture
def no_tf32(monkeypatch):
    """Convolutions as exact as on a CPU; PyTorch rounds their inputs to 10 bits by default."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


@pytest.fixture(scope='module')
def clip():
    return render_clip(20000, 3, SIZE, 'target')


@pytest.fixture(scope='module')
def frames(clip):
    """``(3, 3, H, W)`` RGB in [0, 1]."""
    return torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope='module')
def demo():
    """The demo network on the CPU."""
    return open_model('demo')


def on_gpu(refiner):
    return copy.deepcopy(refiner).cuda()


def test_labels_are_those_of_the_cpu(demo, clip, no_tf32):
    wanted, found = (label_pair(model, *clip.frames[:2]) for model in (demo, on_gpu(demo)))
    off = (found.flow - wanted.flow).norm(dim=0)
    assert found.flow.device.type == 'cpu' and float((off < 1e-2).double().mean()) >= .99
    assert float((found.weight == wanted.weight).double().mean()) >= .99 and .3 < float(wanted.weight.mean()) < 1


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_tf32_and_bfloat16_keep_nearly_the_same_pixels(demo, frames, dtype):
    wanted = FrozenTeacher(demo).estimate_both(frames[:2], frames[1:])[0]
    found = FrozenTeacher(on_gpu(demo), dtype).estimate_both(frames[:2].cuda(), frames[1:].cuda())[0].cpu()
    off = (found - wanted).norm(dim=1)
    assert found.dtype == torch.float32 and float(off.median()) < (.01 if dtype == 'float32' else .1)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_the_same_pair_gives_the_same_bytes_twice(demo, frames, dtype):
    teacher = FrozenTeacher(on_gpu(demo), dtype)
    first, second = (torch.cat(teacher.estimate_both(frames[:2].cuda(), frames[1:].cuda())) for _ in range(2))
    assert torch.equal(first, second)


def test_a_frame_of_a_video_is_remembered_without_changing_the_flow(demo, frames, no_tf32):
    teacher, pairs = FrozenTeacher(on_gpu(demo)), frames.cuda()
    for i in range(2):
        plain = torch.cat(teacher.estimate_both(pairs[i:i + 1], pairs[i + 1:i + 2]))
        along = torch.cat(teacher.estimate_both(pairs[i:i + 1], pairs[i + 1:i + 2], names=([i], [i + 1])))
        assert float((along - plain).norm(dim=1).max()) < 1e-2


@pytest.mark.parametrize('limit', [0, 4 * 16 * 24 * 6 * 8 * 2])
def test_a_correlation_that_does_not_fit_gives_the_same_flow(demo, frames, no_tf32, limit):
    model = on_gpu(demo)
    wanted = torch.cat(model.estimate_both(frames[:1].cuda(), frames[1:2].cuda()))
    model.max_corr_bytes = limit
    found = torch.cat(model.estimate_both(frames[:1].cuda(), frames[1:2].cuda()))
    assert float((found - wanted).norm(dim=1).max()) < 1e-2


@pytest.mark.filterwarnings('ignore:.torch.cuda.amp.GradScaler:FutureWarning')  # MMEngine's
@pytest.mark.parametrize('wrapper, within', [
    (OptimWrapper, 1e-3),
    (lambda **more: AmpOptimWrapper(dtype='bfloat16', **more), .1),
], ids=['float32', 'bfloat16'])
def test_a_training_step_has_the_loss_of_the_cpu_and_changes_the_network(demo, clip, frames, no_tf32, wrapper, within):
    sample = FlowSample(flow=torch.from_numpy(clip.flow_fw[0]), weight=torch.from_numpy(clip.visible_fw[0]).float())
    losses = {}
    for device in ('cpu', 'cuda'):
        model = copy.deepcopy(demo).to(device).train()
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        optim = wrapper(optimizer=optimizer) if device == 'cuda' else OptimWrapper(optimizer)
        batch = dict(inputs=[frames[:2]], data_samples=[copy.deepcopy(sample)])
        losses[device] = model.train_step(batch, optim)['loss'].item()
        assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
        assert not same_state(model.state_dict(), before)
    assert losses['cuda'] == pytest.approx(losses['cpu'], rel=within) and losses['cpu'] > 0


def test_both_stages_run_on_the_gpu(material, tmp_path):
    runner = run(small_config(material, tmp_path, max_iters=4, load_from=str(DEMO)))
    assert next(runner.model.parameters()).device.type == 'cuda'
    assert LabelStore.open(tmp_path / 'labels').keys() == sorted(KEYS)
    lines = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    assert len(lines) == 4 and all(0 < line['loss'] < 100 for line in lines)
    start, refined = (torch.load(path, weights_only=True)['state_dict'] for path in (DEMO, tmp_path / 'refined.pth'))
    assert start.keys() == refined.keys() and not same_state(start, refined)
    assert all(value.device.type == 'cpu' for value in refined.values())  # else a CPU could not load it


@pytest.mark.parametrize('name', [
    'raft.py', 'gma/gma.py', 'pwcnet.py', 'flownetc.py', 'irrpwc.py', 'maskflownets.py',
    'liteflownet2/liteflownet2_pre_M4S4R4.py'
])
def test_a_stock_family_sees_the_same_motion_and_learns(name, frames, no_tf32):
    kind = 'MaskedSequenceLoss' if name.startswith(('raft', 'gma')) else 'MaskedPyramidLoss'
    network = Config.fromfile(stock_config_root() / '_base_' / 'models' / name).model
    refiner = FlowRefiner(estimator=network, losses=[dict(type=kind)]).eval()
    with torch.no_grad():
        wanted = refiner.estimate(frames[:1], frames[1:2])[-1]
        refiner.cuda()
        found = refiner.estimate(frames[:1].cuda(), frames[1:2].cuda())[-1].cpu()
    assert float((found - wanted).abs().max()) <= 1e-3 * max(1., float(wanted.abs().max()))
    sample = FlowSample(flow=torch.full((2, *SIZE), 3.), weight=torch.ones(1, *SIZE)).cuda()
    loss, _ = refiner.train().parse_losses(refiner(frames[None, :2].cuda(), [sample], mode='loss'))
    loss.backward()
    gradients = [p.grad for p in refiner.parameters() if p.grad is not None]
    assert len(gradients) > 20 and all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize('operator, second', [
    (Correlation(max_displacement=2, padding=1, dilation_patch=2), (2, 3, 8, 9)),  # the other features
    (DeformConv2d(3, 4, 3), (2, 18, 6, 7)),  # offsets
], ids=['Correlation', 'DeformConv2d'])
def test_an_operator_of_mmcv_has_the_values_and_gradients_of_the_cpu(operator, second):
    operator = copy.deepcopy(operator).double()
    first, second = torch.randn(2, 3, 8, 9).double(), torch.randn(second).double()
    answers = []
    for device in ('cpu', 'cuda'):
        inputs = [value.to(device).requires_grad_() for value in (first, second)]
        output = copy.deepcopy(operator).to(device)(*inputs)
        answers.append([output, *torch.autograd.grad(output.square().sum(), inputs)])
    for wanted, found in zip(*answers):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-9, atol=1e-9)

"""Networks from configs, motion from frames, labels from a pair, a refined network from a video."""
from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_trees import ROOT, tool

from mmrefine.apis import flow_of_video, inference_flow, init_model, label_pair, open_model, refine
from mmrefine.errors import CheckpointError, ConfigError, InputError
from mmrefine.fileio.flow_io import read_flow
from mmrefine.fileio.images import read_image, write_image
from mmrefine.models import FlowRefiner
from mmrefine.registry import LABELERS

SMALL_VIDEO = ROOT / 'configs/refine/raft_small_video.py'


class Shift(torch.nn.Module):
    """A teacher that answers a whole number of px, forward where frame 1 is the darker one, else backward."""
    accepts_flow_init = False

    def __init__(self, px=2., back=None):
        super().__init__()
        self.px = torch.nn.Parameter(torch.tensor([px, -px if back is None else back]))

    def estimate(self, frames1, frames2, flow_init=None):
        forward = (frames1.mean(dim=(1, 2, 3)) < frames2.mean(dim=(1, 2, 3))).long()
        flow = torch.zeros(len(frames1), 2, *frames1.shape[-2:])
        # px per frame of the original width: frames at twice the size move twice as far
        flow[:, 0] = (self.px[1 - forward] * frames1.shape[-1] / WIDTH)[:, None, None]
        return [flow]


WIDTH = 40
DARK, BRIGHT = np.full((30, WIDTH, 3), 50, np.uint8), np.full((30, WIDTH, 3), 60, np.uint8)


def test_importing_the_package_and_its_apis_loads_nothing_heavy():
    code = ("import sys, mmrefine, mmrefine.apis; "
            "print(sorted({'torch', 'mmengine', 'cv2', 'mmflow'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=120)
    assert done.stdout == '[]\n', done.stderr


def test_there_is_nothing_else_to_import():
    import mmrefine.apis
    with pytest.raises(AttributeError, match='no attribute .refin.'):
        mmrefine.apis.refin
    assert all(callable(getattr(mmrefine.apis, name)) for name in mmrefine.apis.__all__)


@pytest.mark.parametrize('size', [(64, 64), (37, 50), (70, 99)])
def test_any_size_goes_in_and_comes_out(weights, size):
    model = init_model(SMALL_VIDEO, weights['small'])
    model.test_iters = 2
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(2)]
    flow = inference_flow(model, *frames)
    assert flow.shape == (*size, 2) and flow.dtype == np.float32 and not model.training
    wanted = model.estimate(*(torch.from_numpy(frame).permute(2, 0, 1)[None] / 255 for frame in frames))[-1]
    np.testing.assert_allclose(flow, wanted[0].permute(1, 2, 0).detach().numpy(), atol=1e-4)
    mixed = inference_flow(model, [frames[0], frames[0][:40]], (frames[1], frames[1][:40]))
    assert [part.shape for part in mixed] == [flow.shape, (min(size[0], 40), size[1], 2)]
    np.testing.assert_array_equal(mixed[0], flow)


def test_frames_that_are_none_are_refused():
    model, frame = Shift(), DARK
    for one, two, sentence in ((frame, [frame], 'both be frames or both be lists'),
                               ([frame], [frame, frame], 'got 1 and 2 frames'),
                               (frame, frame[:20], r'must have one size, got \(30, 40\) and \(20, 40\)'),
                               (frame.astype(np.float32), frame,
                                r'frame1 must be the path of a picture or an array .* got float32 \(30, 40, 3\)'),
                               (frame, frame[..., 0], r'frame2 must be .* an array .* got uint8 \(30, 40\)'),
                               ([frame, 5], [frame, frame], 'pair 1: frame1 must be .* an array .* got int'),
                               ('none.png', frame, 'none.png: cannot be opened')):
        with pytest.raises(InputError, match=sentence):
            inference_flow(model, one, two)


def test_pictures_may_be_given_by_their_paths(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (30, WIDTH, 3), dtype=np.uint8) for _ in range(2)]
    paths = [tmp_path / f'{i}.png' for i in range(2)]
    for path, frame in zip(paths, frames):
        write_image(path, frame)  # takes RGB, as the network sees it

    class Remember(Shift):
        def estimate(self, frames1, frames2, *args, **more):
            self.seen = frames1
            return super().estimate(frames1, frames2, *args, **more)

    model = Remember()
    by_path = inference_flow(model, [str(paths[0])], [paths[1]])
    assert torch.equal(model.seen[0], torch.from_numpy(frames[0]).permute(2, 0, 1) / 255)
    np.testing.assert_array_equal(by_path[0], inference_flow(model, *frames))
    assert torch.equal(label_pair(Shift(2.), *paths).flow, label_pair(Shift(2.), *frames).flow)


def test_a_stock_config_is_wrapped():
    model = init_model('mmflow::liteflownet/liteflownet_8xb1_500k_flyingthings3d-subset-384x768.py')
    assert type(model) is FlowRefiner and type(model.estimator).__name__ == 'LiteFlowNet'


def test_a_checkpoint_or_config_that_does_not_belong_is_refused(weights, tmp_path):
    with pytest.raises(CheckpointError, match='not the weights of the configured RAFT'):
        init_model(SMALL_VIDEO, weights['raft'])
    (tmp_path / 'a.py').write_text('x = 1\n')
    with pytest.raises(ConfigError, match='a.py: has no model with a type'):
        init_model(tmp_path / 'a.py')


def test_the_label_of_a_pair_keeps_what_comes_back_and_stays_inside():
    label = label_pair(Shift(2.), DARK, BRIGHT)
    assert torch.allclose(label.flow[0], torch.full((30, WIDTH), 2.), atol=0.06)  # 79/39 of a px at twice the size
    assert label.weight[0, :, :WIDTH - 3].min() == 1 and label.weight[0, :, -2:].max() == 0
    assert label_pair(Shift(2., back=3.), DARK, BRIGHT).kept == 0


def test_the_labeler_may_be_a_config_or_an_object():
    everything = dict(type='FlowLabeler', view=dict(type='CascadeView', scales=(1., )))
    for labeler in (everything, LABELERS.build(everything)):
        label = label_pair(Shift(2., back=3.), DARK, BRIGHT, labeler)
        assert label.kept == 1 and torch.equal(label.flow[0], torch.full((30, WIDTH), 2.))


BRIGHTER = np.full((30, WIDTH, 3), 70, np.uint8)
CHECKED = dict(type='FlowLabeler', view=dict(type='CascadeView', scales=(1., )), filters=[dict(type='CompositeFilter')])


def test_a_label_may_be_checked_by_a_third_frame():
    """2 px to the next frame, 2 px to the one after it, and 2 px at once:
    that is 2 px short wherever all of it is in the frame.
    """
    label = label_pair(Shift(2.), DARK, BRIGHT, CHECKED, frame3=BRIGHTER)
    assert label.weight[0].tolist() == [[0.] * (WIDTH - 4) + [1.] * 4] * 30
    unchecked = dict(CHECKED, filters=[])
    assert label_pair(Shift(2.), DARK, BRIGHT, unchecked, frame3=BRIGHTER).kept == 1


def test_a_third_frame_that_is_missing_or_does_not_fit_is_named():
    with pytest.raises(ConfigError,
                       match=r'needs a third frame \(such as CompositeFilter\), and label_pair was '
                             r'given two; give it frame3'):
        label_pair(Shift(2.), DARK, BRIGHT, CHECKED)
    with pytest.raises(InputError, match=r'frame1 and frame3 must have one size, got \(30, 40\) and \(30, 39\)'):
        label_pair(Shift(2.), DARK, BRIGHT, CHECKED, frame3=DARK[:, 1:])
    with pytest.raises(InputError, match=r'frame3 must be .* an array .* got float64 \(30, 40, 3\)'):
        label_pair(Shift(2.), DARK, BRIGHT, CHECKED, frame3=DARK / 255)


def test_a_labeler_that_cannot_be_built_is_named():
    with pytest.raises(ConfigError, match='a labeler must be a dict with a type, .* got 5'):
        label_pair(Shift(2.), DARK, BRIGHT, 5)
    with pytest.raises(ConfigError, match="FlowLabeler.floor must be a number, such as 0.0, got 'abc'"):
        label_pair(Shift(2.), DARK, BRIGHT, dict(CHECKED, floor='abc'))


def test_frames_in_between_make_a_long_step_of_short_ones():
    """2 px from any frame to the next one that is shown, so 4 px by way of one and 2 px at once."""
    composed = dict(type='FlowLabeler',
                    view=dict(type='ComposedView', scales=(1., ), flip=False, refine=False, trust=0.))
    for middles, motion in (((), 2.), ([BRIGHT], 3.), ([BRIGHT, BRIGHT + 1], 4.)):
        label = label_pair(Shift(2.), DARK, BRIGHTER, composed, middles=middles)
        # flat frames and equal round trips: half the direct look, half the chain
        assert torch.allclose(label.flow[0, :, :WIDTH - 6], torch.full((30, WIDTH - 6), motion), atol=.02)
    plain = dict(composed, view=dict(type='ArbitratedView', scales=(1., ), flip=False))
    assert torch.equal(label_pair(Shift(2.), DARK, BRIGHTER, plain, middles=[BRIGHT]).flow[0],
                       torch.full((30, WIDTH), 2.))
    with pytest.raises(InputError, match=r'frame1 and middles\[1\] must have one size, got \(30, 40\) and \(30, 39\)'):
        label_pair(Shift(2.), DARK, BRIGHTER, composed, middles=[BRIGHT, DARK[:, 1:]])


def test_refine_returns_the_report_of_a_video(trees, weights, tmp_path):
    values = {'batch_size': 1, 'held_out': 0., 'num_workers': 0, 'max_iters': 1, 'model.train_iters': 1,
              'model.test_iters': 1, 'labeler.view.scales': (1., ), 'labeler.balance': None}
    report = refine(trees['video'], SMALL_VIDEO, tmp_path, load_from=str(weights['small']), **values)
    assert list(report['groups']['refined']['scenes']) == [trees['video'].stem] and report['labels']['labels'] == 4
    model = init_model(SMALL_VIDEO, tmp_path / 'refined.pth')
    assert inference_flow(model, DARK, BRIGHT).shape == (30, WIDTH, 2)
    with pytest.raises(ConfigError, match="the config has no key 'max_itrs'; did you mean max_iters"):
        refine(trees['video'], SMALL_VIDEO, tmp_path, max_itrs=1)


@pytest.mark.parametrize('device, sentence', [
    ('nonsense', "device 'nonsense': PyTorch knows no such device; name cpu, cuda"),
    ('cuda:99', "device 'cuda:99': cannot be used here (.+); take cpu, or name none"),
    ('meta', "device 'meta': cannot be used here (.+); take cpu, or name none"),
])
def test_a_device_that_cannot_be_used_is_said_before_anything_is_read(device, sentence, tmp_path):
    for ask in (lambda: init_model('none.py', device=device), lambda: open_model('none', device=device),
                lambda: flow_of_video(tmp_path / 'none.mp4', device=device)):
        with pytest.raises(ConfigError, match=sentence):
            ask()


def test_the_official_raft_small_has_its_published_error_through_the_tools(shared_data, tmp_path):
    pairs = shared_data / 'flow_pairs' / 'chairs'
    converted = tmp_path / 'raft-small-mmrefine.pth'
    assert tool('convert_checkpoint').main([str(shared_data / 'weights' / 'raft-small.pth'), str(converted)]) == 0
    model = init_model(SMALL_VIDEO, converted)
    flow = inference_flow(model, *(read_image(pairs / f'0000001-img{i}.ppm') for i in (0, 1)))
    truth, valid = read_flow(pairs / '0000001-gt.flo')
    wanted = json.loads((shared_data / 'oracles' / 'raft_small_epe.json').read_text())['pairs']['chairs/0000001']['epe']
    assert np.linalg.norm(flow - truth, axis=2)[valid].mean() == pytest.approx(wanted, abs=1e-3)

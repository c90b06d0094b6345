"""The whole way of CorrFlow on a video: it goes on learning without labels, is guarded, and reported."""
from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from helpers_cli import error_of, status_of
from small_runs import ROOT
from torch import nn
from track_trees import badja_tree

from mmrefine.apis import refine
from mmrefine.apis.inference import init_model
from mmrefine.apis.named_models import load_named, open_tracker
from mmrefine.apis.run_forecast import forecast_run
from mmrefine.apis.video_run import prepare_run
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.datasets import DavisClips
from mmrefine.engine import SelfTrainingLoop, judge
from mmrefine.errors import ConfigError
from mmrefine.evaluation import MaskMetric
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import CorrespondenceLearner, FeaturePropagator, propagate_clip
from mmrefine.synthetic import write_clips

SIZE = (32, 48)
CONFIG = 'configs/corrflow/resnet18_video.py'
VALUES = {
    'model.estimator.out_channels': 8, 'max_iters': 2, 'num_workers': 0, 'batch_size': 1, 'crop_size': (32, 32),
    'stride': (1, ), 'spacing': 3, 'held_out': 0.3, 'least_held': 6, 'custom_hooks.0.general': 1,
    'custom_hooks.0.steps': (1., ), 'custom_hooks.0.witnesses.labels': 12, 'custom_hooks.0.witnesses.points': 12,
    'custom_hooks.1.pictures': 1, 'custom_hooks.1.extremes': 1, 'custom_hooks.1.without_truth': 2}
OPTIONS = ['--set', *(f'{key}={value}'.replace(' ', '') for key, value in VALUES.items())]


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp('video')
    write_clips(root, (5, ), 45, SIZE)
    torch.manual_seed(0)
    network = CorrespondenceLearner(dict(type='mmrefine.CorrFlowEncoder', out_channels=8)).estimator
    save_checkpoint(root / 'start.pth', dict(state_dict=network.state_dict(), meta={}))
    return root


def command(video, out, *more):
    return ('refine', video / 'frames', '--model', 'corrflow', '--checkpoint', video / 'start.pth', '--out', out, *more,
            *OPTIONS)


def test_a_video_refines_features_and_a_stopped_run_goes_on(video, tmp_path, capsys, monkeypatch):
    original, calls = SelfTrainingLoop.run_iter, []

    def stopping(self, batch):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch)

    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(SelfTrainingLoop, 'run_iter', stopping)
    assert status_of(*command(video, tmp_path)) == 130
    signal.signal(signal.SIGINT, interrupt)
    told = capsys.readouterr().out
    assert 'clips to learn from, without labels' in told and 'forecast: about' in told and 'of memory' in told
    assert status_of(*command(video, tmp_path)) == 0
    told = capsys.readouterr().out
    assert len(calls) == 2 and not (tmp_path / 'labels').exists()
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['timings']['resumed_at_iter'] == 1 and report['guard']['verdict'] in ('teacher', 'student')
    names = {'labels', 'points', 'known_labels', 'known_points', 'known_still', 'motion'}
    for side in ('before', 'after'):
        assert set(report['guard']['witnesses'][side]) == names
        assert 'cycle_median' in report['groups']['refined'][side]
    assert report['guard']['general']['figure']['name'] == 'ATE' and report['guard']['held_out']['pairs'] >= 6
    page = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert 'wrong cells on known motion' in page and report['pictures']
    network = f'--model corrflow --checkpoint {tmp_path / "refined.pth"}'
    assert told.splitlines()[-2:] == [
        f'its tracks: mmrefine track {video / "frames"} {network}',
        f'a mask of the first frame in all frames: mmrefine propagate {video / "frames"} --mask FIRST.png {network}']
    before, after = (load_checkpoint_file(path)['state_dict'] for path in (video / 'start.pth',
                                                                           tmp_path / 'refined.pth'))
    assert before.keys() == after.keys()
    used = load_checkpoint_file(tmp_path / 'refined.pth')['meta']['learned_with']
    assert used == dict(radius=6, bottleneck=None)
    monkeypatch.setattr('mmrefine.apis.runs.train', lambda cfg, brief: pytest.fail('trained again'))
    assert status_of(*command(video, tmp_path)) == 0
    assert 'this run is finished already' in capsys.readouterr().out
    assert 'max_iters was 2, is 3' in error_of(capsys, *command(video, tmp_path), 'max_iters=3')


def test_a_dry_run_says_what_it_takes_and_writes_nothing(video, tmp_path, capsys):
    assert refine(video / 'frames', 'corrflow', tmp_path, video / 'start.pth', dry_run=True, **VALUES) == {}
    assert 'clips to learn from, without labels' in capsys.readouterr().out and not list(tmp_path.iterdir())
    cfg, _ = prepare_run(str(video / 'frames'), CONFIG, tmp_path, video / 'start.pth', VALUES, dry_run=True)
    found = forecast_run(cfg)
    assert set(found.seconds) == {'training', 'guard', 'report'} and min(found.seconds.values()) > 0
    assert found.memory == 4 * 256 * 4 * (SIZE[0] // 4) * (SIZE[1] // 4)
    assert forecast_run(cfg, labels_only=True) is None


@pytest.mark.parametrize('held_out, said', [(0.3, False), (0.1, True), (0., False)])
def test_a_dry_run_says_that_too_few_clips_are_kept_back_to_prove_anything(video, tmp_path, capsys, held_out, said):
    values = dict(VALUES, held_out=held_out, least_held=0 if said else 6)
    assert refine(video / 'frames', 'corrflow', tmp_path, video / 'start.pth', dry_run=True, **values) == {}
    lines = [line for line in capsys.readouterr().out.splitlines() if 'prove nothing' in line]
    assert len(lines) == said
    if said:
        assert lines[0].startswith('Guard: 2 clips will prove nothing, as it takes 6 that are independent; so the orig')


def test_points_follow_a_shift_there_and_back(video):
    model = init_model(load_named(CONFIG, {'model.estimator.out_channels': 8}), video / 'start.pth', 'cpu')
    y, x = torch.meshgrid(torch.arange(64.), torch.arange(128.), indexing='ij')
    plane = torch.stack([x / 128, y / 64, 0 * x])
    frames = torch.stack([plane[:, 8:56, 8 + 4 * t:88 + 4 * t] for t in range(3)])
    rng = torch.Generator().manual_seed(0)
    turns, phases = 40 * torch.randn(256, 3, generator=rng), 6.3 * torch.rand(256, 1, 1, generator=rng)

    def encode(seen):
        """The product of two colours falls with their difference."""
        return 0.4 * torch.cos(torch.einsum('nc,bchw->bnhw', turns, nn.functional.avg_pool2d(seen, 4)) + phases)

    model.encode = encode
    points = torch.tensor([[41.5, 21.5], [53.5, 25.5]])
    there, back, visible = model.track_both(frames, points)
    assert there.shape == (2, 3, 2) and visible.shape == (2, 3)
    steps = there[:, -1] - points
    # the view moves to the right by a cell a frame
    assert float((steps + torch.tensor([8., 0.])).abs().max()) < 0.5
    assert float((back[:, 0] - points).norm(dim=-1).max()) < 0.5
    forwards = model.track(frames, torch.tensor([[0., 21.5, 41.5]]))
    assert torch.allclose(forwards.points[0], there[0], atol=1e-4)


def test_masks_and_joints_with_truth_are_judged_by_what_its_features_carry_along(video, tmp_path):
    badja_tree(tmp_path)
    data = DavisClips(tmp_path)
    model = init_model(load_named(CONFIG, {'model.estimator.out_channels': 8}), video / 'start.pth', 'cpu')
    # by place alone, so that the masks, which stand still, are found again
    model.encode = lambda seen: 6 * torch.eye(seen.shape[-2] * seen.shape[-1] // 16).view(
        1, -1, seen.shape[-2] // 4, seen.shape[-1] // 4)
    judged = judge(model, data)
    for number in range(len(data)):
        item = data[number]
        propagate_clip(FeaturePropagator(model, model.radius), item['inputs'], item['data_samples'])
        wanted = MaskMetric().judge(item['data_samples']).scores()
        found = judged.results[number][2].scores()
        assert wanted['J_mean'] > 0.6 and {name: found[name] for name in wanted} == wanted


def test_what_it_cannot_do_is_said_in_one_sentence(video, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames, weights = video / 'frames', video / 'start.pth'
    lost = error_of(capsys, 'refine', frames, '--model', 'corrflow')
    assert lost.startswith('checkpoints/corrflow_resnet18.pth: the weights to start from are not there; they are '
                           'refined.pth of a training of yours (configs/corrflow), or the file of its authors')
    assert 'https://github.com/zlai0/CorrFlow' in lost and lost.endswith('with --checkpoint')
    assert 'follows points' in error_of(capsys, 'flow', frames, '--model', 'corrflow', '--checkpoint', weights)
    assert 'learns features, and labelled=rendered' in error_of(
        capsys, 'refine', frames, '--model', 'corrflow', '--checkpoint', weights, '--labelled', 'rendered')
    assert 'nothing to label anew' in error_of(capsys, 'refine', frames, '--model', 'corrflow', '--checkpoint', weights,
                                               '--rounds', '2')
    assert 'so it labels nothing' in error_of(capsys, 'labels', frames, '--model', 'corrflow', '--checkpoint', weights,
                                              '--set', *OPTIONS[1:5])
    other = error_of(capsys, 'refine', frames, '--model', 'corrflow', '--checkpoint',
                     ROOT / 'configs/demo/raft_small_source.pth')
    assert 'raft_small_source.pth' in other and 'CorrFlowEncoder' in other
    short = error_of(capsys, 'refine', frames / 'target_0005', '--model', 'corrflow', '--checkpoint', weights, '--end',
                     '2f', *OPTIONS[:3])
    assert 'has 2 frames, and a clip of 3 frames' in short


def test_the_network_opens_as_a_tracker_and_quick_asks_for_no_iterations(video):
    from mmrefine.cli.refine import QUICK, _quick
    assert isinstance(open_tracker(load_named('corrflow', {'model.estimator.out_channels': 8}), video / 'start.pth'),
                      CorrespondenceLearner)
    assert set(_quick('corrflow', 'labels')) == {'max_iters', 'batch_size'}
    assert set(_quick('demo', 'labels')) == set(QUICK)
    with pytest.raises(ConfigError, match='follows points'):
        from mmrefine.apis.named_models import open_model
        open_model('corrflow', video / 'start.pth')

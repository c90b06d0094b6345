"""PIPs: its correlation against a full volume, its weights under both names, and points along a long video."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mmrefine.compat.pips_checkpoints import convert_pips, convert_pips_checkpoint
from mmrefine.errors import CheckpointError, ConfigError, InputError, TeacherError
from mmrefine.models.networks import PIPs
from mmrefine.models.networks.pips_correlation import TrackCorrelation
from mmrefine.models.trackers import PIPsChain
from mmrefine.models.trackers.pips_chain import next_start
from mmrefine.registry import MODELS

SIZE = (64, 96)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    found = MODELS.build(dict(type='PIPs', mixer_channels=32, mixer_depth=2)).eval()
    with torch.no_grad():
        found.mixer.leave.weight.mul_(0.05)  # random weights throw points about, and rounding with them
    return found


@pytest.fixture(scope='module')
def video():
    return torch.rand(19, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def volume_windows(features, points, tracks, levels, radius):
    """The same windows read off the whole volume: every track against every pixel."""
    batch, frames, channels = features.shape[:3]
    seen, level = [], features.flatten(0, 1)
    for number in range(levels):
        level = F.avg_pool2d(level, 2, stride=2) if number else level
        height, width = level.shape[-2:]
        flat = level.view(batch, frames, channels, -1)
        volume = (tracks @ flat / math.sqrt(channels)).flatten(0, 2).view(-1, 1, height, width)
        step = torch.arange(-radius, radius + 1.)
        offsets = torch.stack(torch.meshgrid(step, step, indexing='ij'), dim=-1)  # x first
        at = points.reshape(-1, 1, 1, 2) / 2**number + offsets
        scaled = 2 * at / torch.tensor([width - 1., height - 1.]) - 1
        seen.append(F.grid_sample(volume, scaled, align_corners=True).view(*points.shape[:3], -1))
    return torch.cat(seen, dim=-1)


def test_windows_of_the_correlation_equal_those_of_the_whole_volume():
    rng = torch.Generator().manual_seed(0)
    features, tracks = torch.randn(2, 3, 16, 24, 32, generator=rng), torch.randn(2, 3, 5, 16, generator=rng)
    points = torch.rand(2, 3, 5, 2, generator=rng) * torch.tensor([60., 44.]) - 14  # outside, too
    found = TrackCorrelation(features, 3, 2)(points, tracks)
    assert found.shape == (2, 3, 5, 3 * 25)
    torch.testing.assert_close(found, volume_windows(features, points, tracks, 3, 2), atol=1e-5, rtol=0)
    far = TrackCorrelation(features, 3, 2)(torch.tensor([1e30, float('nan')]).expand(2, 3, 5, 2), tracks)
    assert bool((far == 0).all())


def test_the_default_network_has_the_size_of_the_published_one_and_its_names():
    network = PIPs()
    assert sum(part.numel() for part in network.parameters()) == 28_677_713
    state = network.state_dict()
    theirs = convert_pips(state, 'official')
    assert len(theirs) == len(state)
    assert {'fnet.conv1.weight', 'fnet.layer4.0.downsample.0.bias', 'delta_block.to_delta.0.weight',
            'delta_block.to_delta.1.0.norm.weight', 'delta_block.to_delta.12.1.fn.3.bias',
            'delta_block.to_delta.13.weight', 'delta_block.to_delta.15.weight', 'norm.weight', 'ffeat_updater.0.weight',
            'vis_predictor.0.bias'} <= set(theirs)
    again = convert_pips({f'module.{name}': tensor for name, tensor in theirs.items()})
    assert set(again) == set(state) and all(again[name] is state[name] for name in state)
    saved = convert_pips_checkpoint(dict(model_state_dict=theirs, optimizer_state_dict={}), source='a/b.pth')
    assert saved['meta']['source'] == 'b.pth' and set(saved['state_dict']) == set(state)
    assert set(convert_pips_checkpoint(saved, 'official')['model_state_dict']) == set(theirs)


def test_weights_of_another_network_are_refused_by_name():
    state = PIPs(mixer_channels=8, mixer_depth=1).state_dict()
    with pytest.raises(CheckpointError, match=r'x.pth: holds no PIPs network'):
        convert_pips_checkpoint(dict(conv=torch.zeros(1)), source='x.pth')
    with pytest.raises(CheckpointError, match=r'has extra.weight, which no PIPs network has'):
        convert_pips({**state, 'extra.weight': torch.zeros(1)})


@pytest.mark.parametrize('wrong, message', [(dict(stride=2), r'PIPs.stride must be 4 or 8, got 2'),
                                            (dict(window=2), r'PIPs.window .* at least 3, got 2'),
                                            (dict(mixer_depth=0), r'PIPs.mixer_depth .* got 0')])
def test_wrong_settings_are_refused_by_name(wrong, message):
    with pytest.raises(ConfigError, match=message):
        PIPs(**wrong)


@torch.no_grad()
def test_a_query_stays_where_it_is_and_every_iteration_is_kept_in_training_only(network, video):
    features = network.encode(video[:8])[None]
    queries = torch.tensor([[[3., 5.], [60.25, 40.5]]])
    out = network(features, queries, 3)
    assert len(out.points) == 1 and not out.track_features
    assert out.points[0].shape == (1, 8, 2, 2) and out.visibility.shape == (1, 8, 2)
    assert torch.equal(out.points[0][:, 0], queries) and float((out.points[0] - queries[:, None]).abs().max()) > 0.01
    network.train()
    try:
        free = network(features, queries, 3)
    finally:
        network.eval()
    assert len(free.points) == len(free.track_features) == 3
    assert not torch.equal(free.points[-1][:, 0], queries)
    with pytest.raises(ValueError, match='8 frames at once, got 7'):
        network(features[:, :7], queries)


def test_every_part_of_the_network_learns(network, video):
    small = PIPs(mixer_channels=16, mixer_depth=1).train()
    out = small(small.encode(video[:8])[None], torch.tensor([[[30., 20.]]]), 2)
    (sum(points.sum() for points in out.points) + out.visibility.sum()).backward()
    assert not [name for name, part in small.named_parameters() if part.grad is None or not bool(part.grad.any())]


def test_where_a_track_goes_on():
    sure = torch.full((5, 8), 0.1)
    sure[0, 5], sure[1, 7], sure[2, 1], sure[3, 2] = 0.95, 0.91, 0.99, 0.885
    sure[3, 4], sure[4, :] = 0.87, 0.
    sure[4, 6] = 0.5
    assert next_start(sure).tolist() == [5, 7, 7, 2, 6]  # the third is as unsure everywhere but at 1


@torch.no_grad()
def chained(network, video, query):
    """One point, window by window, each of them encoded anew."""
    at, path, feature = int(query[0]), torch.full((len(video), 2), float('nan')), None
    path[at] = query[[2, 1]]
    while at < len(video) - 1:
        numbers = [min(at + k, len(video) - 1) for k in range(8)]
        out = network(network.encode(video[numbers])[None], path[at].view(1, 1, 2), 4, feature)
        feature = out.query_feature
        path[at:at + 8] = out.points[-1][0, :len(video) - at, 0]
        if at == int(query[0]) and at + 8 >= len(video):
            break
        at += int(next_start(out.visibility[0].sigmoid().t()))
    return path


def test_points_along_a_video_are_those_of_each_alone_and_each_frame_is_encoded_once(network, video):
    queries = torch.tensor([[0., 10., 20.], [0., 33.5, 70.], [4., 50., 5.], [17., 8., 9.], [18., 1., 2.]])
    asked = []

    def frame(t):
        asked.append(t)
        return video[t]

    tracks = PIPsChain(network, iters=4).track(frame, len(video), SIZE, queries)
    assert asked == sorted(set(asked)) == list(range(19))
    wanted = torch.stack([chained(network, video, query) for query in queries])
    torch.testing.assert_close(tracks.points, wanted, atol=2e-3, rtol=0, equal_nan=True)
    before = torch.arange(19) < queries[:, :1]
    assert torch.equal(tracks.points.isnan().any(dim=-1), before) and not bool(tracks.visible[before].any())
    one_by_one = PIPsChain(network, iters=4, chunk=1).track(video.__getitem__, len(video), SIZE, queries)
    torch.testing.assert_close(one_by_one.points, tracks.points, atol=2e-3, rtol=0, equal_nan=True)


def test_a_clip_that_one_window_covers_is_one_pass_however_unsure_its_end_is(network, video, monkeypatch):
    points = torch.tensor([[[20., 10.], [70., 33.5]]])
    queries = torch.cat([torch.zeros(2, 1), points[0].flip(1)], dim=1)
    with torch.no_grad():
        out = network(network.encode(video[:8])[None], points, 6)
    passes, unsure = [], out._replace(visibility=out.visibility - 10)
    monkeypatch.setattr(network, 'forward', lambda *args: passes.append(args) or unsure)
    tracks = PIPsChain(network).track(video.__getitem__, 8, SIZE, queries)
    assert len(passes) == 1 and torch.equal(tracks.points, out.points[-1][0].transpose(0, 1))


def test_a_clip_of_three_frames_is_shorter_than_a_window(network, video):
    tracks = PIPsChain(network).track(video.__getitem__, 3, SIZE, torch.tensor([[0., 10., 20.]]))
    assert tracks.points.shape == (1, 3, 2) and bool(tracks.points.isfinite().all())
    none = PIPsChain(network).track(video.__getitem__, 3, SIZE, torch.zeros(0, 3))
    assert none.points.shape == (0, 3, 2)


@pytest.mark.parametrize('query, message', [
    ([3., 1., 1.], r'query 1 is at frame 3, y 1, x 1, .* frames 0 to 2 of 64x96'), ([0., 64., 1.], 'y 64'),
    ([0., 1., -0.6], r'x -0\.6'), ([0.5, 1., 1.], r'frame 0\.5'), ([0., math.nan, 1.], 'y nan')])
def test_a_query_that_is_not_in_the_video_is_named(network, video, query, message):
    with pytest.raises(InputError, match=message):
        PIPsChain(network).track(video.__getitem__, 3, SIZE, torch.tensor([[0., 1., 1.], query]))


@pytest.mark.parametrize('part, what', [('mixer.leave', 'points'), ('visibility', 'visibilities')])
@pytest.mark.parametrize('frames', [8, 12])
def test_what_is_not_finite_is_an_error_and_not_an_endless_search(video, part, what, frames):
    broken = PIPs(mixer_channels=8, mixer_depth=1).eval()
    with torch.no_grad():
        broken.get_submodule(part).bias.fill_(math.nan)
    with pytest.raises(TeacherError, match=rf'gives {what} that are not finite in the frames 0 to 7; check that the '
                                           'checkpoint'):
        PIPsChain(broken).track(video.__getitem__, frames, SIZE, torch.tensor([[0., 1., 1.]]))


def test_frames_that_are_too_small_are_an_error_of_one_sentence(network):
    with pytest.raises(InputError, match=r'31x96 px .* too small for PIPs of stride 4, which needs 32 px a side'):
        network.encode(torch.zeros(1, 3, 31, 96))
    assert network.encode(torch.zeros(1, 3, 32, 33)).shape == (1, 128, 8, 8)

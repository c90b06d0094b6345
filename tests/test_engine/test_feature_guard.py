"""Networks of correspondences judged without truth: what the guard says of features whose worth is known."""
from __future__ import annotations

import math
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmrefine.datasets import FrameClips
from mmrefine.engine import FeatureWitnesses
from mmrefine.engine.guard.candidates import compare_together, mixed_state, rate
from mmrefine.engine.guard.observer import Observer
from mmrefine.errors import ConfigError
from mmrefine.evaluation.features.witnesses import label_patches, objection, point_error, wrong_labels
from mmrefine.fileio import write_image
from mmrefine.models import CorrespondenceLearner

SIZE, FRAMES = (48, 72), 3


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Eight scenes of a coloured plane, no two places of which look alike, that moves by a few px a frame."""
    root, rng = tmp_path_factory.mktemp('colours'), np.random.default_rng(3)
    for scene in range(8):
        x, y = np.meshgrid(np.arange(160.), np.arange(128.))
        plane = np.stack([x / 160, y / 128, 0.5 + 0.25 * np.sin(x / 9) + 0.25 * np.sin(y / 7 + scene)], axis=-1)
        step = rng.integers(-4, 5, 2)
        for t in range(FRAMES):
            top, left = 32 + t * step
            frame = plane[top:top + SIZE[0], left:left + SIZE[1]]
            write_image(root / f'scene{scene}' / f'{t:02d}.png', np.rint(255 * frame).astype(np.uint8))
    return FrameClips(root, frames=FRAMES)


class ByColor:
    """Random Fourier features of the colour of a cell, so that their product falls with the square of the difference
    of two colours; ``noise`` changes them from frame to frame."""
    radius = 6

    def __init__(self, noise=0., sharpness=16.):
        rng = torch.Generator().manual_seed(0)
        self.turns, self.phases = 40 * torch.randn(96, 3, generator=rng), 2 * math.pi * torch.rand(96, generator=rng)
        self.noise, self.sharpness = noise, sharpness

    def encode(self, frames):
        colors = F.avg_pool2d(frames, 4)
        waves = torch.cos(torch.einsum('nc,bchw->bnhw', self.turns, colors) + self.phases[:, None, None])
        return math.sqrt(2 * self.sharpness / 96) * (waves + self._disturbed(waves, frames))

    def _disturbed(self, waves, frames):
        rng = torch.Generator().manual_seed(int(1e6 * float(frames.double().mean())))  # the same for the same frame
        return self.noise * torch.randn(waves.shape, generator=rng)


class Constant(ByColor):
    """The same in all cells of all frames."""

    def encode(self, frames):
        return torch.ones_like(super().encode(frames))


class ByPlace(ByColor):
    """Tell where a cell is, and nothing of what it shows."""

    def encode(self, frames):
        height, width = (side // 4 for side in frames.shape[-2:])
        place = torch.eye(height * width).view(1, -1, height, width)
        return 6 * place.expand(len(frames), -1, -1, -1)


class Random(ByColor):
    """Other features for every frame."""

    def encode(self, frames):
        return 4 * self._disturbed(super().encode(frames), frames) / self.noise


NETWORKS = dict(ideal=ByColor(), teacher=ByColor(noise=0.6), constant=Constant(), place=ByPlace(), random=Random(1.))


@pytest.fixture(scope='module')
def seen(video):
    """What each network shows, and the witnesses, as the teacher prepares them."""
    witnesses = FeatureWitnesses(labels=24, points=40)
    witnesses.prepare(video, NETWORKS['teacher'], 'cpu', 0, lambda line: None)
    observer = Observer(witnesses)
    observer.observe = lru_cache(observer.observe)
    return SimpleNamespace(witnesses=witnesses, observer=observer,
                           by={name: observer.observe(network, None) for name, network in NETWORKS.items()})


def mean(observations, name):
    return float(np.mean([one[name] for one in observations]))


def test_each_witness_is_that_of_the_network(seen):
    """In place: everything is home, and known motion leaves it behind by just its length. Random: nothing is anywhere.
    Constant: blurred until nothing is left. Colours: the exact answer but for what has left the frame."""
    place, ideal = seen.by['place'], seen.by['ideal']
    assert mean(place, 'labels') == mean(place, 'points') == mean(place, 'motion') == 0
    assert mean(place, 'known_points') == pytest.approx(mean(place, 'known_still'), abs=1e-4)
    assert mean(place, 'known_points') > 4 and mean(place, 'known_labels') > 20
    assert mean(ideal, 'known_points') < 0.5 * mean(place, 'known_points')
    assert mean(ideal, 'known_labels') < 0.6 * mean(place, 'known_labels')
    for name in ('constant', 'random'):
        for witness in ('points', 'known_points'):
            assert mean(seen.by[name], witness) > 2 * mean(seen.by['teacher'], witness)
    assert set(ideal[0]) == {figure.name for figure in seen.witnesses.figures}


@pytest.mark.parametrize('student', NETWORKS)
def test_the_guard_accepts_the_better_features_and_no_others(seen, student):
    found, = compare_together([rate(seen.observer, NETWORKS[student], seen.by['teacher'], 1, 1.)], seen.observer)
    assert found.is_accepted == (student == 'ideal')
    if student == 'place':  # by its score alone it would be handed back
        assert found.comparison.is_better and 'on known motion' in found.objection


@pytest.mark.parametrize('student', ['constant', 'place'])
def test_what_does_not_follow_motion_is_refused_even_where_the_original_network_is_worse(seen, student):
    lost = [dict(one, known_labels=99., known_points=19.9) for one in seen.by['random']]
    assert 'than by copying in place' in objection(lost, seen.by[student])
    assert objection(lost, seen.by['ideal']) is None


def test_what_follows_motion_worse_than_by_copying_in_place_is_called_that():
    lost = [dict(known_labels=99., known_points=999., known_still=10.)]
    for error, word in ((9.5, 'hardly better than'), (10., 'hardly better than'), (10.1, 'worse than'), (40., 'worse')):
        found = objection(lost, [dict(known_labels=1., known_points=error, known_still=10.)])
        assert f'follows known motion {word} ' in found and f'({error:.2f} px off, in place 10.00 px)' in found


def test_known_motion_is_the_same_for_all_and_goes_two_cells_at_least(video):
    still = FeatureWitnesses(pairs=2, labels=24, points=40)
    still.prepare(video, NETWORKS['place'], 'cpu', 5, lambda line: None)
    assert still.speed == 0
    asked = []

    class Recorder(ByPlace):
        def encode(self, frames):
            asked.append(frames)
            return super().encode(frames)

    found = [still.observe(Recorder(), 1) for _ in range(2)]
    assert found[0] == found[1] and found[0]['known_points'] > 2
    assert len(asked) == 2 * (FRAMES + FRAMES - 1)  # the first frame of the clip of known motion is that of the video
    assert all(torch.equal(one, other) for one, other in zip(asked[:5], asked[5:]))
    assert not torch.equal(asked[1], asked[3])


def test_labels_and_points_are_counted_as_written():
    ids = label_patches((4, 6), 6)
    assert ids.tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    maps = F.one_hot(ids).permute(2, 0, 1).float()
    assert wrong_labels(maps, ids) == 0
    assert wrong_labels(maps.roll(1, dims=2), ids) == 50  # every second column has the label of its neighbour
    known = torch.zeros(4, 6, dtype=torch.bool)
    assert math.isnan(wrong_labels(maps, ids, known))
    known[0, :2] = True
    assert wrong_labels(maps.roll(1, dims=2), ids, known) == 50
    found = torch.tensor([[3., 4.], [100., 0.], [float('nan'), 0.]])
    assert point_error(found, torch.zeros(3, 2)) == pytest.approx((5 + 20 + 20) / 3)
    assert point_error(found, torch.zeros(3, 2), torch.tensor([True, False, False])) == 5
    assert math.isnan(point_error(found, torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)))


def test_points_of_rendered_clips_are_judged_by_their_truth(seen):
    good, bad = (seen.witnesses.rendered(NETWORKS[name], 0).scores()['ATE'] for name in ('ideal', 'random'))
    assert good < bad


def test_steps_between_two_networks_average_the_statistics_of_their_batch_norms():
    config = dict(type='mmrefine.CorrFlowEncoder', out_channels=8)
    teacher, student, model = (CorrespondenceLearner(config) for _ in range(3))
    frames = torch.rand(2, 3, 16, 24)
    for network, steps in ((teacher, 1), (student, 3)):
        network.train()
        for _ in range(steps):
            network.estimator(frames)
    ends = [network.estimator.state_dict() for network in (teacher, student)]
    half = mixed_state(*ends, 0.5)
    name = 'layers.0.0.bn1.running_var'
    assert torch.allclose(half[name], (ends[0][name] + ends[1][name]) / 2) and bool((half[name] > 0).all())
    assert int(half['bn1.num_batches_tracked']) == 3
    whole = mixed_state(*ends, 1.)
    model.estimator.load_state_dict(whole)
    model.eval(), student.eval()
    with torch.no_grad():
        assert torch.equal(model.encode(frames), student.encode(frames))
        model.estimator.load_state_dict(half)
        between = model.encode(frames)
    assert bool(between.isfinite().all()) and not torch.equal(between, student.encode(frames))


def test_another_kind_of_network_is_refused(video):
    with pytest.raises(ConfigError, match='such as a CorrespondenceLearner, got SimpleNamespace'):
        FeatureWitnesses().prepare(video, SimpleNamespace(), 'cpu', 0, lambda line: None)
    for name, value in (('warps', 0), ('pairs', 1), ('labels', 1), ('pace', -1.)):
        with pytest.raises(ConfigError, match=f'FeatureWitnesses.{name}'):
            FeatureWitnesses(**{name: value})

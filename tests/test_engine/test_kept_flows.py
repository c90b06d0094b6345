"""The motion that a network was judged by is kept for the pictures, and the network is not asked again."""
from collections import Counter

import numpy as np
import pytest
import torch
from small_runs import small_model

from mmrefine.engine import judge
from mmrefine.engine.judging.kept_flows import KeptFlows, resized, small_size
from mmrefine.engine.judging.pictures import ReportPictures
from mmrefine.fileio.images import read_image
from mmrefine.models import FlowRefiner
from mmrefine.report import PairChange
from mmrefine.structures import FlowSample


class Counting:
    """Sees a motion that differs from pair to pair, told by the brightness of frame 1; counts what it is asked."""
    accepts_flow_init = False

    def __init__(self, factor):
        self.factor, self.asked = factor, Counter()

    def estimate(self, frames1, frames2, flow_init=None):
        for frame in frames1:
            self.asked[round(255 * float(frame.mean()))] += 1
        flow = torch.zeros(len(frames1), 2, *frames1.shape[-2:])
        flow[:, 0] = self.factor * 255 * frames1.mean(dim=(1, 2, 3)).view(-1, 1, 1)
        return [flow]


class Video:
    """Grey frames, frame i as bright as 2 i + 2."""

    def __init__(self, pairs, size=(30, 660), truth=False):
        self.frame_size = size
        self.pairs = [dict(scene='a', key=f'a/{i}', truth='x' if truth else None) for i in range(pairs)]

    def __len__(self):
        return len(self.pairs)

    def size(self, scene):
        return self.frame_size

    def __getitem__(self, i):
        sample = FlowSample(metainfo=dict(key=self.pairs[i]['key'], scene='a'))
        if self.pairs[i]['truth']:
            sample.flow, sample.weight = torch.zeros(2, *self.frame_size), torch.ones(1, *self.frame_size)
        frames = torch.tensor([2 * i + 2, 2 * i + 4], dtype=torch.uint8).view(2, 1, 1, 1)
        return dict(inputs=frames.expand(2, 3, *self.frame_size).clone(), data_samples=sample)


@pytest.mark.parametrize('truth', [False, True])
def test_pictures_and_video_ask_no_network_again_and_are_the_same(tmp_path, truth):
    data, changed = Video(7, truth=truth), [PairChange(1, 'a', 1., .5), PairChange(6, 'a', 1., 2.)]
    networks = Counting(.1), Counting(.2)
    kept = KeptFlows([0, 6]), KeptFlows([0, 6])
    for network, flows in zip(networks, kept):
        judge(network, data, seen=flows.keep)
    asked = [Counter(network.asked) for network in networks]
    names = {}
    for folder, known in (('again', None), ('kept', kept)):
        pictures = ReportPictures(tmp_path / folder, 'g', data, *networks, 'cpu', kept=known)
        drawn = pictures.draw(2, changed)
        pictures.draw_clip(5, lambda line: None)
        names[folder] = [sheet['path'] for sheet in drawn.sheets] + [
            drawn.pairs[i][part] for i in (1, 6) for part in ('frame', 'flow_before', 'flow_after')]
        new = [network.asked - before for network, before in zip(networks, asked)]
        asked = [Counter(network.asked) for network in networks]
        if folder == 'again':  # even so each pair is asked once
            assert all(set(one.values()) == {1} and len(one) == 6 for one in new)
    assert new == [Counter(), Counter()] and names['kept'] == names['again'] and len(names['kept']) == 8
    for name in names['kept']:
        one, other = (read_image(tmp_path / folder / name).astype(int) for folder in ('again', 'kept'))
        assert one.shape == other.shape and np.abs(one - other).max() <= 1  # float16 may round a colour


def test_the_motion_of_a_pair_is_its_own(tmp_path):
    data, kept = Video(5, size=(8, 16)), KeptFlows()
    judge(Counting(.5), data, batch_size=2, seen=kept.keep)
    assert [float(kept.get(i, (8, 16)).max()) for i in range(5)] == [i + 1. for i in range(5)]


def test_what_is_kept_whole_is_kept_to_the_bit_and_the_rest_at_640_px():
    flow = torch.randn(2, 300, 1000, generator=torch.Generator().manual_seed(0)) * 30
    kept = KeptFlows(whole=[3])
    for index in (3, 4):
        kept.keep(index, flow)
    whole = flow.permute(1, 2, 0).numpy()
    assert np.array_equal(kept.get(3, (300, 1000)), whole) and kept.get(4, (300, 1000)) is None
    small, size = kept.get(4, (192, 640)), small_size((300, 1000), 480)
    assert small.dtype == np.float32 and size == (144, 480) and kept.get(4, size).shape == (144, 480, 2)
    np.testing.assert_allclose(small, resized(whole, (192, 640)), rtol=1e-3, atol=1e-6)  # half of 2^-10, and more


def test_no_more_is_kept_than_fits():
    flow, kept = torch.ones(2, 10, 20), KeptFlows(most_bytes=2000)  # 800 bytes in float16
    for index in range(3):
        kept.keep(index, flow)
    assert [kept.get(index, (10, 20)) is not None for index in range(3)] == [True, True, False]
    kept.keep(0, 2 * flow)
    assert kept.get(0, (10, 20)).max() == 1  # a pair is judged once


def test_motion_that_float16_cannot_hold_stays_far_and_unknown_motion_unknown():
    kept = KeptFlows()
    kept.keep(0, torch.tensor([1e9, float('nan')]).view(2, 1, 1))
    assert kept.get(0, (1, 1))[0, 0, 0] > 5e4 and np.isnan(kept.get(0, (1, 1))[0, 0, 1])


def test_a_frame_that_neighbours_share_is_encoded_once_and_the_scores_stay(monkeypatch):
    torch.manual_seed(0)
    refiner = FlowRefiner(**{key: value for key, value in small_model().items() if key != 'type'}).eval()
    data, encoded = Video(3, size=(64, 72)), []
    encoder = type(refiner.estimator.encoder)
    plain = judge(Plain(refiner), data).results
    original = encoder.forward
    monkeypatch.setattr(encoder, 'forward', lambda self, frames: encoded.append(len(frames)) or original(self, frames))
    found = judge(refiner, data).results
    assert encoded == [1] * 2 * 4  # of each frame its features and its context
    for (_, _, ours), (_, _, theirs) in zip(found, plain):
        assert ours.scores() == pytest.approx(theirs.scores(), rel=1e-4) and ours.motion_sum > 0


class Plain:
    """A network that can only be asked one way at a time."""
    accepts_flow_init = False

    def __init__(self, refiner):
        self.refiner = refiner

    def estimate(self, frames1, frames2, flow_init=None):
        return self.refiner.plain_flows(frames1, frames2)

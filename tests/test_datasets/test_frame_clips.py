from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.datasets import FrameClips
from mmrefine.datasets.transforms import LoadTracks, LoadTrackTruth
from mmrefine.errors import ConfigError, InputError, LabelStoreError
from mmrefine.fileio import write_image
from mmrefine.fileio.codecs.tracks import write_tracks
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.structures import Tracks

SIZE = (20, 24)


@pytest.fixture
def video(tmp_path):
    for scene, count in (('a', 30), ('b', 17)):
        for number in range(count):
            write_image(tmp_path / 'frames' / scene / f'{number:04d}.png', np.full((*SIZE, 3), number, np.uint8))
    return tmp_path / 'frames'


def numbers(data):
    return [(clip['scene'], clip['numbers'][0], clip['stride']) for clip in data.clips]


def test_clips_tile_each_scene_or_are_as_far_apart_as_asked(video):
    assert numbers(FrameClips(video)) == [('a', 0, 1), ('a', 8, 1), ('a', 16, 1), ('b', 0, 1), ('b', 8, 1)]
    assert numbers(FrameClips(video, stride=2)) == [('a', 0, 2), ('b', 0, 2)]
    assert numbers(FrameClips(video, frames=3, stride=(1, 4), spacing=8)) == [
        ('a', 0, 1), ('a', 8, 1), ('a', 16, 1), ('a', 24, 1), ('a', 0, 4), ('a', 8, 4), ('a', 16, 4),
        ('b', 0, 1), ('b', 8, 1), ('b', 0, 4), ('b', 8, 4)]
    clip = FrameClips(video, stride=2)[1]
    assert [int(frame[0, 0, 0]) for frame in clip['frames']] == list(range(0, 16, 2))
    assert clip['key'] == 'b/0000__0014@2' and clip['size'] == SIZE
    unit = FrameClips(video, stride=2).units[1]
    assert unit.frames == tuple(range(0, 16, 2)) and unit.names[-1] == '0014' and unit.key == clip['key']


def test_no_clip_reaches_across_a_gap_or_a_corrupt_frame(video):
    (video / 'a' / '0005.png').unlink()
    assert numbers(FrameClips(video, scenes='a', spacing=4)) == [('a', 8, 1), ('a', 12, 1), ('a', 16, 1), ('a', 20, 1)]
    skipping = FrameClips(video, scenes='b', spacing=1, skip=dict(b=['0008']))
    assert numbers(skipping) == [('b', 0, 1), ('b', 9, 1)]


@pytest.mark.parametrize('spacing', [None, 1, 3])
def test_no_frame_is_learned_from_and_judged_by(video, spacing):
    rest, held = (FrameClips(video, spacing=spacing, held_out=0.2, held=held) for held in (False, True))
    sides = [{(clip['scene'], number) for clip in data.clips for number in clip['numbers']} for data in (rest, held)]
    assert all(sides) and not sides[0] & sides[1]


def test_true_tracks_are_those_seen_at_the_start_of_the_clip(video, tmp_path):
    points = torch.arange(30.)[None, :, None].expand(4, 30, 2).clone()
    visible = torch.ones(4, 30)
    points[1, :10] = float('nan')  # begins later
    visible[1, :10] = visible[2, 8] = 0
    queries = torch.tensor([[0., 0, 0], [10, 10, 10], [0, 0, 0], [0, 0, 0]])
    write_tracks(tmp_path / 'tracks' / 'a.npz', Tracks(points, visible, queries, SIZE))
    data = FrameClips(video, scenes='a', truth_root=tmp_path / 'tracks', pipeline=[LoadTrackTruth()])
    assert [len(clip['tracks']) for clip in data] == [3, 2, 4]
    assert data[1]['tracks'][0, :, 0].tolist() == list(range(8, 16)) and data[1]['visible'].dtype == bool
    with pytest.raises(InputError, match='no true tracks for this clip'):
        FrameClips(video, scenes='b', truth_root=tmp_path / 'tracks', pipeline=[LoadTrackTruth()])[0]


def test_labels_come_from_the_store_of_these_frames(video, tmp_path):
    data = FrameClips(video, scenes='b', pipeline=[LoadTracks()])
    store = LabelStore(tmp_path / 'labels', dict(kind='tracks'))
    store.create()
    for number, unit in enumerate(data.units):
        label = Tracks(torch.full((number, 8, 2), 3.5), torch.ones(number, 8), torch.zeros(number, 3), SIZE)
        store.write(unit.key, label, dict(kept=1.))
    store.finish([unit.key for unit in data.units])
    data.set_labels(tmp_path / 'labels')
    assert [len(clip['tracks']) for clip in data] == [0, 1] and data[1]['visible'].all()
    with pytest.raises(ConfigError, match='LoadTracks has no label store'):
        FrameClips(video, scenes='b', pipeline=[LoadTracks()])[0]
    other = FrameClips(video, scenes='a', pipeline=[LoadTracks(tmp_path / 'labels')])
    with pytest.raises(LabelStoreError, match='no label for a/0000'):
        other[0]


@pytest.mark.parametrize('settings, sentence', [
    (dict(frames=1), 'FrameClips.frames'), (dict(stride=0), 'stride must be a whole number'),
    (dict(spacing=0), 'spacing')])
def test_numbers_that_cannot_be_meant_are_refused(video, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FrameClips(video, **settings)


def test_a_scene_without_a_whole_clip_is_named_and_not_lost(video):
    for number in range(4, 30, 5):
        (video / 'a' / f'{number:04d}.png').unlink()
    with pytest.raises(InputError, match='scene a has no 8 frames in a row without a gap'):
        FrameClips(video)
    assert numbers(FrameClips(video, hold_out='a')) == [('b', 0, 1), ('b', 8, 1)]


def test_a_scene_that_is_shorter_than_a_clip_is_named(video):
    with pytest.raises(InputError, match='scene b has 17 frames, and a clip of 8 frames with stride=3 needs 22'):
        FrameClips(video, stride=3)

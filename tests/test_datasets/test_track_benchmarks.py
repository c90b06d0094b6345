"""Benchmarks of tracks, in the layouts in which they are downloaded."""
from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from track_trees import FRAMES, SIZE, badja_tree, crohd_tree, davis, horse_tree, picture, row, tapvid_file

from mmrefine.datasets import (BadjaClips, CroHDClips, CroHDFrames, Horse30Clips, Horse30Frames, TapVidClips,
                               TapVidFrames)
from mmrefine.errors import ConfigError, InputError
from mmrefine.evaluation import TapVidMetric
from mmrefine.fileio import write_tapvid
from mmrefine.fileio.annotations.interest_points import read_interest_points, write_interest_points
from mmrefine.structures import Tracks


@pytest.fixture
def crohd(tmp_path):
    return crohd_tree(tmp_path)


def test_the_columns_of_crohd_have_their_heads_and_no_clip_comes_twice(crohd):
    data = CroHDClips(crohd, resize=None)
    assert [(clip['key'], clip['numbers']) for clip in data.clips] == [
        ('HT21-01/000001__000022@3', tuple(range(0, 24, 3))), ('HT21-01/000025__000046@3', tuple(range(24, 48, 3)))]
    assert data.left_out == 1 and data.heads_outside == 1 and data.metainfo['left_out'] == 1
    first, second = (item['data_samples'] for item in data)
    # heads 1 and 6: 6 is hidden in frames that the clip does not have
    assert first.points[:, 0].tolist() == [[10, 30], [10, 30]] and second.points[:, 0].tolist() == [[10, 40]]
    assert first.points[0, :, 0].tolist() == [10 + 6 * t for t in range(8)]
    assert bool(first.visible.all()) and bool(first.weight.all()) and first.scene == 'HT21-01'
    occluded = CroHDClips(crohd, 'occ', resize=None)
    assert len(occluded) == 1 and occluded.left_out == 2
    sample = occluded[0]['data_samples']
    assert sample.points[:, 0].tolist() == [[10, 20]]
    assert sample.visible[0].tolist() == [1, 1, 1, 1, 0, 1, 1, 1] and bool(sample.weight.all())
    assert [int(frame[0, 0, 0]) for frame in data[1]['inputs']] == list(range(25, 49, 3))


def test_motion_and_number_of_heads_are_bounded_in_px_of_the_original_frames(crohd):
    assert len(CroHDClips(crohd, motion=139.9, resize=None)[0]['data_samples'].points) == 3
    # 28 * 6 px, which are not more than 168, whatever the size of the resized frames
    with pytest.raises(InputError, match='none of 3 clips'):
        CroHDClips(crohd, motion=168., resize=(120, 180))
    assert [len(item['data_samples'].points) for item in CroHDClips(crohd, most=1, resize=None)] == [1, 1]


def test_frames_and_points_are_resized_together(crohd):
    item = CroHDClips(crohd, resize=(30, 180))[0]
    assert item['inputs'].shape == (8, 3, 30, 180) and item['data_samples'].size == (30, 180)
    # the centre of the pixel 10 is 10.5 px from the edge
    assert item['data_samples'].points[0, 0].tolist() == [2 * 10.5 - 0.5, 30.5 / 2 - 0.5]
    assert CroHDClips(crohd)[0]['inputs'].shape == (8, 3, 768, 1280)


def test_the_frames_to_learn_from_are_the_clips_of_the_same_scenes(crohd):
    data = CroHDFrames(crohd, reading=dict(resize=(32, 48)))
    assert [clip['key'] for clip in data.clips] == [
        'HT21-01/000001__000022@3', 'HT21-01/000025__000046@3', 'HT21-02/000001__000022@3']
    assert data.clips[1]['numbers'] == tuple(range(24, 48, 3)) and data[0]['frames'][0].shape == (32, 48, 3)
    assert CroHDFrames(crohd, scenes='HT21-02').scene_names == ['HT21-02']


def test_heads_become_points_of_interest_of_these_frames(crohd, tmp_path):
    count = write_interest_points(tmp_path / 'heads.csv', CroHDClips(crohd, resize=(120, 180)).points_of_interest())
    found = read_interest_points(tmp_path / 'heads.csv')
    assert count == 16  # two heads at one place count once
    assert found.of('HT21-01', 24).tolist() == [[20.5, 80.5]] and not len(found.of('HT21-01', 1))


def test_what_is_wrong_with_crohd_is_named(crohd):
    labels = crohd / 'HT21Labels/train/HT21-01/gt/gt.txt'
    before = labels.read_text()
    labels.write_text(before + '3,9,1,2,3\n')
    with pytest.raises(InputError, match=f'gt.txt: line {before.count(chr(10)) + 1} must be frame,id'):
        CroHDClips(crohd)
    labels.write_text(before + row(51, 1, 20, 20) + '\n')
    with pytest.raises(InputError, match='has boxes in frame 51, and .*img1 has 50 frames'):
        CroHDClips(crohd)
    with pytest.raises(InputError, match='HT21-02.*has 30 frames, and a clip of 8 frames with stride=4 takes 32'):
        CroHDClips(crohd, scenes='HT21-02', stride=4)
    with pytest.raises(InputError, match='none of 1 clips has a head'):
        CroHDClips(crohd, scenes='HT21-02')
    with pytest.raises(ConfigError, match="scenes names 'HT21-05'"):
        CroHDClips(crohd, scenes='HT21-05')
    with pytest.raises(ConfigError, match='CroHDClips.column'):
        CroHDClips(crohd, column='all')
    (crohd / 'HT21/train/HT21-02/img1/000007.png').unlink()
    with pytest.raises(InputError, match='000008.png is where 000007.png should be'):
        CroHDClips(crohd, scenes='HT21-02')
    labels.unlink()
    with pytest.raises(InputError, match='gt.txt: cannot be opened'):
        CroHDClips(crohd, scenes='HT21-01')
    with pytest.raises(InputError, match='train: cannot be listed'):
        CroHDClips(crohd / 'none')
    with pytest.raises(InputError, match='val: cannot be listed'):
        CroHDFrames(crohd, split='val')


# ---- Horse-30

@pytest.fixture
def horses(tmp_path):
    return horse_tree(tmp_path)


def test_the_joints_of_a_clip_are_seen_at_its_start_and_often_enough(horses):
    data = Horse30Clips(horses, resize=None)
    assert [(clip['key'], len(clip['tracks'].points)) for clip in data.clips] == [
        ('Brownie/0001__0141@4', 2), ('Brownie/1061__1201@4', 3)]
    assert data.too_short == ['Foal'] and data.left_out == 0
    first, second = (item['data_samples'] for item in data)
    assert first.points[0, :, 0].tolist() == [20 + t for t in range(8)]  # every fourth frame
    assert first.visible[1].tolist() == first.weight[1].tolist() == [1, 1, 0, 1, 1, 1, 1, 1]  # frame 8 of 32
    assert second.points[:, 0].tolist() == [[28, 30], [28, 40], [8, 52]]
    assert [int(frame[0, 0, 0]) for frame in data[0]['inputs']] == list(range(0, 32, 4))
    assert data.clips[1]['numbers'] == tuple(range(32, 64, 4))


def test_the_number_of_joints_is_bounded_and_frames_have_the_size_of_refine(horses):
    data = Horse30Clips(horses, most=3)
    assert [len(item['data_samples'].points) for item in data] == [2, 1]
    assert len(Horse30Clips(horses, most=2)) == 1
    item = data[0]
    assert item['inputs'].shape == (8, 3, 256, 448)
    wanted = [20.5 * 448 / 90 - .5, 30.5 * 256 / 60 - .5]
    np.testing.assert_allclose(item['data_samples'].points[0, 0], wanted, rtol=1e-6)


def test_the_frames_of_a_horse_follow_one_another_whatever_their_numbers(horses):
    data = Horse30Frames(horses, scenes='Brownie')
    assert [clip['numbers'] for clip in data.clips] == [clip['numbers'] for clip in Horse30Clips(horses).clips]
    with pytest.raises(InputError, match='scene Foal has 20 frames'):
        Horse30Frames(horses)
    with pytest.raises(InputError, match='annotations/labeled-data: cannot be listed'):
        Horse30Frames(horses / 'annotations')


def test_what_is_wrong_with_the_horses_is_named(horses):
    with pytest.raises(InputError, match='all of 1 horses have fewer than 32 annotated frames'):
        Horse30Clips(horses, scenes='Foal')
    with pytest.raises(ConfigError, match="scenes names 'Horse'"):
        Horse30Clips(horses, scenes='Horse')
    (horses / 'labeled-data/Brownie/0006.png').unlink()
    with pytest.raises(InputError, match='Brownie/0006.png: there is no such frame, which is annotated'):
        Horse30Clips(horses)
    path = horses / 'annotations/horse10-train-split1.json'
    record = json.loads(path.read_text())
    record['images'][4]['file_name'] = '0244.png'
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="picture '0244.png' without the folder of its horse"):
        Horse30Clips(horses)
    with pytest.raises(InputError, match='none: cannot be opened'):
        Horse30Clips(horses, horses / 'none')
    del record['annotations']
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match='split1.json: .*its "annotations" is missing'):
        Horse30Clips(horses)


# ---- TAP-Vid

@pytest.fixture
def tapvid(tmp_path):
    return tapvid_file(tmp_path)


def test_first_asks_for_each_point_once_and_strided_for_all_in_every_fifth_frame(tapvid):
    source = davis()['goat']
    visible = ~source['occluded']
    pixels = source['points'] * (90, 60) - 0.5
    data = TapVidClips(tapvid)
    assert [clip['scene'] for clip in data.clips] == ['cows', 'goat'] and data.points_left_out == 2
    sample = TapVidClips(tapvid, scenes='goat')[0]['data_samples']
    begins = visible[1:].argmax(axis=1)
    assert sample.query_mode == 'first' and sample.queries[:, 0].tolist() == begins.tolist()
    np.testing.assert_allclose(sample.queries[:, [2, 1]], pixels[np.arange(1, 5), begins], atol=1e-4)
    strided = TapVidClips(tapvid, 'strided', 'goat')[0]['data_samples']
    wanted = [(t, n) for t in range(0, FRAMES, 5) for n in range(1, 5) if visible[n, t]]
    assert strided.queries[:, 0].tolist() == [t for t, _ in wanted]
    for (t, n), points, seen, weight in zip(wanted, strided.points, strided.visible, strided.weight):
        np.testing.assert_allclose(points[visible[n]], pixels[n][visible[n]], atol=1e-4)
        assert seen.tolist() == visible[n].tolist()
        assert weight.tolist() == [bool(visible[n, k]) and k != t for k in range(FRAMES)]
    assert bool((data[0]['inputs'][0, :, :8, :8] == FRAMES - 1).all())


@pytest.mark.parametrize('resize', [None, (256, 256), (96, 128), ((32, 32), (96, 128))])
def test_scores_are_given_on_the_official_raster_whatever_the_size(tapvid, resize):
    item = TapVidClips(tapvid, 'strided', 'goat', resize=resize)[0]
    last = SIZE if resize is None else resize[-1]
    sample, wanted = item['data_samples'], resize if isinstance(last, int) else last
    assert sample.size == tuple(item['inputs'].shape[-2:]) == wanted
    source, visible = davis()['goat'], sample.visible.numpy() > 0
    fractions = (sample.points.numpy() + 0.5) / (wanted[1], wanted[0])
    every = {tuple(np.round(point, 4)) for point in source['points'].reshape(-1, 2)}
    assert {tuple(np.round(point, 4)) for point in fractions[visible].astype(float)} <= every
    # 1.99 px of the raster to the right
    off = torch.tensor([1.99 * wanted[1] / 256, 0.])
    sample.pred_points, sample.pred_visible = sample.points + off, sample.visible.clone()
    scores = TapVidMetric().judge(sample).scores()
    assert (scores['delta_1'], scores['delta_2'], scores['OA']) == (0, 100, 100)


def test_npz_files_and_folders_of_them_are_read_too(tmp_path):
    points = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0)) * 50
    tracks = Tracks(points, torch.ones(3, 4), torch.zeros(3, 3), SIZE)
    for name in ('one', 'two'):
        write_tapvid(tmp_path / f'{name}.npz', tracks, np.stack([picture(t) for t in range(4)]))
    assert [clip['scene'] for clip in TapVidClips(tmp_path).clips] == ['one', 'two']
    sample = TapVidClips(tmp_path / 'two.npz')[0]['data_samples']
    np.testing.assert_allclose(sample.points, points, atol=1e-4)
    write_tapvid(tmp_path / 'bare.npz', tracks)
    with pytest.raises(InputError, match="bare.npz: video 'bare' has points and no frames"):
        TapVidClips(tmp_path)


def test_the_frames_to_learn_from_are_those_of_the_file(tapvid):
    data = TapVidFrames(tapvid, frames=4, stride=2)
    assert [clip['key'] for clip in data.clips] == ['cows/00000__00006@2', 'goat/00000__00006@2']
    assert [int(frame[0, 0, 0]) for frame in data[1]['frames']] == [0, 2, 4, 6]
    small = TapVidFrames(tapvid, frames=4, scenes='goat', reading=dict(resize=(32, 48)))
    assert len(small) == 3 and small[0]['frames'][0].shape == (32, 48, 3)
    assert set(data.digests()) == {'cows', 'goat'} and data.digests()['goat'] != data.digests()['cows']
    assert small.digests()['goat'] != data.digests()['goat']
    with pytest.raises(InputError, match='scene cows has 12 frames, and a clip of 8 frames with stride=2 needs 15'):
        TapVidFrames(tapvid, stride=2)


def test_what_is_wrong_with_a_file_of_tap_vid_is_named(tapvid, tmp_path):
    def found(points, occluded, **more):
        path = tmp_path / f'{len(list(tmp_path.iterdir()))}.pkl'
        path.write_bytes(pickle.dumps(dict(goat=dict(davis(points, occluded)['goat'], **more))))
        return TapVidClips(path)

    seen = np.zeros((2, 4), bool)
    points = np.full((2, 4, 2), 0.5)
    points[1, 0, 0] = 1.000001  # by rounding
    assert found(points, seen)[0]['data_samples'].queries[1, 2] == 89.5
    points[1, 0, 0] = 1.2
    with pytest.raises(InputError, match="video 'goat' asks in frame 0 for the point x 107.5, y 29.5, .* outside"):
        found(points, seen)
    points[1, 0, 0] = np.nan
    with pytest.raises(InputError, match='pkl: .*goat.*are not numbers'):
        found(points, seen)
    occluded = seen.copy()
    occluded[1, 0] = True  # where it is not seen, nothing is asked of it
    assert bool(found(points, occluded)[0]['data_samples'].points.isfinite().all())
    with pytest.raises(InputError, match='none of 1 clips has a point that is seen'):
        found(points, ~seen)
    with pytest.raises(InputError, match='it must be uint8'):
        found(points, occluded, video=np.zeros((4, 60, 90, 3)))
    with pytest.raises(InputError, match='none.pkl: there is no such file'):
        TapVidClips(tmp_path / 'none.pkl')
    with pytest.raises(ConfigError, match='TapVidClips.query_mode'):
        TapVidClips(tapvid, 'last')
    with pytest.raises(ConfigError, match='TapVidClips.resize'):
        TapVidClips(tapvid, resize=(256, 256, 3))


# ---- BADJA

@pytest.fixture
def badja(tmp_path):
    return badja_tree(tmp_path)


def test_joints_are_tracks_from_where_they_are_first_seen(badja):
    data = BadjaClips(badja, badja / 'joints')
    assert [clip['scene'] for clip in data.clips] == ['bear']
    sample = data[0]['data_samples']
    wanted = [[0, 6, 45], [5, 30, 9], [0, 29.5, 44.5]]  # the third is never seen
    np.testing.assert_allclose(sample.queries, wanted, atol=1e-5)
    assert sample.visible.tolist() == sample.weight.tolist() == [
        [1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]
    assert sample.masks.shape == (6, *SIZE) and int(sample.masks.sum()) == 6 * 100
    half = BadjaClips(badja, badja / 'joints', resize=(30, 45))[0]
    assert half['inputs'].shape == (6, 3, 30, 45) and int(half['data_samples'].masks.sum()) == 6 * 25
    np.testing.assert_allclose(half['data_samples'].queries[0], [0, 6.5 / 2 - 0.5, 45.5 / 2 - 0.5], atol=1e-5)


def test_what_is_wrong_with_badja_is_named(badja):
    entries = json.loads((badja / 'joints/bear.json').read_text())
    entries[0]['joints'][0] = [1200., 960.]
    (badja / 'joints/bear.json').write_text(json.dumps(entries))
    with pytest.raises(InputError, match='bear.json: joint 0 is first seen at x 45, y 66.6667, outside of the frame'):
        BadjaClips(badja, badja / 'joints')[0]
    (badja / 'joints/bear.json').unlink()
    with pytest.raises(InputError, match='joints: has no <video>.json of the 2 videos'):
        BadjaClips(badja, badja / 'joints')

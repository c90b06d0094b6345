"""Tracks made elsewhere become labels after the same checks, and what does not fit is one sentence."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mmrefine.engine import label_fingerprint, make_labels
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import LabelStore, write_tapvid, write_tracks
from mmrefine.labeling import TrackLabeler
from mmrefine.registry import DATASETS, TEACHERS
from mmrefine.structures import GivenTracks, Tracks
from mmrefine.synthetic import exact_tracks, write_clips

SEED, COUNT, SIZE, SCENE = 7, 10, (64, 96), 'target_0007'
CYCLE = dict(type='TrackCycleFilter', threshold=1.5)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world')
    write_clips(root, (SEED, ), COUNT, SIZE, 'target')
    return root


def clips(world, **settings):
    return DATASETS.build(dict(dict(type='FrameClips', data_root=str(world / 'frames'), frames=4, spacing=3),
                               **settings))


def true_tracks(step=16, first=0):
    """Exact tracks of a grid of frame ``first``."""
    y, x = (part.ravel() for part in np.mgrid[8:SIZE[0]:step, 8:SIZE[1]:step])
    queries = np.stack([np.full_like(x, first), y, x], axis=1).astype(np.float32)
    points, visible = exact_tracks(SEED, queries, COUNT, SIZE, 'target')
    return Tracks(torch.from_numpy(points), torch.from_numpy(visible).float(), torch.from_numpy(queries), SIZE)


def changed(tracks, **parts):
    return Tracks(**{**{name: getattr(tracks, name) for name in ('points', 'visible', 'queries', 'size')}, **parts})


def teacher_of(there, back=None):
    return TEACHERS.build(dict(type='StoredTracks', there=str(there), back=None if back is None else str(back))).frozen(
        nn.Linear(1, 1))


def labels_of(teacher, filters, data, root, **settings):
    labeler = TrackLabeler(None, None, filters, **settings)
    store = LabelStore(root, label_fingerprint(teacher, labeler, data, '1'))
    make_labels(teacher, labeler, data, store, log=lambda line: None, min_kept=0.)
    return [(store.read(unit.key), store.stats(unit.key)) for unit in data.units]


def test_labels_hold_the_tracks_that_are_seen_where_the_clip_begins_and_known_to_its_end(world, tmp_path):
    early, late = true_tracks(), true_tracks(first=3)
    late.points[:, :3], late.visible[:, :3] = float('nan'), 0
    both = Tracks(*(torch.cat([getattr(early, name), getattr(late, name)])
                    for name in ('points', 'visible', 'queries')), SIZE)
    both.points[0, 5:], both.visible[0, 5:] = float('nan'), 0
    write_tracks(tmp_path / f'there/{SCENE}.npz', both)
    data = clips(world)
    teacher = teacher_of(tmp_path / 'there')
    assert isinstance(teacher, GivenTracks) and not teacher.has_way_back
    for unit, (label, stats) in zip(data.units, labels_of(teacher, [], data, tmp_path / 'labels')):
        some = list(unit.frames)
        known = both.points[:, some].isfinite().all(dim=2).all(dim=1) & (both.visible[:, some[0]] > 0)
        x, y = both.points[:, some[0]].T
        known &= (x >= 0) & (x <= SIZE[1] - 1) & (y >= 0) & (y <= SIZE[0] - 1)
        assert 10 < int(known.sum()) < len(both.points) == 48
        torch.testing.assert_close(label.points, both.points[known][:, some], rtol=0, atol=1 / 128)
        assert torch.equal(label.visible, both.visible[known][:, some])
        torch.testing.assert_close(label.queries[:, [2, 1]], label.points[:, 0], rtol=0, atol=1 / 128)
        assert (label.queries[:, 0] == 0).all() and stats['queries'] == int(known.sum()) == stats['tracks']
        assert 'cycle_error_median' not in stats


def test_a_way_back_is_checked_like_our_own(world, tmp_path):
    there = true_tracks()
    back = changed(there, points=there.points.clone())
    back.points[3, 1] += 5.
    back.points[4, 2] = float('nan')
    back.visible[4, 2] = 0
    write_tracks(tmp_path / f'{SCENE}.npz', there)
    write_tracks(tmp_path / f'back/{SCENE}.npz', back)
    data = clips(world, spacing=20)
    teacher = teacher_of(tmp_path / f'{SCENE}.npz', tmp_path / 'back')  # a file, and a folder
    (every, _), = labels_of(teacher, [], data, tmp_path / 'every')
    (kept, stats), = labels_of(teacher, [CYCLE], data, tmp_path / 'kept')
    assert len(every.points) == 23 and len(kept.points) == 22  # without the one whose way back is unknown
    assert there.points[3, 0].tolist() not in kept.points[:, 0].tolist()
    assert stats['cycle_error_median'] == 0


@pytest.mark.parametrize('check', [
    dict(type='TrackColorFilter', threshold=10.), dict(type='TrackPatchFilter', threshold=0.7)])
def test_wrong_tracks_in_a_file_without_a_way_back_are_dropped_by_what_the_picture_shows(check, world, tmp_path):
    there = true_tracks(8)
    wrong = torch.arange(len(there.points)) % 2 == 1
    there.points[wrong, 2:] += torch.tensor([14., -9.])
    write_tracks(tmp_path / f'there/{SCENE}.npz', there)
    data, teacher = clips(world, spacing=20), teacher_of(tmp_path / 'there')
    shares = {}
    for name, filters in (('all', []), ('checked', [check])):
        (label, _), = labels_of(teacher, [dict(type='TrackInsideFilter'), *filters], data, tmp_path / name)
        starts = {tuple(point) for point in there.points[wrong, 0].tolist()}
        own = [tuple(point) in starts for point in label.points[:, 0].tolist()]
        shares[name] = (sum(own), len(own) - sum(own))
    assert shares['checked'][0] < 0.15 * shares['all'][0] and shares['checked'][1] > 0.6 * shares['all'][1]


def test_the_layout_of_tap_vid_gives_the_same_labels(world, tmp_path):
    there = true_tracks()
    write_tracks(tmp_path / f'ours/{SCENE}.npz', there)
    (tmp_path / 'tapvid').mkdir()
    write_tapvid(tmp_path / f'tapvid/{SCENE}.npz', there)
    data = clips(world, spacing=20)
    (ours, _), (theirs, _) = (labels_of(teacher_of(tmp_path / name), [], data, tmp_path / f'{name}_labels')[0]
                              for name in ('ours', 'tapvid'))
    torch.testing.assert_close(ours.points, theirs.points, rtol=0, atol=1 / 64)
    assert torch.equal(ours.visible, theirs.visible)


def test_what_numpy_writes_of_the_output_of_cotracker_is_read(world, tmp_path):
    """The lines of docs/tracks.md."""
    truth = true_tracks()
    pred_tracks, pred_visibility = truth.points.transpose(0, 1)[None], (truth.visible > 0.5).T[None]
    H, W = SIZE
    path = tmp_path / f'{SCENE}.npz'
    tracks, visible = pred_tracks[0].transpose(0, 1).cpu().numpy(), pred_visibility[0].T.cpu().numpy()
    queries = np.insert(tracks[:, 0, ::-1], 0, 0, axis=1)
    np.savez(path, tracks=tracks, visible=visible, queries=queries, size=np.int32([H, W]))
    found, _, seen = teacher_of(path).tracks_of(SCENE, (0, 2, 4), SIZE)
    known = truth.visible[:, 0] > 0
    assert torch.equal(found, truth.points[known][:, [0, 2, 4]])
    assert torch.equal(seen, truth.visible[known][:, [0, 2, 4]])


def test_the_digest_is_that_of_the_contents_of_both_files(tmp_path):
    there = true_tracks()
    back = changed(there, points=there.points + 1)
    for name, tracks in (('a', there), ('b', there), ('c', back)):
        write_tracks(tmp_path / f'{name}/{SCENE}.npz', tracks)
    a, b, c, ab, ac = (teacher_of(*(tmp_path / name for name in names)).digest()
                       for names in ('a', 'b', 'c', 'ab', 'ac'))
    assert a == b and len({a, c, ab, ac}) == 4


def test_a_clip_in_which_no_track_begins_is_an_empty_label(world, tmp_path):
    there = true_tracks()
    there.points[:, 5:], there.visible[:, 5:] = float('nan'), 0
    write_tracks(tmp_path / f'there/{SCENE}.npz', there)
    first, second, third = labels_of(teacher_of(tmp_path / 'there'), [], clips(world), tmp_path / 'labels')
    assert len(first[0].points) > 10 and first[1]['kept'] == 1
    assert [len(label.points) for label, _ in (second, third)] == [0, 0] and second[1]['kept'] == 0
    assert first[1].keys() == second[1].keys()


def broken(kind):
    there = true_tracks()
    if kind == 'frames':
        return changed(there, points=there.points[:, :8], visible=there.visible[:, :8])
    if kind == 'size':
        return changed(there, size=(128, 192))
    if kind == 'unknown':
        points = there.points.clone()
        points[:, 2:8] = float('nan')
        return changed(there, points=points, visible=torch.zeros_like(there.visible))
    if kind == 'hidden':
        return changed(there, visible=torch.zeros_like(there.visible))
    return changed(there, **{name: getattr(there, name)[:5] for name in ('points', 'visible', 'queries')})


@pytest.mark.parametrize('way, kind, says', [
    ('there', 'frames', 'has tracks through 8 frames, and scene target_0007 has 10; run the tracker on all frames'),
    ('there', 'size', r'px of frames of 128x192 \(height x width\), and scene target_0007 has 64x96; scale them'),
    ('there', 'unknown', 'no track is seen in the first frame of a clip and known, there and back, in all its frames'),
    ('there', 'hidden', 'no track is seen in the first frame of a clip'),
    ('back', 'frames', 'has 24 tracks through 8 frames, and .* has 24 through 10; the ways back must be those of the'),
    ('back', 'size', 'its tracks are px of frames of 128x192'),
    ('back', 'unknown', 'no track is seen in the first frame of a clip and known, there and back'),
    ('back', 'few', 'has 5 tracks through 10 frames, and .* has 24 through 10'),
])
def test_files_that_do_not_fit_are_one_sentence_before_any_label_is_made(way, kind, says, world, tmp_path):
    for name in ('there', 'back'):
        write_tracks(tmp_path / f'{name}/{SCENE}.npz', broken(kind) if name == way else true_tracks())
    with pytest.raises(InputError, match=says) as caught:
        labels_of(teacher_of(tmp_path / 'there', tmp_path / 'back' if way == 'back' else None), [], clips(world),
                  tmp_path / 'labels')
    assert '\n' not in str(caught.value) and not (tmp_path / 'labels').exists()


def test_files_that_are_missing_or_damaged_are_one_sentence(world, tmp_path):
    (tmp_path / 'empty').mkdir()
    for name, found in (('gone', 'is not there'), ('empty', 'has no tracks')):
        with pytest.raises(InputError, match=f'{name}: {found}; StoredTracks.there is a folder of files <scene>.npz'):
            teacher_of(tmp_path / name)
    write_tracks(tmp_path / 'other/dog.npz', true_tracks())
    data = clips(world)
    with pytest.raises(InputError, match='StoredTracks.there has no tracks of scene target_0007, but of dog; add'):
        labels_of(teacher_of(tmp_path / 'other'), [], data, tmp_path / 'labels')
    (tmp_path / f'other/{SCENE}.npz').write_bytes(b'PK nothing')
    with pytest.raises(InputError, match=f'{SCENE}.npz: cannot be read as tracks'):
        labels_of(teacher_of(tmp_path / 'other'), [], data, tmp_path / 'labels')
    nowhere = np.full((2, COUNT, 2), np.nan)
    np.savez(tmp_path / f'other/{SCENE}.npz', points=nowhere, occluded=np.zeros((2, COUNT), bool))
    with pytest.raises(InputError, match='points that are seen and are not numbers'):
        labels_of(teacher_of(tmp_path / 'other'), [], data, tmp_path / 'labels')
    write_tracks(tmp_path / f'short/{SCENE}.npz', broken('frames'))
    with pytest.raises(InputError, match=r'through 8 frames, and frame 9 \(from 0\) of scene target_0007'):
        teacher_of(tmp_path / 'short').tracks_of(SCENE, (6, 9), SIZE)


def test_settings_that_do_not_fit_the_teacher_are_one_sentence(world, tmp_path):
    write_tracks(tmp_path / f'there/{SCENE}.npz', true_tracks())
    data, teacher = clips(world), teacher_of(tmp_path / 'there')
    with pytest.raises(ConfigError, match='TrackCycleFilter, which needs the way back .*StoredTracks has none; give'):
        labels_of(teacher, [CYCLE], data, tmp_path / 'labels')
    direct = TrackLabeler(dict(type='DirectTracks'), dict(type='GridQueries'))
    store = LabelStore(tmp_path / 'direct', label_fingerprint(teacher, direct, data, '1'))
    with pytest.raises(ConfigError, match='labeler.view and labeler.queries must be None for StoredTracks, whose'):
        make_labels(teacher, direct, data, store, log=lambda line: None)

    class Other:

        def digest(self):
            return 'other'

        def describe(self):
            return {}

        def peak_bytes(self, size, pairs=1):
            return 0

    with pytest.raises(ConfigError, match=r'the teacher \(Other\) brings no tracks of its own; set both'):
        labels_of(Other(), [], data, tmp_path / 'labels')

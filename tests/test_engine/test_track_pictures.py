"""The pictures of the report of a tracker: what is drawn, in which colours, and what the record says of it."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmrefine.engine.judging.pictures import named_pairs, spread_over
from mmrefine.engine.judging.track_pictures import TrackPictures
from mmrefine.engine.judging.track_scores import grid_points
from mmrefine.engine.stage1.examine import label_examiner
from mmrefine.errors import CheckpointError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.images import read_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.labeling import TrackLabeler
from mmrefine.report import PairChange
from mmrefine.structures import LabelUnit, Tracks, TrackSample

SIZE, T = (40, 80), 4
GREEN, YELLOW, RED = (40, 205, 95), (255, 220, 60), (238, 30, 45)
LABELER = dict(type='TrackLabeler', view=dict(type='DirectTracks'), queries=dict(type='GridQueries', step=20, border=8),
               filters=[dict(type='TrackCycleFilter', threshold=1.5), dict(type='TrackInsideFilter'),
                        dict(type='TrackCycleFilter', threshold=0.5)])


class Steady:
    """A tracker whose points move along x, px a frame, and come back so far off."""

    def __init__(self, motion, off=0.):
        self.motion, self.off = motion, off

    def track(self, frames, queries):
        steps = torch.arange(len(frames)).float()
        points = queries[:, None, [2, 1]].repeat(1, len(frames), 1)
        points[..., 0] += self.motion * steps
        return Tracks(points, torch.ones(points.shape[:2]), queries, SIZE)

    def track_both(self, frames, points):
        there = self.track(frames, torch.cat([torch.zeros_like(points[:, :1]), points.flip(1)], dim=1)).points
        back = there.clone()
        back[:, 0, 1] += self.off
        return there, back, torch.ones(there.shape[:2])

    def digest(self):
        return f'{self.motion} {self.off}'


class Clips:
    """Grey clips of two scenes, in which three points truly move by 2 px a frame, unless there is no truth."""

    def __init__(self, scenes='aab', truth=True):
        self.truth = truth
        self.clips = [dict(scene=scene, key=f'{scene}/{i}', truth='x' if truth else None)
                      for i, scene in enumerate(scenes)]
        self.units = [LabelUnit(clip['key'], clip['scene'], tuple(range(T)), tuple(map(str, range(T))))
                      for clip in self.clips]

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, i):
        clip = self.clips[i]
        sample = TrackSample(metainfo=dict(key=clip['key'], scene=clip['scene'], size=SIZE))
        if self.truth:
            first = torch.tensor([[10., 10.], [30., 20.], [50., 30.]])
            sample.points = Steady(2.).track(torch.zeros(T), torch.cat([torch.zeros(3, 1), first.flip(1)], 1)).points
            sample.visible, sample.weight = torch.ones(3, T), torch.ones(3, T)
            sample.weight[2, 1:] = 0
        return dict(inputs=torch.full((T, 3, *SIZE), 100, dtype=torch.uint8), data_samples=sample)


def draw(tmp_path, data, spread=0, indices=(), before=Steady(4.), after=Steady(2.), **more):
    pictures = TrackPictures(tmp_path, 'refined', data, before, after, 'cpu', **more)
    return pictures.draw(spread, [PairChange(i, data.clips[i]['scene'], 1., .5) for i in indices])


def dot(path, x, y):
    """The colour at a place of the last frame, which is eight times as wide in its picture."""
    return tuple(int(value) for value in read_image(path)[int((y + .5) * 8), int((x + .5) * 8)])


def make_store(root, data, teacher='x', labeler='y'):
    store = LabelStore(root, dict(kind='tracks', teacher=teacher, labeler=labeler))
    store.create()
    queries = torch.tensor([[0., 10., 10.]])
    store.write(data.clips[0]['key'], Steady(2.).track(torch.zeros(T), queries), dict(kept=.1))
    store.finish([data.clips[0]['key']])
    return store


def test_both_sides_have_the_same_points_in_the_colours_of_their_errors_beside_the_truth(tmp_path):
    drawn = draw(tmp_path, Clips(), indices=[0])
    one = drawn.pairs[0]
    # 0, 2, 4 and 6 px off: 3 on the mean, and the round scale that holds it
    assert one['full_error'] == 3. and one['error'] == 'mean distance from the true track'
    assert dot(tmp_path / one['tracks_before'], 10 + 3 * 4, 10) == pytest.approx(RED, abs=12)
    assert dot(tmp_path / one['tracks_after'], 10 + 3 * 2, 10) == pytest.approx(GREEN, abs=12)
    # the third point is known in its first frame only, where no tracker is wrong
    assert dot(tmp_path / one['tracks_before'], 50 + 3 * 4, 30) == pytest.approx(GREEN, abs=12)
    assert np.ptp(dot(tmp_path / one['truth'], 16, 10)) > 60 and np.ptp(dot(tmp_path / one['truth'], 56, 30)) < 12
    assert read_image(tmp_path / one['frame']).shape == (320, 640, 3) and 'labels' not in one
    assert 'wheel' not in named_pairs(dict(best=[PairChange(0, 'a', 1., .5)]), drawn)


def test_without_truth_the_colour_is_how_far_a_track_returns_from_where_it_began(tmp_path):
    one = draw(tmp_path, Clips(truth=False), indices=[2], before=Steady(1., 5.), after=Steady(1., 2.5)).pairs[2]
    assert one['full_error'] == 5. and 'truth' not in one and 'ways there and back' in one['error']
    x, y = grid_points(SIZE)[100].tolist()
    assert dot(tmp_path / one['tracks_before'], x + 3, y) == pytest.approx(RED, abs=25)
    assert dot(tmp_path / one['tracks_after'], x + 3, y) == pytest.approx(YELLOW, abs=25)


def test_sheets_are_spread_evenly_in_the_order_of_the_data(tmp_path):
    drawn = draw(tmp_path, Clips('abab'), spread=2)
    assert [sheet['caption'] for sheet in drawn.sheets] == ['refined: a/0', 'refined: b/3'] and drawn.pairs == {}
    assert all(read_image(tmp_path / sheet['path']).shape[1] == 1224 for sheet in drawn.sheets)
    assert spread_over(range(10), 3) == [0, 4, 9] and spread_over([7], 3) == [7] and spread_over([], 3) == []
    assert not draw(tmp_path, Clips(), 0).sheets and not draw(tmp_path, Clips(), 0).clips


def test_a_label_says_how_many_tracks_each_filter_drops_where_its_teacher_can_be_asked_again(tmp_path):
    data, labeler = Clips(), TrackLabeler(**{key: value for key, value in LABELER.items() if key != 'type'})
    teacher = Steady(8., 1.)  # 24 px to the right, back 1 px below
    store = make_store(tmp_path / 'labels', data, teacher.digest(), digest_of(labeler.describe()))
    source = SimpleNamespace(frozen=lambda network: network)
    examine = label_examiner(store, LABELER, source, teacher)
    drawn = draw(tmp_path, data, 2, [0, 1], store=store, examine=examine)
    shown, = drawn.clips
    # points at 8, 28, 48 and 68 px, of which the last one leaves the frame of 80 px
    assert shown['queries'] == 8 and shown['kept'] == 0 and shown['caption'] == 'a/0'
    assert shown['dropped'] == {'TrackCycleFilter': 0, 'TrackInsideFilter': 2, 'TrackCycleFilter 2': 8}
    assert read_image(tmp_path / shown['path']).shape[1] == 1224
    assert 'labels' in drawn.pairs[0] and 'labels' not in drawn.pairs[1]
    # of the six that come back to within 1.5 px and stay inside, more than the label may have
    limited = dict(LABELER, filters=LABELER['filters'][:2], most=1)
    made_by = digest_of(TrackLabeler(**{key: value for key, value in limited.items() if key != 'type'}).describe())
    few = make_store(tmp_path / 'few', data, teacher.digest(), made_by)
    shown, = draw(tmp_path, data, 2, store=few, examine=label_examiner(few, limited, source, teacher)).clips
    assert shown['queries'] == 8 and shown['kept'] == 1
    assert list(shown['dropped'].values()) == [0, 2, 5]  # 8 - 2 - 5 = 1
    # nor of another teacher, of other filters, or of one that is gone
    assert label_examiner(store, LABELER, source, Steady(8., 2.)) is None
    assert label_examiner(store, {**LABELER, 'filters': []}, source, teacher) is None

    def gone(network):
        raise CheckpointError('gone')

    assert label_examiner(store, LABELER, SimpleNamespace(frozen=gone), teacher) is None
    lost = dict(LABELER, queries=dict(type='WindowQueries', points=str(tmp_path / 'gone.csv')))
    assert label_examiner(store, lost, source, teacher) is None


def test_where_the_teacher_cannot_be_asked_only_the_kept_tracks_are_shown(tmp_path):
    data = Clips()
    store = make_store(tmp_path / 'labels', data)
    shown, = draw(tmp_path, data, 1, store=store).clips
    assert shown['kept'] == 1 and 'dropped' not in shown
    (tmp_path / 'labels/a/0.npz').write_bytes(b'half a label')
    drawn = draw(tmp_path, data, 1, [0], store=store)
    assert not drawn.clips and 'labels' not in drawn.pairs[0] and drawn.sheets

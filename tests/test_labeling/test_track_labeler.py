"""Clips become tracks: what is kept, how many, and always the same."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from exact_tracks import FRAMES, SIZE, ExactTracker, render, rotations, translations

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.fileio.digest import digest_of
from mmrefine.labeling import TrackLabeler
from mmrefine.registry import FILTERS, LABELERS, QUERIES, TEACHER_VIEWS
from mmrefine.structures import LabelBatch, LabelUnit, TrackLook

GRID = dict(type='GridQueries', step=8, border=8)
CYCLE = dict(type='TrackCycleFilter', threshold=1.5)


@FILTERS.register_module()
class FloatFilter:

    def __call__(self, look):
        return look.visible.mean(dim=1)


@QUERIES.register_module()
class ThreeNumbers:

    def points(self, frame, scene, number):
        return torch.zeros(4, 3)

    def describe(self):
        return ['three']


@QUERIES.register_module()
class Told:
    """Notes what it is asked for."""
    asked = []

    def points(self, frame, scene, number):
        self.asked.append((tuple(frame.shape), scene, number))
        return torch.tensor([[20., 21.]])

    def describe(self):
        return []


@TEACHER_VIEWS.register_module()
class FewTracks:

    def look(self, teacher, frames, points):
        return TrackLook(frames, *[torch.zeros(2, FRAMES, 2)] * 2, torch.zeros(2, FRAMES))

    def pass_sizes(self, size):
        return []


def labeler(filters=(CYCLE, ), view=dict(type='DirectTracks'), queries=GRID, **settings):
    return LABELERS.build(dict(type='TrackLabeler', view=view, queries=queries, filters=list(filters), **settings))


def batch_of(maps, scenes=('a', ), first=3):
    """The same clip once in each scene, from frame ``first`` on."""
    frames = (render(maps) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    numbers = tuple(range(first, first + FRAMES))
    names = tuple(f'{number:02d}' for number in numbers)
    units = [LabelUnit(f'{scene}/{names[0]}__{names[-1]}@1', scene, numbers, names) for scene in scenes]
    return LabelBatch(units, [dict(zip(numbers, frames))] * len(units), [dict(zip(numbers, names))] * len(units))


def some_drift(scale, there, back, visible):
    back[::2, 1] += [1.6, 0]


@pytest.mark.parametrize('maps', [translations(), rotations()], ids=['translation', 'rotation'])
def test_a_label_holds_the_tracks_that_are_kept_and_counts_them(maps):
    found, = labeler().label(ExactTracker(maps, fault=some_drift), batch_of(maps))
    points = QUERIES.build(GRID).points(torch.zeros(3, *SIZE), 'a', 3)
    kept = points[1::2].double().numpy()
    wanted = np.stack([kept @ one[:, :2].T + one[:, 2] for one in maps], axis=1)
    np.testing.assert_allclose(found.label.points.numpy(), wanted, atol=1e-4)
    assert found.label.queries.tolist() == [[0, y, x] for x, y in kept.tolist()]
    assert found.label.size == SIZE and torch.equal(found.label.visible, torch.ones(len(kept), FRAMES))
    assert found.key == 'a/03__07@1' and found.label.points.dtype == torch.float32
    speeds = [sum(np.hypot(*step) for step in np.diff(track, axis=0)) / FRAMES for track in wanted]
    assert found.statistics == dict(kept=round(len(kept) / len(points), 6), tracks=len(kept), queries=len(points),
                                    cycle_error_median=0., mean_speed=pytest.approx(np.mean(speeds), abs=2e-6))
    assert len(kept) > 10 and json.loads(json.dumps(found.statistics)) == found.statistics


def test_the_median_error_is_that_of_the_tracks_of_the_label():
    def fault(scale, there, back, visible):
        back[:] += [0.75, 1.]
        some_drift(scale, there, back, visible)

    found, = labeler().label(ExactTracker(translations(), fault=fault), batch_of(translations()))
    assert found.statistics['cycle_error_median'] == pytest.approx(1.25, abs=1e-4)


def test_only_what_all_filters_keep_becomes_a_label():
    def fault(scale, there, back, visible):
        back[0, 1] += [9, 0]
        visible[1, 2] = 0.1

    both = [CYCLE, dict(type='TrackVisibilityFilter', least=0.5)]
    maps = translations()
    count = len(QUERIES.build(GRID).points(torch.zeros(3, *SIZE), 'a', 3))
    for filters, kept in (([], count), (both[:1], count - 1), (both[1:], count - 1), (both, count - 2)):
        found, = labeler(filters).label(ExactTracker(maps, fault=fault), batch_of(maps))
        assert len(found.label.points) == kept == found.statistics['tracks']


def test_a_clip_of_which_nothing_is_kept_is_an_empty_label():
    maps = translations()
    still = dict(type='TrackSpeedFilter', least=400.)
    found, = labeler([still], most=4).label(ExactTracker(maps), batch_of(maps))
    assert found.label.points.shape == (0, FRAMES, 2) and found.label.queries.shape == (0, 3)
    assert found.statistics == dict(kept=0., tracks=0., queries=found.statistics['queries'], cycle_error_median=0.,
                                    mean_speed=0.) and found.statistics['queries'] > 10


def test_a_clip_without_points_of_interest_is_not_shown_to_the_teacher(tmp_path):
    (tmp_path / 'points.csv').write_text('scene,frame,x,y\na,3,30,20\n')
    windows = dict(type='WindowQueries', points=str(tmp_path / 'points.csv'), side=6)
    teacher = ExactTracker(translations())
    known, unknown = labeler(queries=windows).label(teacher, batch_of(translations(), ('a', 'b')))
    assert known.statistics['queries'] == 36 and len(known.label.points) == 36 and len(teacher.calls) == 1
    assert unknown.label.points.shape == (0, FRAMES, 2) and unknown.label.visible.shape == (0, FRAMES)
    assert unknown.statistics == dict(kept=0., tracks=0., queries=0., cycle_error_median=0., mean_speed=0.)


def test_at_most_so_many_are_drawn_by_the_key_alone():
    maps, scenes = translations(), ('a', 'b')
    every, _ = labeler([]).label(ExactTracker(maps), batch_of(maps, scenes))
    first, second = labeler([], most=10).label(ExactTracker(maps), batch_of(maps, scenes))
    alone, = labeler([], most=10).label(ExactTracker(maps), batch_of(maps, ('b', )))
    seeded, _ = labeler([], most=10, seed=1).label(ExactTracker(maps), batch_of(maps, scenes))
    assert torch.equal(second.label.points, alone.label.points)
    for found in (first, second, seeded):
        assert found.statistics['kept'] == 1 and found.statistics['tracks'] == 10 == len(found.label.points)
        rows = [every.label.points.tolist().index(track) for track in found.label.points.tolist()]
        assert rows == sorted(set(rows))
    assert not torch.equal(first.label.points, second.label.points)
    assert not torch.equal(first.label.points, seeded.label.points)
    many = labeler([], most=10**6).label(ExactTracker(maps), batch_of(maps))[0].label
    assert torch.equal(many.points, every.label.points)


def test_every_track_has_the_same_chance():
    maps, part = translations(), labeler([], queries=dict(GRID, step=16), most=2)
    queries = QUERIES.build(dict(GRID, step=16)).points(torch.zeros(3, *SIZE), 'a', 3).tolist()
    drawn = [(x, y) for found in part.label(ExactTracker(maps), batch_of(maps, [f's{i}' for i in range(300)]))
             for _, y, x in found.label.queries.tolist()]
    counts = [drawn.count(tuple(query)) for query in queries]
    mean = 600 / len(queries)
    assert sum(counts) == 600 and len(queries) >= 4 and all(0.7 * mean < count < 1.3 * mean for count in counts)


@TEACHER_VIEWS.register_module()
class NewOnTheLeft:
    """A plain pass agrees with the label on the right half of the frame and is 3 px away on the left."""

    def look(self, teacher, frames, points):
        there = points[:, None].expand(-1, len(frames), -1)
        away = torch.where(points[:, 0] < SIZE[1] / 2, 3., 0.)
        plain = there + torch.stack([away, torch.zeros_like(away)], dim=1)[:, None]
        return TrackLook(frames, there, there, torch.ones(there.shape[:2]), plain)

    def pass_sizes(self, size):
        return []


def test_what_is_new_is_drawn_in_proportion_to_its_novelty():
    half, least = 1.5, 0.2  # 3 px: 0.2 + 0.8 * 3 / 4.5 = 0.7333
    part = labeler(filters=(), view=dict(type='NewOnTheLeft'), most=1,
                   balance=dict(type='TrackNovelty', half=half, least=least))
    frames = torch.zeros(FRAMES, 3, *SIZE)
    points = part.queries.points(frames[0], 'a', 0)
    left = points[:, 0] < SIZE[1] / 2
    shares = torch.where(left, 0.2 + 0.8 * 3 / 4.5, 0.2)
    expected = float(shares[left].sum() / shares.sum())
    look = part.view.look(None, frames, points)
    kept = torch.arange(len(points))
    drawn = [bool(left[part._chosen(f'{n}', kept, look)]) for n in range(2000)]
    assert 0.1 < expected < 0.9
    assert sum(drawn) / 2000 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 2000)**0.5)
    assert part.describe()['balance'] == dict(type='TrackNovelty', half=half, least=least)


def test_novelty_without_a_plain_pass_says_what_to_change():
    maps, part = translations(), labeler([], most=1, balance=dict(type='TrackNovelty'))
    with pytest.raises(ConfigError, match='labeler.view makes none .*; give ArbitratedTracks scales'):
        part.label(ExactTracker(maps), batch_of(maps))


@pytest.mark.parametrize('view', [dict(type='DirectTracks', scale=1.5), dict(type='ArbitratedTracks')])
def test_the_same_labels_come_again_whatever_the_batch(view):
    corners = dict(type='TextureQueries', count=40, distance=3, border=4)
    maps, part = rotations(), labeler(view=view, queries=corners, most=6)
    teacher = ExactTracker(maps, fault=some_drift)
    together = part.label(teacher, batch_of(maps, ('a', 'b', 'c')))
    assert [one.key[0] for one in together] == ['a', 'b', 'c'] and len(together[0].label.points) == 6
    assert together[0].statistics['queries'] >= 10
    for one, scene in zip(together, 'abc'):
        alone, = labeler(view=view, queries=corners, most=6).label(teacher, batch_of(maps, (scene, )))
        assert alone.key == one.key and alone.statistics == one.statistics
        for name in ('points', 'visible', 'queries'):
            assert torch.equal(getattr(alone.label, name), getattr(one.label, name))


def test_queries_are_asked_of_the_first_frame_of_the_clip_and_a_clip_may_run_backwards():
    maps, part = translations(), labeler(queries=dict(type='Told'))
    Told.asked.clear()
    batch = batch_of(maps)
    unit = batch.units[0]
    back = LabelUnit('a/07__03@1', 'a', unit.frames[::-1], unit.names[::-1])
    teacher = ExactTracker(maps)
    part.label(teacher, LabelBatch([unit, back], batch.frames * 2, batch.names * 2))
    assert Told.asked == [((3, *SIZE), 'a', 3), ((3, *SIZE), 'a', 7)]
    assert part.keys(unit) == [unit.key] and part.extra_frames(unit, lambda number: True) == []


def test_the_description_names_every_setting_and_the_contents_of_files(tmp_path):
    for name, text in (('one', 'a,0,1,2'), ('two', 'a,0,1,2'), ('other', 'a,0,1,3')):
        (tmp_path / f'{name}.csv').write_text(f'scene,frame,x,y\n{text}\n')
    windows = [dict(type='WindowQueries', points=str(tmp_path / f'{name}.csv')) for name in ('one', 'two', 'other')]
    one, two, other = (labeler(queries=part).describe() for part in windows)
    assert one == two != other and str(tmp_path) not in json.dumps(one)
    contents = one['queries'].pop('contents')
    assert len(contents) == 1 and one == dict(
        type='TrackLabeler', view=dict(type='DirectTracks', scale=1.),
        queries=dict(type='WindowQueries', side=24., border=0.),
        filters=[dict(type='TrackCycleFilter', threshold=1.5, speed_bins=None)], most=None, seed=0)
    digests = {digest_of(labeler(**changed).describe()) for changed in (
        dict(), dict(most=8), dict(seed=1), dict(filters=[]), dict(filters=[dict(CYCLE, threshold=3.)]),
        dict(view=dict(type='DirectTracks', scale=2.)), dict(view=dict(type='ArbitratedTracks')),
        dict(view=dict(type='DirectTracks', stride=1)), dict(view=dict(type='ArbitratedTracks', strides=(None, 1))),
        dict(queries=dict(GRID, step=9)), dict(view=None, queries=None))}
    assert len(digests) == 11
    part = labeler()
    part.describe()['view']['scale'] = 7
    assert part.describe()['view']['scale'] == 1


def test_queries_of_several_sources_are_joined_each_once_and_described_by_contents(tmp_path):
    windows = {}
    for name, text in (('one', 'a,0,21,23'), ('two', 'a,0,21,23'), ('other', 'a,0,22,23')):
        (tmp_path / f'{name}.csv').write_text(f'scene,frame,x,y\n{text}\n')
        windows[name] = dict(type='WindowQueries', points=str(tmp_path / f'{name}.csv'), side=4)
    grid = dict(type='GridQueries', step=10)
    joined = QUERIES.build(dict(type='JoinedQueries', sources=[grid, windows['one']]))
    alone = [QUERIES.build(part).points(torch.zeros(3, *SIZE), 'a', 0).tolist() for part in (grid, windows['one'])]
    found = joined.points(torch.zeros(3, *SIZE), 'a', 0).tolist()
    assert found == alone[0] + [point for point in alone[1] if point not in alone[0]]
    assert len(alone[0]) < len(found) < len(alone[0]) + len(alone[1])  # one of the grid lies in the window
    one, two, other = (labeler(queries=dict(type='JoinedQueries', sources=[grid, windows[name]])).describe()
                       for name in ('one', 'two', 'other'))
    assert one == two != other and str(tmp_path) not in json.dumps(one)
    assert one != labeler(queries=dict(type='JoinedQueries', sources=[dict(grid, step=9), windows['one']])).describe()
    for wrong in ([], None, dict(type='GridQueries')):
        with pytest.raises(ConfigError, match='JoinedQueries.sources must be a list'):
            QUERIES.build(dict(type='JoinedQueries', sources=wrong))


def test_it_says_how_large_a_pass_is_and_what_to_lower():
    part = labeler(view=dict(type='ArbitratedTracks', scales=(1., 1.5)))
    assert part.pass_sizes(SIZE, 4) == [(SIZE, 1), ((72, 96), 1)]
    assert part.memory_settings() == ['labeler.view.scales (now [1.0, 1.5]; another needs a new store)']
    assert labeler().memory_settings() == ['labeler.view.scale (now 1.0; another needs a new store)']


def test_tracks_of_a_view_that_are_not_those_asked_for_are_one_sentence():
    maps = translations()
    with pytest.raises(TeacherError, match=r'the teacher view \(FewTracks\) gave there of shape \(2, 5, 2\), wanted'):
        labeler(view=dict(type='FewTracks')).label(ExactTracker(maps), batch_of(maps))
    with pytest.raises(ValueError, match=r'ThreeNumbers must return points \(N, 2\), got \(4, 3\)'):
        labeler(queries=dict(type='ThreeNumbers')).label(ExactTracker(maps), batch_of(maps))

    def lost(scale, there, back, visible):
        there[3, 2] = np.nan

    with pytest.raises(TeacherError, match='gave there that is nan or infinite in 1 of'):
        labeler().label(ExactTracker(maps, fault=lost), batch_of(maps))


def between_batch(maps, stride=2, skipped=(), first=3, backwards=False):
    """A clip of that stride with the frames between its own, but for those that are skipped."""
    whole = batch_of(maps, first=first)
    images = (render(maps) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    numbers = tuple(range(first, first + len(maps), stride))[::-1 if backwards else 1]
    names = tuple(f'{number:02d}' for number in numbers)
    unit = LabelUnit(f'a/{names[0]}__{names[-1]}@{stride}', 'a', numbers, names)
    part = labeler(view=dict(type='DirectTracks', stride=1))
    extra = part.extra_frames(unit, lambda number: number not in skipped)
    every = [*numbers, *extra]
    return unit, extra, LabelBatch([unit], [{number: images[number - first] for number in every}],
                                   [{number: str(number) for number in every}], whole.device)


@pytest.mark.parametrize('backwards', [False, True])
def test_a_view_at_a_shorter_stride_gets_the_frames_between_those_of_the_clip(backwards):
    maps = translations(count=9)
    unit, extra, batch = between_batch(maps, backwards=backwards)
    assert extra == ([10, 8, 6, 4] if backwards else [4, 6, 8, 10])
    assert labeler().extra_frames(unit, lambda number: True) == []
    shown = [one @ np.array([0., 0., 1.]) for one in maps]
    teacher = ExactTracker(maps[::-1] if backwards else maps)
    found, = labeler([], view=dict(type='DirectTracks', stride=1)).label(teacher, batch)
    assert [shape[0] for shape, _ in teacher.calls] == [9] and found.label.points.shape[1] == 5
    steps = np.diff(np.array(shown[::-1] if backwards else shown)[::2], axis=0)
    np.testing.assert_allclose(np.diff(found.label.points.numpy(), axis=1), np.broadcast_to(
        steps, (len(found.label.points), 4, 2)), atol=1e-4)


def test_frames_in_between_that_cannot_be_used_are_left_out():
    maps = translations(count=9)
    _, extra, batch = between_batch(maps, skipped=(6, ))
    assert extra == [4, 8, 10]
    teacher = ExactTracker(np.delete(maps, 3, axis=0))
    found, = labeler([], view=dict(type='DirectTracks', stride=1)).label(teacher, batch)
    assert teacher.calls[0][0][0] == 8 and found.label.points.shape[1] == 5
    np.testing.assert_allclose(np.diff(found.label.points.numpy(), axis=1)[..., 0], 3., atol=1e-4)


@pytest.mark.parametrize('settings, says', [
    (dict(view=None), "TrackLabeler takes a view and queries, or None for both .* got view=None and queries={'type"),
    (dict(queries=None), "or None for both where the teacher brings tracks of its own .* queries=None"),
    (dict(most=0), 'TrackLabeler.most must be a whole number, at least 1, got 0'),
    (dict(seed=-1), 'TrackLabeler.seed must be a whole number, at least 0, got -1'),
    (dict(view=dict(type='CascadeView')), 'TrackLabeler.view: CascadeView asks for flow; use DirectTracks'),
    (dict(filters=[dict(type='CycleFilter')]), 'CycleFilter is not for tracks .*; use one such as TrackCycle'),
    (dict(filters=[dict(type='FloatFilter')]), r'FloatFilter must return a bool for each track, got torch.float32 of '
                                               r'shape \(2,\) for 2 tracks'),
    (dict(balance=dict(type='Novelty'), most=3), 'TrackLabeler.balance: Novelty is not for tracks .*; use one such as '
                                                 'TrackNovelty'),
    (dict(balance=dict(type='TrackNovelty')), 'TrackLabeler.balance chooses among the kept tracks, so it needs most'),
    (dict(balance=dict(type='TrackNovelty', least=0.), most=3), 'TrackNovelty.least must lie in'),
    (dict(filters=[3]), "TrackLabeler.filters must be a list of dicts, got"),
    (dict(queries=dict(type='TrackCycleFilter')), 'there is no source of queries'),
])
def test_a_wrong_setting_is_one_sentence(settings, says):
    with pytest.raises(ConfigError, match=says) as caught:
        labeler(**settings)
    assert '\n' not in str(caught.value)


def test_it_keeps_the_contract_of_labelers():
    assert TrackLabeler.codec.kind == 'tracks' and TrackLabeler.codec.suffixes == ('.npz', )


def test_what_each_filter_says_of_all_tracks_can_be_asked_and_goes_with_the_label():
    found = labeler([CYCLE, dict(type='TrackInsideFilter'), dict(type='TrackCycleFilter', threshold=0.)])
    maps = translations(2., 1.)
    batch = batch_of(maps)
    frames = render(maps)
    seen = found.examine(ExactTracker(maps), batch.units[0], frames)
    assert list(seen.passed) == ['TrackCycleFilter', 'TrackInsideFilter', 'TrackCycleFilter 2']
    for part, passed in zip(found.filters, seen.passed.values()):
        assert torch.equal(part(seen.look), passed)
    assert torch.equal(seen.kept, torch.stack(list(seen.passed.values())).all(dim=0)) and not seen.kept.any()
    assert torch.equal(seen.points, found.query_points(batch.units[0], frames[0]))
    only = labeler([CYCLE])
    one, = only.label(ExactTracker(maps), batch)
    assert int(only.examine(ExactTracker(maps), batch.units[0], frames).kept.sum()) == len(one.label.points) > 0

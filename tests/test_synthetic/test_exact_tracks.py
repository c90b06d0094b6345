"""Tracks of rendered clips agree with the tracks, the motion and the layers of the clip."""
import numpy as np
import pytest

from mmrefine.synthetic import FOG, SOURCE, TARGET, exact_motion, exact_tracks, random_queries, render_clip

SIZE = (64, 96)
STYLES = pytest.mark.parametrize('style', [SOURCE, TARGET, FOG], ids=lambda s: s.name)


@STYLES
def test_queries_at_the_starts_of_the_clips_own_tracks_give_these_tracks(style):
    clip = render_clip(8, 5, SIZE, style)
    x, y = clip.tracks[0].round().T
    points, visible = exact_tracks(8, np.stack([0 * x, y, x], axis=1), 5, SIZE, style)
    np.testing.assert_array_equal(points, clip.tracks.transpose(1, 0, 2))
    np.testing.assert_array_equal(visible[:, 1:], clip.track_visible[1:].T)
    assert visible[:, 0].all() and not visible.all()


@STYLES
@pytest.mark.parametrize('first, stride, begin', [(0, 1, 0), (2, 3, 1), (1, 2, 3)])
def test_from_any_pixel_of_any_frame_they_lead_where_the_dense_motion_leads(style, first, stride, begin):
    y, x = np.mgrid[:SIZE[0]:3, :SIZE[1]:3]
    queries = np.stack([np.full(x.size, begin), y.ravel(), x.ravel()], axis=1)
    points, visible = exact_tracks(5, queries, 4, SIZE, style, first, stride)
    np.testing.assert_allclose(points[:, begin], queries[:, [2, 1]], atol=1e-3)
    assert visible[:, begin].all()
    shares = []
    for k in range(4):
        flow, seen = exact_motion(5, first + begin * stride, first + k * stride, SIZE, style)
        wanted = np.stack([x, y]) + flow[:, y, x]
        np.testing.assert_allclose(points[:, k].T, wanted.reshape(2, -1), atol=1e-3)
        if k != begin:
            np.testing.assert_array_equal(visible[:, k], seen[0, y, x].ravel())
        shares.append(visible[:, k].mean())
    assert 0.2 < min(shares) < 1


@STYLES
def test_a_visible_point_of_a_track_is_a_query_of_the_same_track(style):
    queries = random_queries(11, 40, 6, SIZE, style)
    queries[:, 1:] += np.random.default_rng(0).uniform(-.4, .4, (40, 2))  # between the pixels
    points, visible = exact_tracks(11, queries, 6, SIZE, style)
    track, frame = np.nonzero(visible)
    assert len(track) > 100
    again = np.stack([frame, *points[track, frame].T[::-1]], axis=1)
    found, seen = exact_tracks(11, again, 6, SIZE, style)
    # an outline within rounding of a point may be answered either way
    same = np.abs(found - points[track]).max(axis=(1, 2)) < 1e-3
    assert (~same).sum() <= 1 and (seen[same] != visible[track[same]]).sum() <= 1
    np.testing.assert_allclose(points[np.arange(40), queries[:, 0].astype(int)], queries[:, [2, 1]], atol=1e-3)


@STYLES
def test_every_second_random_query_is_on_an_object_and_the_others_are_anywhere(style):
    clip = render_clip(2, 5, SIZE, style)
    frame, y, x = random_queries(2, 400, 5, SIZE, style).astype(int).T
    on_object = clip.masks[frame, y, x] > 0
    share = (clip.masks > 0).mean()
    assert on_object[1::2].all() and on_object[::2].mean() == pytest.approx(share, abs=0.1) and share < 0.8
    assert sorted(set(frame)) == [0, 1, 2, 3, 4]
    assert (y.min(), x.min()) >= (0, 0) and y.max() < SIZE[0] and x.max() < SIZE[1]
    assert np.array_equal(random_queries(2, 400, 5, SIZE, style), np.stack([frame, y, x], axis=1))
    assert not np.array_equal(random_queries(3, 400, 5, SIZE, style), np.stack([frame, y, x], axis=1))


def test_a_query_is_seen_if_it_is_inside_the_frame():
    h, w = SIZE
    inside = [[0, 0], [h - 1, w - 1], [0, w - 1], [h - 1, 0], [5.5, 7.25]]
    outside = [[-0.01, 5], [5, -0.01], [h - 0.99, 5], [5, w - 0.99]]
    queries = np.array([[1, *point] for point in inside + outside])
    for seed in range(5):
        points, visible = exact_tracks(seed, queries, 2, SIZE, TARGET)
        assert visible[:, 1].tolist() == [True] * 5 + [False] * 4
        np.testing.assert_allclose(points[:, 1], queries[:, [2, 1]], atol=1e-4)


def test_no_queries_give_no_tracks():
    points, visible = exact_tracks(0, random_queries(0, 0, 3, SIZE), 3, SIZE)
    assert points.shape == (0, 3, 2) and visible.shape == (0, 3)


@pytest.mark.parametrize('change, words', [
    (dict(seed=-1), 'seed is -1'), (dict(num_frames=0), 'num_frames, first, stride are 0, 0, 1'),
    (dict(first=-1), 'are 2, -1, 1'), (dict(stride=0), 'are 2, 0, 0'),
    (dict(queries=[[0, 1]]), r'queries are \(1, 2\); wanted \(N, 3\)'),
    (dict(queries=[[1, 2, 3], [2, 2, 3]]), r'query 1 is \[2.0, 2.0, 3.0\]; wanted one of the frames 0 to 1'),
    (dict(queries=[[0.5, 2, 3]]), r'query 0 is \[0.5,'), (dict(queries=[[-1, 2, 3]]), r'query 0 is \[-1.0,'),
    (dict(queries=[[0, float('nan'), 3]]), r'query 0 is \[0.0, nan, 3.0\]')])
def test_bad_arguments_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        exact_tracks(**{**dict(seed=0, queries=[[0, 1, 2]], num_frames=2, size=SIZE), **change})
    with pytest.raises(ValueError, match='count, num_frames are -1, 2'):
        random_queries(0, -1, 2)

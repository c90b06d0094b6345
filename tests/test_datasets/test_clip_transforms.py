from __future__ import annotations

import numpy as np
import pytest

from mmrefine.datasets.transforms import (ClipBlur, ClipDrift, ClipOcclude, ColorJitter, PackClip, RandomCrop,
                                          RandomFlip, RandomScaleStretch, SampleTracks, SensorNoise)
from mmrefine.errors import ConfigError

SIZE, FRAMES = (90, 110), 5


def clip(seed=0, count=40):
    """Frames that say where each pixel is (red is twice its x, green twice its y), and points that stand still."""
    y, x = np.mgrid[:SIZE[0], :SIZE[1]]
    frame = np.stack([2 * x, 2 * y, np.full_like(x, 77)], axis=-1).astype(np.uint8)
    rng = np.random.default_rng(seed)
    points = rng.uniform((8, 8), (SIZE[1] - 9, SIZE[0] - 9), (count, 2)).astype(np.float32)
    tracks = np.repeat(points[:, None], FRAMES, axis=1)
    return dict(frames=[frame.copy() for _ in range(FRAMES)], tracks=tracks, visible=np.ones(tracks.shape[:2], bool),
                key='a/0__4@1', scene='a', rng=np.random.default_rng(seed)), points


def colours(frame, points):
    """Bilinear colours ``(N, 3)`` at points that lie inside, and which do."""
    height, width = frame.shape[:2]
    inside = ((points >= 0) & (points <= (width - 1.01, height - 1.01))).all(axis=1)
    at = np.where(inside[:, None], points, 0.)
    x, y = np.floor(at).astype(int).T
    dx, dy = (at - np.floor(at)).T[..., None]
    frame = frame.astype(np.float64)
    top = frame[y, x] * (1 - dx) + frame[y, x + 1] * dx
    low = frame[y + 1, x] * (1 - dx) + frame[y + 1, x + 1] * dx
    return top * (1 - dy) + low * dy, inside


@pytest.mark.parametrize('transform', [
    RandomCrop((50, 60)), RandomFlip(1., 0.), RandomFlip(0., 1.), RandomFlip(1., 1.),
    RandomScaleStretch(scale=(0.4, 0.6), prob=1., stretch_prob=1.),
    RandomScaleStretch(scale=(-0.5, -0.3), prob=1.),
    ClipDrift(prob=1., shift=3., scale=0.02, angle=1.)], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize('seed', range(3))
def test_points_stay_on_what_they_are_on(transform, seed):
    before, points = clip(seed)
    moved = transform.transform(before)
    seen = 0
    for number, frame in enumerate(moved['frames']):
        found, inside = colours(frame, moved['tracks'][:, number])
        assert np.abs(found[inside, :2] / 2 - points[inside]).max() < 0.8  # rounding to grey levels, twice
        seen += inside.sum()
    assert seen > 0.2 * moved['tracks'].shape[0] * FRAMES
    assert moved['tracks'].dtype == np.float32 and len(moved['frames']) == FRAMES


def test_a_drift_leaves_the_first_frame_and_grows():
    before, points = clip()
    moved = ClipDrift(prob=1., shift=4.).transform(before)
    assert np.array_equal(moved['frames'][0], before['frames'][0])
    away = np.linalg.norm(moved['tracks'] - before['tracks'], axis=-1).mean(axis=0)
    assert away[0] == 0 and away[-1] > away[1] > 0
    assert ClipDrift(prob=0.).transform(before) is before


@pytest.mark.parametrize('patches', [0., 1.])
def test_points_under_boxes_are_not_visible_and_no_others(patches):
    before, _ = clip(count=300)
    for number, frame in enumerate(before['frames']):
        frame[..., 2] = 40 * number + np.arange(SIZE[1]) % 3  # so that a patch never equals what it covers
    points = before['tracks'][:, 0].round().astype(int)
    before['tracks'] = before['tracks'].round()
    moved = ClipOcclude(prob=1., max_boxes=3, sides=(20, 40), patches=patches).transform(before)
    assert np.array_equal(moved['frames'][0], before['frames'][0]) and moved['visible'][:, 0].all()
    for number in range(1, FRAMES):
        x, y = points.T
        changed = (moved['frames'][number][y, x] != before['frames'][number][y, x]).any(axis=1)
        hidden = ~moved['visible'][:, number]
        assert hidden[changed].all() and hidden.any() and not hidden.all()
        assert changed[hidden].mean() > 0.9  # a patch may show the same place
    assert before['visible'].all()  # what was given is not changed


def test_colours_and_noise_leave_tracks_alone_and_change_all_frames():
    for transform in (ColorJitter(asymmetric=0.), SensorNoise(8., 1.), ClipBlur(1., (1., 2.))):
        before, _ = clip()
        moved = transform.transform(before)
        assert moved['tracks'] is before['tracks'] and len(moved['frames']) == FRAMES
        assert all((one != two).any() for one, two in zip(moved['frames'], before['frames']))


def test_as_many_tracks_as_asked_for_all_of_them_sooner_or_later_and_none_from_outside():
    before, _ = clip(count=30)
    before['tracks'][:10, 0] = -5.
    drawn = set()
    for seed in range(12):
        found = SampleTracks(8).transform(dict(before, rng=np.random.default_rng(seed)))
        assert found['tracks'].shape == (8, FRAMES, 2) and found['track_weight'].min() == 1
        drawn |= {tuple(track[0]) for track in found['tracks']}
    assert drawn == {tuple(track[0]) for track in before['tracks'][10:]}
    more = SampleTracks(64).transform(before)
    assert more['track_weight'].sum(axis=0).tolist() == [20.] * FRAMES and np.isfinite(more['tracks']).all()


def test_a_packed_clip_has_no_visible_points_outside():
    before, _ = clip()
    before['tracks'][3, 2] = (SIZE[1] - 0.4, 5)
    packed = PackClip().transform(before)
    sample = packed['data_samples']
    assert packed['inputs'].shape == (FRAMES, 3, *SIZE) and str(packed['inputs'].dtype) == 'torch.uint8'
    assert sample.visible[3].tolist() == [1, 1, 0, 1, 1] and sample.weight.min() == 1
    assert sample.size == SIZE and sample.points.shape == (40, FRAMES, 2)


@pytest.mark.parametrize('build', [
    lambda: ClipBlur(sigma=(2., 1.)), lambda: ClipOcclude(sides=(0, 4)), lambda: ClipDrift(shift=-1.),
    lambda: SampleTracks(0), lambda: ClipOcclude(prob=2.)])
def test_values_that_cannot_be_meant_are_refused(build):
    with pytest.raises(ConfigError, match='got'):
        build()

"""Trackers judged: true tracks, label-free scores, and the guard's witnesses, of trackers whose faults are known."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.datasets import FrameClips
from mmrefine.datasets.transforms import LoadTrackTruth, PackClip
from mmrefine.engine import TrackWitnesses, judge
from mmrefine.engine.guard.candidates import compare_together, rate
from mmrefine.engine.guard.observer import Observer
from mmrefine.engine.guard.video_check import nothing_to_learn
from mmrefine.engine.judging.track_scores import grid_points
from mmrefine.evaluation import tally_label_free_tracks
from mmrefine.evaluation.tracks.witnesses import track_witnesses
from mmrefine.fileio import write_image
from mmrefine.geometry import known_clip
from mmrefine.structures import Tracks, as_frames
from mmrefine.synthetic import exact_tracks, write_clips

SIZE, FRAMES, SEEDS = (64, 96), 8, range(1, 9)


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp('clips')
    write_clips(root, SEEDS, FRAMES, SIZE, 'target', tracks=40)
    return root


class Oracle:
    """Knows the tracks of the rendered clips, by their first frames; ``share`` of the way, and noise of some px there
    and back."""

    def __init__(self, video, share=1., noise=0., back=None):
        self.share, self.noise, self.back = share, noise, noise if back is None else back
        data = FrameClips(video / 'frames')
        clips = [data[i]['frames'] for i in range(len(data))]
        self.seeds = {frames[0].tobytes(): seed for frames, seed in zip(clips, SEEDS)}
        self.second = {frames[0].tobytes(): as_frames([frames[1]])[0] for frames in clips}

    def track_both(self, frames, points):
        key = (255 * frames[0]).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy().tobytes()
        still = points[:, None].repeat(1, len(frames), 1)
        exact = still  # of clips of known motion, of which it has not been told
        if torch.equal(frames[1], self.second.get(key, frames[0])):
            queries = np.column_stack([np.zeros(len(points)), points.flip(1).numpy()])
            exact = torch.from_numpy(exact_tracks(self.seeds[key], queries, len(frames), SIZE, 'target')[0])
        rng = torch.Generator().manual_seed(len(points))
        fault = torch.randn(exact.shape, generator=rng)
        there = still + self.share * (exact - still) + self.noise * fault
        return there, there + self.back * fault.flip(0), torch.ones(there.shape[:2])

    def track(self, frames, queries):
        there, _, seen = self.track_both(frames, queries[:, [2, 1]])
        return Tracks(there, seen, queries, tuple(frames.shape[-2:]))


def test_true_tracks_are_judged_where_there_are_any(video):
    data = FrameClips(video / 'frames', truth_root=video / 'tracks', pipeline=[LoadTrackTruth(), PackClip()])
    good, bad = (judge(Oracle(video, noise=noise), data) for noise in (0., 2.))
    assert good.headline.name == 'ATE' and good.scores()['ATE'] < 1e-2 and good.counts['clips'] == len(SEEDS)
    # the mean length of a normal vector of 2 px a component, in all frames but that of the query, where it is 0 or not
    assert bad.scores()['ATE'] == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.1)
    assert 'scene/target_0001/ATE' in bad.scores()


def test_without_truth_round_trips_and_colours_are_judged(video):
    data = FrameClips(video / 'frames', pipeline=[PackClip()])
    good, off = (judge(Oracle(video, noise=noise), data, at_most=4) for noise in (0., 2.))
    assert good.headline.name == 'cycle_median' and good.counts == dict(clips=len(SEEDS)) and len(good.results) == 4
    one, other = good.scores(), off.scores()
    assert one['cycle_median'] < 1e-3 and one['returned'] == pytest.approx(one['inside'])
    assert other['cycle_median'] > 1 and other['color_residual'] > one['color_residual']


def test_label_free_scores_are_those_of_a_loop_over_tracks():
    rng = torch.Generator().manual_seed(1)
    frames = torch.rand(4, 3, 20, 30, generator=rng)
    there = torch.rand(9, 4, 2, generator=rng).mul(torch.tensor([40., 25.])).round() - 3
    back = there + torch.randn(there.shape, generator=rng)
    found = tally_label_free_tracks(frames, there, back).scores()
    errors, colours = [], []
    for track, way in zip(there.tolist(), back.tolist()):
        if all(0 <= x <= 29 and 0 <= y <= 19 for x, y in track):
            errors.append(max(np.hypot(a[0] - b[0], a[1] - b[1]) for a, b in zip(track, way)))
            seen = [255 * frames[t, :, int(y), int(x)] for t, (x, y) in enumerate(track)]
            colours.append(np.mean([float((one - seen[0]).abs().mean()) for one in seen[1:]]))
    assert len(errors) >= 2 and found['inside'] == pytest.approx(100 * len(errors) / 9)
    assert found['cycle_mean'] == pytest.approx(np.mean(errors), rel=1e-5)
    assert found['color_residual'] == pytest.approx(np.mean(colours), rel=1e-4)
    outside = tally_label_free_tracks(frames, there - 100, back)
    assert outside.size == 0 and np.isnan(outside.scores()['cycle_median'])


def test_a_clip_of_known_motion_shows_what_its_tracks_say():
    y, x = torch.meshgrid(torch.arange(64.), torch.arange(96.), indexing='ij')
    frame = torch.stack([x, y, x + y]) / 160  # its values say where a pixel is
    clip = known_clip(np.random.default_rng(4), frame, 8, speed=2.)
    assert torch.equal(clip.frames[0], frame) and clip.frames.shape == (8, 3, 64, 96)
    points = grid_points((64, 96), 60)
    tracks = clip.tracks(points)
    assert torch.equal(tracks[:, 0], points)
    seen = 0
    for t in range(8):
        for (px, py), (qx, qy) in zip(points.tolist(), tracks[:, t].tolist()):
            if 1 <= qx <= 93 and 1 <= qy <= 61:
                column, row = int(qx), int(qy)
                corner = clip.frames[t, :, row:row + 2, column:column + 2]
                right, down = qx - column, qy - row
                across = torch.tensor([1 - right, right])
                top, low = corner[:, 0] @ across, corner[:, 1] @ across
                value = 160 * (top * (1 - down) + low * down)
                if 3 <= px <= 92 and 3 <= py <= 60:  # beyond, the reflection bends what is in between
                    assert value[:2].tolist() == pytest.approx([px, py], abs=0.02)
                    seen += 1
    assert seen > 200
    steps = tracks.diff(dim=1).norm(dim=-1).mean()
    assert 0.5 < float(steps) < 6
    again = known_clip(np.random.default_rng(4), frame, 8, speed=2.)
    assert torch.equal(again.frames, clip.frames) and again.motions == clip.motions


def test_witnesses_tell_exact_tracks_from_those_of_no_motion_and_of_noise(video):
    data = FrameClips(video / 'frames')
    points = grid_points(SIZE, 60)
    found = {}
    for name, oracle in dict(exact=Oracle(video), still=Oracle(video, share=0.), noisy=Oracle(video, noise=3.)).items():
        seen = []
        for i in range(4):
            frames = torch.from_numpy(np.stack(data[i]['frames'])).permute(0, 3, 1, 2).float() / 255
            there, back, _ = oracle.track_both(frames, points)
            seen.append(track_witnesses(frames, there, back, 1.))
        found[name] = {key: np.mean([one[key] for one in seen]) for key in seen[0]}
    assert found['exact']['color'] < found['still']['color'] and found['exact']['color'] < found['noisy']['color']
    assert found['noisy']['cycle'] > 10 * found['exact']['cycle'] and found['still']['cycle'] == 0
    assert found['exact']['confirmed'] > 20 and found['still']['confirmed'] == 0 == found['still']['motion']


@pytest.mark.parametrize('student, verdict', [('better', 'student'), ('worse', 'teacher'), ('still', 'teacher')])
def test_the_guard_accepts_a_better_tracker_and_no_other(video, student, verdict):
    # known motion is left out: these trackers are told the motion of the video, and of nothing else
    witnesses = TrackWitnesses(points=80, warps=0)
    data = FrameClips(video / 'frames')
    witnesses.prepare(data, Oracle(video), 'cpu', 0, lambda line: None)
    observer = Observer(witnesses)
    teacher = Oracle(video, noise=1.5)
    other = dict(better=Oracle(video, noise=0.5), worse=Oracle(video, noise=3.), still=Oracle(video, share=0.))[student]
    seen = observer.observe(teacher)
    found, = compare_together([rate(observer, other, seen, 1, 1.)], observer)
    assert ('student' if found.is_accepted else 'teacher') == verdict
    assert witnesses.sample_name == 'clip' and set(found.witnesses) == {'cycle', 'color', 'warp', 'motion', 'confirmed'}


def test_known_motion_is_as_fast_as_the_teacher_saw_the_video_move_and_the_same_for_all(video):
    witnesses = TrackWitnesses(pairs=3, points=30, warps=1)
    witnesses.prepare(FrameClips(video / 'frames'), Oracle(video), 'cpu', 5, lambda line: None)
    assert len(witnesses.samples) == 3 and 0.1 < witnesses.speed < 10
    asked = []

    class Recorder(Oracle):
        def track_both(self, frames, points):
            asked.append(frames)
            return super().track_both(frames, points)

    for _ in range(2):
        assert witnesses.observe(Recorder(video, share=0.), 1)['warp'] > 0.1
    assert torch.equal(asked[1], asked[3]) and not torch.equal(asked[0], asked[1])


def test_clips_that_stand_still_are_told_before_anything_is_trained(tmp_path, video):
    frame = FrameClips(video / 'frames')[0]['frames'][0]
    for number in range(24):
        write_image(tmp_path / 'still' / f'{number:04d}.png', frame)
    sides = [FrameClips(tmp_path / 'still', held_out=0.3, held=held) for held in (False, True)]
    assert nothing_to_learn(sides, lambda line: None) is not None
    assert nothing_to_learn([FrameClips(video / 'frames')], lambda line: None) is None

"""Filters of tracks: planted failures, and plain loops."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_tracks import FRAMES, SIZE, ExactTracker, render, rotations, translations

from mmrefine.errors import ConfigError
from mmrefine.geometry import patch_mismatch
from mmrefine.labeling import (DirectTracks, TrackColorFilter, TrackCycleFilter, TrackInsideFilter, TrackPatchFilter,
                               TrackSpeedFilter, TrackVisibilityFilter)
from mmrefine.registry import FILTERS
from mmrefine.structures import TrackLook

POINTS = torch.tensor([[20., 20.], [30., 25.], [40., 30.], [24., 36.]])
BINS = dict(edges=(1, 2, 4.5), thresholds=(0.3, 0.5, 0.75, 6.))


def look_at(maps, fault=None, points=POINTS):
    return DirectTracks().look(ExactTracker(maps, fault=fault), render(maps), points)


@pytest.fixture
def random_look():
    generator = torch.Generator().manual_seed(5)
    frames = torch.rand(FRAMES, 3, *SIZE, generator=generator) * 0.1 + 0.4
    steps = torch.randn(400, FRAMES, 2, generator=generator) * torch.linspace(0, 6, 400)[:, None, None]
    start = torch.rand(400, 1, 2, generator=generator) * torch.tensor([63., 47.])
    there = start + steps.cumsum(dim=1) - steps[:, :1]
    back = there + torch.randn(400, FRAMES, 2, generator=generator) * torch.rand(400, 1, 1, generator=generator)
    return TrackLook(frames, there, back, torch.rand(400, FRAMES, generator=generator)**0.2)


def test_a_drift_at_one_step_is_kept_below_the_tolerance_and_dropped_above():
    def drift(scale, there, back, visible):
        back[1, 2] += [1.4, 0]
        back[2, 3] += [0, -1.6]
        back[3, 0] += [1.2, 1.2]  # 1.7 px along the diagonal

    for maps in (translations(), rotations()):
        look = look_at(maps, drift)
        assert TrackCycleFilter(1.5)(look).tolist() == [True, True, False, False]
        assert TrackCycleFilter(1.7)(look).tolist() == [True, True, True, True]
        assert TrackCycleFilter(1.3)(look).tolist() == [True, False, False, False]


def test_what_does_not_come_back_as_a_number_is_dropped():
    look = look_at(translations())
    look.back[1, 2] = float('nan')
    assert TrackCycleFilter(1.5)(look).tolist() == [True, False, True, True]


def test_a_track_that_jumps_to_other_surroundings_where_it_is_seen_is_dropped_whatever_the_brightness():
    def jump(scale, there, back, visible):
        there[1:3, 3] += [9., -7.]
        visible[2, 3] = 0.4

    look = look_at(translations(), jump)
    look.frames[2:].mul_(0.8).add_(0.05)  # gain and offset
    unlike = patch_mismatch(look.frames, look.there)
    assert unlike[1, 3] > 0.5 and unlike[[0, 3]].max() < 0.15
    assert TrackPatchFilter()(look).tolist() == [True, False, True, True]
    assert TrackPatchFilter(seen=0.)(look).tolist() == [True, False, False, True]
    assert TrackPatchFilter(threshold=2., seen=0.)(look).all()
    flat = TrackLook(torch.full_like(look.frames, 0.5), look.there, look.back, look.visible)
    assert not TrackPatchFilter()(flat).any()


def test_a_track_whose_colour_changes_is_dropped_and_its_neighbours_are_kept():
    look = look_at(translations())
    assert TrackColorFilter(3.)(look).all()
    x, y = look.there[1, 3].round().long().tolist()
    look.frames[3, :, y - 2:y + 3, x - 2:x + 3] += 20 / 255  # L2 over RGB: 35 in one of 4 frames
    assert TrackColorFilter(7.)(look).tolist() == [True, False, True, True]
    assert TrackColorFilter(10.)(look).all()


def test_a_track_that_leaves_the_frame_for_one_step_is_dropped():
    def leave(scale, there, back, visible):
        there[0, 2] = back[0, 2] = [63.01, 20]
        there[1, 2] = back[1, 2] = [63, 47]
        there[2, 2] = back[2, 2] = [20, -0.01]

    look = look_at(translations(), leave)
    assert TrackInsideFilter()(look).tolist() == [False, True, False, True]
    assert TrackColorFilter(442.)(look).tolist() == [False, True, False, True]


def test_the_slow_are_dropped_by_their_length_over_all_frames():
    # 4 steps of 5 px by 5 frames are 4 px a frame
    look = look_at(translations(3., 4.))
    assert not TrackSpeedFilter(4.001)(look).any() and TrackSpeedFilter(3.999)(look).all()
    still = look_at(translations(0., 0.))
    assert not TrackSpeedFilter(0.)(still).any()


PARTS = pytest.mark.parametrize('part', [
    TrackCycleFilter(2.), TrackCycleFilter(speed_bins=BINS), TrackColorFilter(30.), TrackVisibilityFilter(0.6),
    TrackInsideFilter(), TrackSpeedFilter(3.)])


@PARTS
def test_a_filter_decides_as_a_loop_does(part, random_look):
    there, back, visible = (x.double().numpy() for x in (random_look.there, random_look.back, random_look.visible))
    frames = random_look.frames.double().numpy()
    wanted = []
    for n in range(len(there)):
        errors = [np.hypot(*(there[n, t] - back[n, t])) for t in range(FRAMES)]
        speed = sum(np.hypot(*(there[n, t + 1] - there[n, t])) for t in range(FRAMES - 1)) / FRAMES
        inside = all(0 <= x <= 63 and 0 <= y <= 47 for x, y in there[n])
        if isinstance(part, TrackCycleFilter):
            bins = 2. if part.edges == () else (.3 if speed < 1 else .5 if speed < 2 else .75 if speed < 4.5 else 6.)
            wanted.append(all(error < bins for error in errors))
        elif isinstance(part, TrackColorFilter):
            colors = []
            for t, (x, y) in enumerate(there[n] if inside else ()):
                x0, y0 = min(int(x), 62), min(int(y), 46)
                fx, fy, patch = x - x0, y - y0, frames[t, :, y0:y0 + 2, x0:x0 + 2]
                colors.append(255 * patch @ [1 - fx, fx] @ [1 - fy, fy])
            change = sum(np.linalg.norm(color - colors[0]) for color in colors[1:]) / (FRAMES - 1)
            wanted.append(inside and change < 30)
        elif isinstance(part, TrackVisibilityFilter):
            wanted.append(all(value >= 0.6 for value in visible[n]))
        else:
            wanted.append(inside if isinstance(part, TrackInsideFilter) else speed > 3)
    assert part(random_look).tolist() == wanted and 20 < sum(wanted) < 380


@PARTS
def test_of_no_tracks_none_is_kept(part, random_look):
    nothing = TrackLook(random_look.frames, random_look.there[:0], random_look.back[:0], random_look.visible[:0])
    assert part(nothing).shape == (0, ) and part(nothing).dtype == torch.bool


def test_a_speed_at_an_edge_belongs_to_the_faster_bin():
    look = look_at(translations(0., 1.25))  # 4 of 5 frames: 1 px a frame
    look.back[:, 2] += torch.tensor([0.4, 0.])
    assert TrackCycleFilter(speed_bins=dict(edges=[1.], thresholds=[0.3, 0.5]))(look).all()
    assert not TrackCycleFilter(speed_bins=dict(edges=[1.01], thresholds=[0.3, 0.5]))(look).any()


@pytest.mark.parametrize('config, says', [
    (dict(type='TrackCycleFilter'), 'either a threshold in px or speed_bins, got threshold=None and speed_bins=None'),
    (dict(type='TrackCycleFilter', threshold=1., speed_bins=BINS), 'either a threshold in px or speed_bins'),
    (dict(type='TrackCycleFilter', threshold=-1.), r'TrackCycleFilter.threshold must be finite and not negative.*-1'),
    (dict(type='TrackCycleFilter', threshold='much'), "TrackCycleFilter.threshold must be a number.*'much'"),
    (dict(type='TrackCycleFilter', speed_bins=dict(edges=[1])), r"must be dict\(edges=…, thresholds=…\), got \{'edges"),
    (dict(type='TrackCycleFilter', speed_bins=dict(edges=[2, 1], thresholds=[1, 1, 1])), r'rising speeds.*\[2, 1\]'),
    (dict(type='TrackCycleFilter', speed_bins=dict(edges=[1], thresholds=[1])), r'must be 2 numbers.*\[1\]'),
    (dict(type='TrackCycleFilter', speed_bins=dict(edges=1, thresholds=[1])), 'edges must be a list of numbers, got 1'),
    (dict(type='TrackCycleFilter', speed_bins=dict(edges=['a'], thresholds=[1])), r"a list of numbers, got \['a'\]"),
    (dict(type='TrackCycleFilter', speed_bins=dict(edges=[1], thresholds=[1, -1])), 'not negative, got -1'),
    (dict(type='TrackColorFilter', threshold=-5.), 'TrackColorFilter.threshold must be finite and not negative'),
    (dict(type='TrackVisibilityFilter', least=1.5), r'TrackVisibilityFilter.least must lie in \[0, 1\], got 1.5'),
    (dict(type='TrackPatchFilter', threshold=3.), r'TrackPatchFilter.threshold must .*0.*2'),
    (dict(type='TrackSpeedFilter', least=float('nan')), 'TrackSpeedFilter.least must be finite'),
])
def test_a_wrong_setting_is_one_sentence(config, says):
    with pytest.raises(ConfigError, match=says) as caught:
        FILTERS.build(config)
    assert '\n' not in str(caught.value)

"""Labels and points carried through worlds of known motion, by features, flow and tracks, from any frame, both ways."""
from __future__ import annotations

import weakref

import pytest
import torch
import torch.nn.functional as F
from exact_tracks import ExactTracker, translations
from small_runs import small_model

from mmrefine.engine.judging.clip_scores import carry_clip
from mmrefine.errors import ConfigError, InputError
from mmrefine.geometry import FramePad, cells_of, ids_of, one_hot, pixels_of
from mmrefine.models import (ChainedFlow, CorrFlowEncoder, FeaturePropagator, FlowPropagator, TrackPropagator,
                             propagate_clip)
from mmrefine.models.propagation import by_features
from mmrefine.structures import ClipSample, Propagator, check_queries

SIZE, FRAMES, STEP = (32, 48), 5, 4  # px right a frame
CODES = 8192


class Codes:
    """Knows the place in the world that a cell shows, which frames tell by their first channel."""

    def __init__(self):
        codes = torch.randn(CODES, 48, generator=torch.Generator().manual_seed(0))
        self.codes, self.asked = 30 * codes / codes.norm(dim=1, keepdim=True), []

    def encode(self, frames):
        assert frames.shape[-2] % 8 == frames.shape[-1] % 8 == 0 and not torch.is_grad_enabled()
        ids = (frames[:, 0, ::4, ::4] * CODES).round().long()
        self.asked.append(int(ids.sum()))
        return self.codes[ids].permute(0, 3, 1, 2)


class Shift:
    """Knows the motion between frames by the number in their second channel."""
    accepts_flow_init = False

    def estimate(self, frames1, frames2, flow_init=None):
        flow = torch.zeros(len(frames1), 2, *frames1.shape[-2:])
        flow[:, 0] = STEP * (100 * (frames2 - frames1)[:, 1]).mean(dim=(1, 2), keepdim=True).round()
        return [flow]


class Tracker(ExactTracker):
    """The same by tracks; exact tracks know only the first frame."""

    def track(self, frames, queries):
        way = (100 * frames[:, 1, 0, 0]).round()
        self.maps = translations(STEP * float(way.diff().mean()) if len(way) > 1 else 0., 0., len(frames))
        start = check_queries(queries, len(frames), tuple(frames.shape[-2:]))[:, 0].long()
        moved = queries.clone()
        moved[:, 2] -= STEP * (way[start] - way[0])
        found = super().track(frames, moved)
        return type(found)(found.points, found.visible, queries, found.size)


def frame(number, size=SIZE):
    """A world that moves to the right, each pixel of it another; numbered."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing='ij')
    ids = y * 128 + x - STEP * number + 20
    return torch.stack([ids / CODES, torch.full(size, number / 100), torch.zeros(size)])


def mask(number, objects=(1, 2)):
    """Two objects that move with it."""
    ids = torch.zeros(SIZE, dtype=torch.uint8)
    for top, one in ((4, 1), (20, 2)):
        if one in objects:
            ids[top:top + 8, 8 + STEP * number:20 + STEP * number] = one
    return ids


WAYS = dict(features=lambda: FeaturePropagator(Codes()), memory=lambda: FeaturePropagator(Codes(), memory=2, most=3),
            hard=lambda: FeaturePropagator(Codes(), hard=True, shrink='bilinear'),
            whole=lambda: FeaturePropagator(Codes(), radius=None), flow=lambda: FlowPropagator(Shift()),
            tracks=lambda: TrackPropagator(Tracker(translations(), SIZE), step=1))
ways = pytest.mark.parametrize('way', WAYS)


def assert_same(found, wanted, moved, way):
    """Two masks are the same where the world had not yet been outside of the frame; cells round 4 corners off each."""
    new = STEP * (abs(moved) + 1) if moved else 0
    seen = slice(new, None) if moved > 0 else slice(0, SIZE[1] - new)
    assert int((found != wanted)[:, seen].sum()) <= (0 if way in ('flow', 'tracks') else 8)


def ids_by_frame(propagator, given, count=FRAMES):
    found = list(propagator.propagate(frame, count, given))
    for number, labels in found:
        assert labels.shape[1:] == SIZE
        torch.testing.assert_close(labels.sum(dim=0), torch.ones(SIZE))
    return [number for number, _ in found], {number: ids_of(labels) for number, labels in found}


@ways
@pytest.mark.parametrize('start', [0, 2, 4])
def test_masks_go_with_the_world_from_any_frame_both_ways(way, start):
    propagator = WAYS[way]()
    assert isinstance(propagator, Propagator)
    order, found = ids_by_frame(propagator, {start: one_hot(mask(start))})
    assert order == [start, *range(start - 1, -1, -1), *range(start + 1, FRAMES)]
    for number in range(FRAMES):
        assert_same(found[number], mask(number), number - start, way)


@ways
def test_a_later_mask_adds_objects_and_corrects_those_of_which_it_says_something(way):
    second = mask(2, objects=(2, ))
    second[second == 0] = 255  # of all else it says nothing
    third = one_hot(mask(3, objects=(1, )), 2)  # object 2 is gone, everywhere
    given = {3: third, 0: one_hot(mask(0, objects=(1, ))), 2: one_hot(second)}
    order, found = ids_by_frame(WAYS[way](), given)
    assert order == [0, 1, 2, 3, 4]
    for number, objects in enumerate(((1, ), (1, ), (1, 2), (1, ), (1, ))):
        assert_same(found[number], mask(number, objects), number, way)


@ways
def test_what_is_void_in_the_first_given_frame_is_background(way):
    given = one_hot(mask(1))
    given[:, 12:20] = 0.
    order, found = zip(*WAYS[way]().propagate(frame, FRAMES, {1: given}))
    assert order == (1, 0, 2, 3, 4)
    assert torch.equal(ids_of(found[0]), mask(1))
    for labels in found:
        torch.testing.assert_close(labels.sum(dim=0), torch.ones(SIZE))


def test_a_point_whose_heat_map_has_vanished_stays_where_it_was(monkeypatch):
    monkeypatch.setattr(by_features, 'copy_labels', lambda target, references, labels, *_: 0 * labels[:, 0])
    found = FeaturePropagator(Codes()).follow(frame, FRAMES, SIZE, torch.tensor([[2., 9., 14.5]]))
    assert found.points.tolist() == [[[14.5, 9.]] * FRAMES]
    assert found.visible.tolist() == [[0., 0., 1., 0., 0.]]


@ways
def test_points_go_with_the_world_both_ways_from_queries_in_any_frame(way):
    queries = torch.tensor([[0., 9., 14.5], [2., 17.25, 20.], [4., 5., 40.], [2., 21.75, 25.]])
    found = WAYS[way]().follow(frame, FRAMES, SIZE, queries)
    wanted = queries[:, None, [2, 1]].repeat(1, FRAMES, 1)
    wanted[..., 0] += STEP * (torch.arange(FRAMES) - queries[:, :1])
    torch.testing.assert_close(found.points, wanted, atol=1e-3, rtol=0)
    assert bool((found.visible > 0.4).all()) and torch.equal(found.queries, queries)


@ways
def test_no_points_and_a_video_of_one_frame_are_no_special_case(way):
    assert WAYS[way]().follow(frame, FRAMES, SIZE, torch.zeros(0, 3)).points.shape == (0, FRAMES, 2)
    order, found = ids_by_frame(WAYS[way](), {0: one_hot(mask(0))}, count=1)
    assert order == [0] and torch.equal(found[0], mask(0))


def test_each_frame_is_encoded_once():
    propagator = FeaturePropagator(Codes(), memory=3)
    ids_by_frame(propagator, {1: one_hot(mask(1)), 3: one_hot(mask(3))})
    assert len(propagator.network.asked) == len(set(propagator.network.asked)) == FRAMES
    propagator.network.asked.clear()
    propagator.follow(frame, FRAMES, SIZE, torch.tensor([[0., 9., 14.], [0., 3., 20.]]))
    assert len(propagator.network.asked) == FRAMES


@pytest.mark.parametrize('settings', [{}, dict(memory=2), dict(hard=True)])
def test_points_take_their_steps_in_groups_that_change_nothing(monkeypatch, settings):
    queries = torch.rand(12, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0., 31., 47.])
    queries[9:, 0] = 3.
    asked, copy = [], by_features.copy_labels
    monkeypatch.setattr(by_features, 'copy_labels', lambda target, references, labels, *rest: asked.append(
        labels.shape[2]) or copy(target, references, labels, *rest))
    together = FeaturePropagator(Codes(), **settings).follow(frame, FRAMES, SIZE, queries)
    assert asked == [9, 9, 9, 9, 3, 3, 3, 3]
    asked.clear()
    monkeypatch.setattr(by_features, '_AT_ONCE', 4)
    propagator = FeaturePropagator(Codes(), **settings)
    found = propagator.follow(frame, FRAMES, SIZE, queries)
    assert sorted(asked) == [1] * 4 + [3] * 4 + [4] * 8 and len(set(propagator.network.asked)) == FRAMES
    assert len(propagator.network.asked) <= 2 * FRAMES  # once on each way
    torch.testing.assert_close(found.points, together.points)
    torch.testing.assert_close(found.visible, together.visible)


def test_no_older_maps_stay_in_memory_than_the_next_step_needs():
    propagator, made = FeaturePropagator(Codes()), []
    with torch.no_grad():
        start = torch.rand(3, SIZE[0] // 4, SIZE[1] // 4)
        made.append(weakref.ref(start))
        steps = propagator._copy(lambda number: propagator._view(frame(number)), range(FRAMES), start, torch.clone)
        del start
        for maps in steps:
            made.append(weakref.ref(maps))
            assert [number for number, one in enumerate(made) if one() is not None] == [len(made) - 1]
    assert len(made) == FRAMES


@pytest.mark.parametrize('size', [(30, 43), (33, 48), (8, 9)])
def test_what_stands_still_stays_where_it_is_in_frames_of_any_size(size):
    """The padding is undone exactly: what comes out is what the cells can hold of the mask, where it was."""
    labels = one_hot((torch.rand(size) < 0.4).long())
    found = dict(FeaturePropagator(Codes()).propagate(lambda number: frame(0, size), 3, {0: labels}))
    pad = FramePad(*size, 8)
    torch.testing.assert_close(found[1], pad.crop(pixels_of(cells_of(pad.pad(labels[None])[0], 4), 4)))


class Alike:
    """All cells look alike, so each takes the mean of its window."""

    def encode(self, frames):
        return frames.new_zeros(len(frames), 2, frames.shape[-2] // 4, frames.shape[-1] // 4)


def test_labels_stay_soft_on_their_way_or_are_decided_at_every_frame():
    def mean(cells):
        return F.avg_pool2d(cells[None], 3, 1, padding=1, count_include_pad=False)[0]

    labels = one_hot((torch.rand(SIZE) < 0.4).long())
    start = cells_of(labels, 4)
    found = dict(FeaturePropagator(Alike(), radius=1).propagate(frame, 3, {0: labels}))
    torch.testing.assert_close(found[2], pixels_of(mean(mean(start)), 4))
    decided = cells_of(one_hot(ids_of(pixels_of(mean(start), 4)), 1), 4)
    assert not torch.equal(decided, mean(start)) and decided[1].any()
    found = dict(FeaturePropagator(Alike(), radius=1, hard=True).propagate(frame, 3, {0: labels}))
    torch.testing.assert_close(found[2], pixels_of(mean(decided), 4))


def test_memory_finds_again_what_was_hidden_and_asks_so_many_frames(monkeypatch):
    def hidden(number):
        return frame(number) if number != 1 else torch.stack([torch.zeros(SIZE), *frame(1)[1:]])

    labels = one_hot(mask(0))
    without, with_memory = (dict(FeaturePropagator(Codes(), memory=memory).propagate(hidden, 3, {0: labels}))
                            for memory in (0, 1))
    assert_same(ids_of(with_memory[2]), mask(2), 2, 'features')
    assert int((ids_of(without[2]) != mask(2))[:, 12:].sum()) > 50
    asked, copy = [], by_features.copy_labels
    monkeypatch.setattr(by_features, 'copy_labels', lambda target, references, *rest: asked.append(
        references.shape[1]) or copy(target, references, *rest))
    list(FeaturePropagator(Alike(), memory=2).propagate(frame, 6, {0: labels}))
    assert asked == [1, 2, 3, 3, 3]  # the given frame and the two before, once each


def test_a_real_encoder_propagates_to_maps_that_sum_to_1():
    torch.manual_seed(0)
    network = CorrFlowEncoder(out_channels=8).eval()
    network.encode = network.forward
    ids_by_frame(FeaturePropagator(network, memory=1), {0: one_hot(mask(0))}, count=3)
    found = FeaturePropagator(network).follow(frame, 3, SIZE, torch.tensor([[1., 9., 14.]]))
    assert bool(found.points.isfinite().all()) and bool((found.visible <= 1).all())


def test_hidden_points_lend_no_labels_unless_nearly_all_are_hidden():
    def fault(scale, there, back, visible):
        visible[there[:, 0, 1] > 15] = 0.  # the lower half, and its tracks go wrong
        there[there[:, 0, 1] > 15, 1:] += (0., -16.)

    labels = one_hot(mask(0, objects=(2, )))
    tracker = Tracker(translations(), SIZE, fault=fault)
    found = dict(TrackPropagator(tracker, step=2).propagate(frame, 2, {0: labels}))
    assert not ids_of(found[1]).any()
    found = dict(TrackPropagator(tracker, step=2, seen=1.).propagate(frame, 2, {0: labels}))
    assert ids_of(found[1])[:16].any()


def clip():
    points = torch.tensor([[10., 9.], [50., 20.]])[None].repeat(FRAMES, 1, 1)  # the second one is outside
    points[..., 0] += STEP * torch.arange(FRAMES)[:, None]
    visible = torch.ones(FRAMES, 2, dtype=torch.bool)
    visible[0] = False
    # the number of a frame is its brightness, as Shift sees it
    inputs = (2.55 * torch.arange(FRAMES)).round().to(torch.uint8).view(-1, 1, 1, 1).expand(FRAMES, 3, *SIZE)
    masks = torch.stack([mask(number) for number in range(FRAMES)])
    return inputs, ClipSample(metainfo=dict(scene='a'), masks=masks, points=points, visible=visible)


def test_a_clip_is_filled_as_by_the_scores_of_flow():
    inputs, sample = clip()
    propagate_clip(FlowPropagator(Shift()), inputs, sample)
    _, other = clip()
    carry_clip(Shift(), inputs, other)
    assert torch.equal(sample.pred_masks, sample.masks) and torch.equal(other.pred_masks, sample.masks)
    assert torch.equal(sample.pred_points[1:, 0], sample.points[1:, 0]) and sample.pred_points[0].isnan().all()
    assert torch.equal(other.pred_points[:, 0].nan_to_num(), sample.pred_points[:, 0].nan_to_num())
    done = []
    propagate_clip(FlowPropagator(Shift()), inputs, ClipSample(masks=sample.masks), progress=done.append)
    assert done == [1, 2, 3, 4]


def test_a_flow_network_that_estimates_both_ways_is_asked_once_a_step(monkeypatch):
    torch.manual_seed(0)
    settings = {key: value for key, value in small_model().items() if key not in ('type', 'losses')}
    network = ChainedFlow(**settings).eval()
    calls, both = [], network.estimate_both
    monkeypatch.setattr(network, 'estimate_both', lambda *args: calls.append(args) or both(*args))
    frames = torch.rand(3, 3, 64, 96)
    labels = one_hot((torch.rand(64, 96) < 0.4).long())
    found = dict(FlowPropagator(network).propagate(frames.__getitem__, 3, {1: labels}))
    assert len(calls) == 2 and sorted(found) == [0, 1, 2]
    queries = torch.tensor([[0., 10., 20.]])
    tracks = FlowPropagator(network).follow(frames.__getitem__, 3, (64, 96), queries)
    assert torch.equal(tracks.points, network.track(frames, queries).points)


@pytest.mark.parametrize('given, message', [
    ({}, 'no labels are given'),
    ({7: one_hot(mask(0))}, 'labels are given for frame 7, and the video has the frames 0 to 4'),
    ({0: mask(0)}, r'labels of frame 0 must be \(K, H, W\), .* got \(32, 48\)'),
    ({2: torch.zeros(3)}, r'labels of frame 2 must be \(K, H, W\), .* got \(3,\)'),
    ({0: one_hot(mask(0)), 1: torch.zeros(2, 8, 8)},
     r'labels of frame 1 .* got \(2, 8, 8\), and of frame 0 \(3, 32, 48\)'),
    ({0: 2 * one_hot(mask(0))}, 'labels of frame 0 must be .* got 0 and a sum of 2'),
    ({1: one_hot(mask(0)) - 1}, 'labels of frame 1 must be .* got -1'),
    ({0: one_hot(mask(0)) * float('nan')}, 'labels of frame 0 must be .* got nan'),
    ({0: torch.zeros(2, 16, 24)}, 'frame 0 is 32x48 px .* for 16x24 px'),
])
def test_labels_that_cannot_be_propagated_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        next(FlowPropagator(Shift()).propagate(frame, FRAMES, given))


@ways
def test_queries_and_frames_that_do_not_fit_are_refused(way):
    with pytest.raises(InputError, match='query 0 is at frame 9'):
        WAYS[way]().follow(frame, FRAMES, SIZE, torch.tensor([[9., 1., 1.]]))
    with pytest.raises(InputError, match='frame 0 is 32x48 px .* for 64x96 px'):
        WAYS[way]().follow(frame, FRAMES, (64, 96), torch.tensor([[0., 1., 1.]]))


@pytest.mark.parametrize('build, message', [
    (lambda: FeaturePropagator(Codes(), radius=-1), 'FeaturePropagator.radius must be a whole number, at least 0'),
    (lambda: FeaturePropagator(Codes(), memory=1.5), 'FeaturePropagator.memory must be a whole number'),
    (lambda: FeaturePropagator(Codes(), most=0), 'FeaturePropagator.most must be a whole number, at least 1'),
    (lambda: FeaturePropagator(Codes(), shrink='max'), "FeaturePropagator.shrink must be 'area' or 'bilinear'"),
    (lambda: TrackPropagator(None, step=0), 'TrackPropagator.step must be a whole number'),
    (lambda: TrackPropagator(None, nearest=0), 'TrackPropagator.nearest must be'),
    (lambda: TrackPropagator(None, seen=2), 'TrackPropagator.seen must lie in'),
])
def test_settings_out_of_range_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()

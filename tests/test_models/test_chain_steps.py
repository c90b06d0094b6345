"""Chains of flow that choose among steps: exact flow stays exact, what is hidden is found again, the less doubtful step
wins, and single steps are what they were."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from small_runs import small_model

from mmrefine.errors import ConfigError
from mmrefine.geometry import (carry_points, expected_error, fill_background, ids_of, one_hot, points_come_back,
                               points_inside)
from mmrefine.models import ChainedFlow, FlowPropagator, carry_labels
from mmrefine.models.propagation.carry import carry_on
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import Look, as_frames
from mmrefine.synthetic import exact_motion, exact_tracks, render_clip

SIZE, FRAMES, SEED, STYLE = (64, 96), 10, 5, 'source'
ALL = (1, 2, 4, 'first')


@lru_cache(None)
def exact_look(s, t):
    """The exact motion of a rendered clip, with 0.1 px of expected error everywhere."""
    there, back = (torch.from_numpy(exact_motion(SEED, one, two, SIZE, STYLE)[0])[None]
                   for one, two in ((s, t), (t, s)))
    error = torch.full((1, 1, *SIZE), 0.1)
    return Look(there, back, error_fw=error, error_bw=error)


def constant(x, error=1., survived=True):
    """Motion to the right by ``x`` px; if it is not survived, the way back leads elsewhere."""
    flow = torch.tensor([float(x), 0.]).view(1, 2, 1, 1).repeat(1, 1, *SIZE)
    doubt = torch.full((1, 1, *SIZE), float(error))
    return Look(flow, -flow if survived else flow + 9, error_fw=doubt, error_bw=doubt)


@pytest.mark.parametrize('steps', [(1, ), (1, 2), (1, 2, 4), ALL, ('first', )])
@pytest.mark.parametrize('adds', ['squares', 'plain'])
def test_exact_flow_gives_exact_tracks_whatever_the_steps(steps, adds):
    rng = np.random.default_rng(0)
    queries = np.column_stack([rng.integers(0, 4, 200), rng.integers(4, 60, 200), rng.integers(4, 92, 200)])
    found = chain_flow(exact_look, FRAMES, SIZE, torch.from_numpy(queries).float(), ChainSteps(steps, adds=adds))
    truth, seen = exact_tracks(SEED, queries, FRAMES, SIZE, STYLE)
    both = (found.visible.numpy() > 0) & seen
    error = np.linalg.norm(found.points.numpy() - truth, axis=-1)
    begun = np.arange(FRAMES) > queries[:, :1]
    # flow is bilinear between pixels, so at the edge of an object a point may go with what is beside it
    assert np.quantile(error[both], 0.95) < 0.3 and both.sum() > 0.5 * seen.sum()
    assert (found.visible.numpy() > 0)[begun & ~seen].mean() < 0.2


def all_around(claims, size, radius=2):
    """Of claims about the pixels of a frame, flat, those that hold for all neighbours, too."""
    rows = claims.reshape(size)
    steps = range(-radius, radius + 1)
    return np.logical_and.reduce([np.roll(rows, (dy, dx), (0, 1)) for dy in steps for dx in steps]).ravel()


def test_what_is_hidden_for_three_frames_is_lost_by_single_steps_and_found_by_longer_ones():
    inner = (SIZE[0] - 4, SIZE[1] - 4)
    y, x = np.mgrid[2:SIZE[0] - 2, 2:SIZE[1] - 2].reshape(2, -1)
    queries = np.column_stack([np.zeros(len(x)), y, x])
    truth, seen = exact_tracks(SEED, queries, FRAMES, SIZE, STYLE)
    inside = ((truth > 1) & (truth < np.array(SIZE[::-1]) - 2)).all(axis=(1, 2))
    # seen in the first two frames and in the last, with all that is around, and hidden for three in a row between
    hidden = inside & all_around(seen[:, [0, 1, -1]].all(axis=1), inner)
    hidden &= np.any([~seen[:, t:t + 3].any(axis=1) for t in range(2, FRAMES - 3)], axis=0)
    assert hidden.sum() >= 50
    asked = torch.from_numpy(queries[hidden]).float()
    alone, *others = (chain_flow(exact_look, FRAMES, SIZE, asked, ChainSteps(steps))
                      for steps in ((1, ), (1, 2, 4, 8), (1, 2, 'first')))
    assert not alone.visible[:, -1].any()
    for found in others:
        assert bool(found.visible[:, -1].all())
        assert np.linalg.norm(found.points[:, -1].numpy() - truth[hidden, -1], axis=-1).max() < 0.1
        # and in between it is not said to be seen
        assert (found.visible.numpy() > 0)[~seen[hidden]].mean() < 0.1


def test_a_longer_step_leads_over_what_hides_the_point():
    def look(s, t):
        return constant(t - s, survived=not (s in (2, 3, 4) or t in (2, 3, 4)))

    query = torch.tensor([[0., 10., 20.]])
    for steps, wanted in (((1, ), [1, 1, 0, 0, 0, 0, 0]), ((1, 2), [1, 1, 0, 0, 0, 0, 0]),
                          ((1, 4), [1, 1, 0, 0, 0, 1, 1]), (('first', ), [1, 1, 0, 0, 0, 1, 1])):
        found = chain_flow(look, 7, SIZE, query, ChainSteps(steps))
        assert found.visible[0].tolist() == wanted
        # carried on all the same
        assert found.points[0, :, 0].tolist() == [20 + t for t in range(7)]


@pytest.mark.parametrize('adds, x', [('plain', 23), ('squares', 22)])
def test_errors_add_up_as_they_are_told_to_and_the_least_decides(adds, x):
    # 1 + 1 against 1.7: by squares the two single steps have 1.4
    def look(s, t):
        return constant(1, 1.) if t - s == 1 else constant(3, 1.7)

    query, steps = torch.tensor([[0., 10., 20.]]), ChainSteps((1, 2), adds=adds)
    assert chain_flow(look, 3, SIZE, query, steps).points[0, :, 0].tolist() == [20, 21, x]
    labels = torch.zeros(2, *SIZE)
    labels[1, :, 20] = 1.
    labels[0] = 1 - labels[1]
    assert [int(maps[1, 30].argmax()) for maps in carry_on(look, 3, labels, steps)] == [21, x]


@pytest.mark.parametrize('error, x', [(3.9, 27), (4.1, 22)])
def test_where_the_shortest_step_fails_a_longer_one_must_be_expected_to_be_right(error, x):
    def look(s, t):
        return constant(1, 0.5, survived=t < 2) if t - s == 1 else constant(7, error)

    found = chain_flow(look, 3, SIZE, torch.tensor([[0., 10., 20.]]), ChainSteps((1, 2)))
    assert found.points[0, :, 0].tolist() == [20, 21, x] and bool(found.visible[0, 2]) == (x == 27)
    labels = torch.zeros(2, *SIZE)
    labels[1, :, 20] = 1.
    labels[0] = 1 - labels[1]
    *_, last = carry_on(look, 3, labels, ChainSteps((1, 2)))
    assert (int(last[1, 30].argmax()) == 27) == (x == 27)
    # the shortest one counts whatever its error
    alone = chain_flow(lambda s, t: constant(1, 9.), 3, SIZE, torch.tensor([[0., 10., 20.]]), ChainSteps((1, 2)))
    assert alone.visible[0].tolist() == [1, 1, 1]


def test_each_point_chooses_for_itself_and_a_step_that_is_not_survived_is_no_choice():
    def look(s, t):
        found = constant(1, 1.) if t - s == 1 else constant(3, 0.5)
        there, back, error = found.flow_fw.clone(), found.flow_bw.clone(), found.error_fw.clone()
        if t - s == 2:
            error[..., 50:] = 9.
            back[:, :, 40:] = 30.
        return Look(there, back, error_fw=error, error_bw=error)

    queries = torch.tensor([[0., 10., 20.], [0., 10., 60.], [0., 50., 20.]])
    found = chain_flow(look, 3, SIZE, queries, ChainSteps((1, 2)))
    assert found.points[:, 2, 0].tolist() == [23, 62, 22] and found.visible[:, 2].tolist() == [1, 1, 1]


def test_points_take_only_steps_from_where_they_have_begun():
    asked = []

    def look(s, t):
        asked.append((s, t))
        return constant(10 * (t - s), 1 / (t - s))  # the longer the better

    queries = torch.tensor([[0., 10., 20.], [2., 10., 30.]])
    found = chain_flow(look, 5, (64, 400), queries, ChainSteps((1, 3, 'first')))
    assert found.points[1, :, 0].tolist()[2:] == [30, 40, 50] and bool(found.points[1, :2].isnan().all())
    assert asked == [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (3, 4), (2, 4), (1, 4), (0, 4)]


def single_steps(flows, count, size, queries):
    """A second implementation of single steps: from each frame to the next, lost once is lost."""
    points = torch.full((len(queries), count, 2), float('nan'))
    visible = torch.zeros(len(queries), count)
    begins = queries[:, 0].long()
    for n, t in enumerate(begins):
        points[n, t], visible[n, t] = queries[n, [2, 1]], 1.
    for t in range(count - 1):
        begun = begins <= t
        if bool(begun.any()):
            there, back = flows(t)
            at = points[begun, t]
            points[begun, t + 1] = carry_points(at, there[0])
            held = points_come_back(at, there, back) & points_inside(points[begun, t + 1], size)
            visible[begun, t + 1] = visible[begun, t] * held.float()
    return points, visible


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    model = {key: value for key, value in small_model().items() if key in ('estimator', 'train_iters', 'test_iters')}
    return ChainedFlow(**model).eval()


def video():
    return as_frames(render_clip(SEED, 6, SIZE, STYLE).frames).contiguous()


def test_single_steps_are_to_the_bit_what_they_were(network):
    frames, queries = video(), torch.tensor([[0., 20., 30.], [2., 40., 50.5], [5., 10., 10.], [0., 60., 94.]])
    points, visible = single_steps(lambda t: network.estimate_both(frames[t:t + 1], frames[t + 1:t + 2]), 6, SIZE,
                                   queries)
    found = network.track(frames, queries)
    torch.testing.assert_close(found.points, points, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.visible, visible)
    labels = one_hot(torch.from_numpy(render_clip(SEED, 6, SIZE, STYLE).masks[0]))
    wanted = labels
    for (number, maps), t in zip(list(FlowPropagator(network).propagate(frames.__getitem__, 6, {0: labels}))[1:],
                                 range(5)):
        there, back = network.estimate_both(frames[t:t + 1], frames[t + 1:t + 2])
        wanted = fill_background(carry_labels(wanted, back[0], there[0]))
        assert number == t + 1 and torch.equal(maps, wanted)


def test_a_mask_comes_out_again_from_behind_what_hid_it():
    """A square stands still, and in the frames 2 to 4 a wall is in front of it."""
    hidden, wall = (2, 3, 4), slice(20, 60)

    def look(s, t):
        found = constant(0, 0.1)
        there, back = found.flow_fw.clone(), found.flow_bw.clone()
        for flow, frames in ((there, (s, t)), (back, (t, s))):
            if frames[0] in hidden and frames[1] not in hidden:
                flow[..., wall] = 25.  # the wall is elsewhere in the other frame
        return Look(there, back, error_fw=found.error_fw, error_bw=found.error_bw)

    square = torch.zeros(SIZE, dtype=torch.uint8)
    square[20:40, 30:50] = 1
    masks = {steps: [ids_of(maps) for maps in carry_on(look, 7, one_hot(square), ChainSteps(steps))]
             for steps in ((1, ), (1, 4))}
    assert not masks[(1, 4)][2].any() and bool((masks[(1, 4)][-1] == square).all())
    assert not masks[(1, )][-1].any()


def test_maps_of_several_steps_sum_to_one_and_are_right_with_exact_motion():
    first = torch.from_numpy(render_clip(SEED, 1, SIZE, STYLE).masks[0])
    for steps, least in (((1, ), 0.84), ((1, 2, 4, 8), 0.95), (ALL, 0.98), (('first', ), 0.98)):
        right = []
        for t, maps in enumerate(carry_on(exact_look, FRAMES, one_hot(first), ChainSteps(steps)), start=1):
            torch.testing.assert_close(maps.sum(dim=0), torch.ones(SIZE))
            # where each pixel was in the first frame, if it was seen there
            back, seen = exact_motion(SEED, t, 0, SIZE, STYLE)
            y, x = (np.mgrid[:SIZE[0], :SIZE[1]] + back[::-1]).round().astype(int)
            known = all_around(seen.ravel(), SIZE).reshape(SIZE)
            wanted = first[y.clip(0, SIZE[0] - 1), x.clip(0, SIZE[1] - 1)]
            right.append(float((ids_of(maps) == wanted).float()[torch.from_numpy(known)].mean()))
        assert min(right) > least and (right[-1] > 0.98) is (len(steps) > 1 or steps[0] == 'first')


@pytest.mark.parametrize('steps', [(1, 3), (1, 2, 'first'), ('first', )])
def test_a_stream_and_both_ways_have_the_same_tracks_and_few_frames(network, steps):
    frames, queries = video(), torch.tensor([[0., 20., 30.], [2., 40., 50.5]])
    model = ChainedFlow(network.estimator, test_iters=2, chain=dict(steps=steps)).eval()
    asked = []
    whole = model.track(frames, queries)
    found = model.track_stream(lambda t: asked.append(t) or frames[t].clone(), len(frames), SIZE, queries)
    assert asked == list(range(6))
    torch.testing.assert_close(found.points, whole.points, rtol=0, atol=0, equal_nan=True)
    points = torch.tensor([[10.5, 20.25], [80., 40.]])
    there, back, seen = model.track_both(frames, points)
    alone = model.track(frames, queries_of(points, SIZE))
    assert torch.equal(there, alone.points) and torch.equal(seen, alone.visible)
    reverse = model.track(frames.flip(0), queries_of(there[:, -1], SIZE))
    torch.testing.assert_close(back, reverse.points.flip(1), atol=1e-3, rtol=0)
    assert model.describe()['steps'] == list(steps) and model.describe()['adds'] == 'squares'


class Doubting:
    """A view with a verifier: it says itself how wrong it is."""

    def look(self, teacher, batch):
        error = torch.full((1, 1, *batch.size), 7.)
        return Look(*teacher.estimate_both(batch.frames1, batch.frames2), error_fw=error, error_bw=error)


def test_a_view_that_knows_its_error_is_believed_and_any_other_is_judged_by_round_trip_and_picture(network):
    frames, steps = video(), ChainSteps((1, 2))
    one, two = frames[:1], frames[1:2]
    look = steps.look(network, one, two)
    assert torch.equal(look.error_fw, expected_error(one, two, look.flow_fw, look.flow_bw))
    assert torch.equal(look.error_bw, expected_error(two, one, look.flow_bw, look.flow_fw))
    steps.view = Doubting()
    assert float(steps.look(network, one, two).error_fw.mean()) == 7
    assert ChainSteps().look(network, one, two).error_fw is None  # without a choice nobody asks
    assert ChainSteps(view=dict(type='CascadeView', scales=(1., ))).describe()['view']['type'] == 'CascadeView'


def test_which_pairs_are_looked_at():
    steps = ChainSteps(('first', 4, 1, 4))
    assert steps.sources(6, [0]) == [5, 2, 0] and steps.sources(4, [0, 3]) == [3, 0] and steps.sources(2, [2, 5]) == []
    assert [ChainSteps().pairs(count) for count in (1, 2, 9)] == [0, 1, 8]
    assert steps.pairs(7) == 1 + 2 + 2 + 2 + 3 + 3  # the first is one before, then also four before
    assert ChainSteps().describe() == {} and not ChainSteps(('first', )).chooses


@pytest.mark.parametrize('settings, message', [
    (dict(steps=(2, 4)), r'steps must have 1 or first among them.*got \[2, 4\]'),
    (dict(steps=(1, 0)), "each of steps but 'first' must be a whole number, at least 1, got 0"),
    (dict(steps=(1, 'last')), "each of steps but 'first' must be a whole number, at least 1, got 'last'"),
    (dict(limit=0), 'limit must be finite and above 0, got 0 px'),
    (dict(adds='cubes'), "adds must be 'squares' or 'plain', got 'cubes'"),
    (dict(view=dict(type='NoView')), "there is no .*'NoView'")])
def test_mistakes_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        ChainSteps(**settings)

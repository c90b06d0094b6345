"""Expected errors of tracks: they add up along chains and over round trips, and change no point."""
from __future__ import annotations

import math
import weakref

import pytest
import torch
from small_runs import small_model

from mmrefine.geometry import expected_error, sample
from mmrefine.models import ChainedFlow, TrackRefiner
from mmrefine.models.trackers import round_trips
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.round_trips import PIECE, with_round_trips
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.structures import ErrorTracker, Look, Tracks

SIZE = (64, 96)
SMALL = dict(type='mmrefine.PIPs', feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))


@pytest.fixture(autouse=True)
def _no_factor(monkeypatch):
    monkeypatch.setattr(round_trips, 'FACTOR', 1.)


# ---- chains

def moving(error):
    """Everything moves by 1 px a frame, with a certain error."""

    def look(s, t):
        flow = torch.tensor([float(t - s), 0.]).view(1, 2, 1, 1).repeat(1, 1, *SIZE)
        doubt = torch.full((1, 1, *SIZE), float(error(s, t)))
        return Look(flow, -flow, error_fw=doubt, error_bw=doubt)

    return look


@pytest.mark.parametrize('adds, wanted', [('plain', [0, 0.3, 0.7]), ('squares', [0, 0.3, 0.5])])
def test_errors_of_steps_add_up_from_the_query_on(adds, wanted):
    look, queries = moving(lambda s, t: {1: 0.3, 2: 0.4, 3: 0.5}[t]), torch.tensor([[0., 10., 20.], [1., 10., 20.]])
    found = chain_flow(look, 3, SIZE, queries, ChainSteps(adds=adds), True)
    assert found.error[0].tolist() == pytest.approx(wanted)
    assert math.isnan(found.error[1, 0]) and found.error[1, 1:].tolist() == pytest.approx([0, 0.4])
    alone = chain_flow(look, 3, SIZE, queries, ChainSteps(adds=adds))
    assert alone.error is None and torch.equal(alone.visible, found.visible)


def test_of_several_steps_the_error_is_that_of_those_that_were_taken():
    found = chain_flow(moving(lambda s, t: 1. if t - s == 1 else 0.5), 4, SIZE, torch.tensor([[0., 10., 20.]]),
                       ChainSteps((1, 2), adds='plain'), True)
    assert found.error[0].tolist() == [0, 1, 0.5, 1.5]


def test_a_chain_knows_the_error_of_single_steps_and_its_points_stay_the_same():
    torch.manual_seed(0)
    model = {key: value for key, value in small_model().items() if key in ('estimator', 'train_iters')}
    network = ChainedFlow(**model, test_iters=1).eval()
    frames = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    queries = torch.tensor([[0., 20., 30.], [1., 40., 50.5]])
    plain = network.track(frames, queries)
    found = network.track_with_errors(frames.__getitem__, 3, SIZE, queries)
    assert isinstance(network, ErrorTracker) and plain.error is None
    torch.testing.assert_close(found.points, plain.points, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.visible, plain.visible)
    with torch.no_grad():
        there, back = network.estimate_both(frames[1:2], frames[2:3])
    error = expected_error(frames[1:2], frames[2:3], there, back)
    at = sample(error, torch.tensor([50.5, 40.]).view(1, 2, 1, 1), 'border')
    assert float(found.error[1, 2]) == pytest.approx(float(at), rel=1e-5)


# ---- round trips

class Drifting:
    """Follows points to the right by 1 px a frame; where it goes back it misses by ``miss(number of the clip)`` px.

    Frames are their numbers, so that it knows which way it goes.
    """

    def __init__(self, miss=lambda piece: 0., both_ways=False):
        self.miss, self.both_ways, self.asked, self.alive, self.most = miss, both_ways, [], [], 0

    def frame(self, number):
        one = torch.full((3, 2, 2), float(number))
        self.alive = [ref for ref in self.alive if ref() is not None] + [weakref.ref(one)]
        self.most = max(self.most, len(self.alive))
        self.asked.append(number)
        return one

    def follow(self, frame, count, size, queries):
        numbers = []
        for t in range(count):
            numbers.append(float(frame(t)[0, 0, 0]))
        steps_to = torch.tensor(numbers) - torch.tensor(numbers)[queries[:, 0].long()][:, None]
        points = queries[:, None, [2, 1]].repeat(1, count, 1)
        points[..., 0] += steps_to
        if numbers[0] > numbers[-1]:
            points[:, -1, 1] += self.miss(int(numbers[-1]) // PIECE)
            if not bool((queries[:, 0] == 0).all()):
                raise AssertionError('ways back begin in their first frame')
        if not self.both_ways:
            points[torch.arange(count) < queries[:, :1]] = float('nan')
        return Tracks(points, torch.ones(len(queries), count), queries, size)

    def errors(self, count, queries):
        return with_round_trips(self.follow, self.frame, count, (100, 200), torch.tensor(queries)).error


def test_points_that_come_back_are_expected_to_be_right_and_frames_are_asked_for_twice():
    tracker, count = Drifting(), 2 * PIECE + 4
    assert tracker.errors(count, [[0., 10., 20.], [5., 10., 20.]]).nan_to_num(-1).tolist() == [
        count * [0.], 5 * [-1.] + (count - 5) * [0.]]
    assert tracker.asked == 2 * list(range(count)) and tracker.most <= PIECE + 2


def test_losses_of_pieces_are_spread_over_their_steps_and_add_up():
    error, = Drifting(lambda piece: (7., 0., 3.)[piece]).errors(2 * PIECE + 3, [[0., 10., 20.]]).tolist()
    assert error == pytest.approx([*range(PIECE), *(PIECE + 1) * [7.], 8.5, 10.])


def test_the_error_is_the_loss_times_a_factor(monkeypatch):
    monkeypatch.setattr(round_trips, 'FACTOR', 3.)
    assert float(Drifting(lambda piece: 7.).errors(PIECE + 1, [[0., 10., 20.]])[0, -1]) == pytest.approx(21.)
    assert round_trips.RoundTripErrors().describe_errors() == dict(by='round trips', steps=PIECE, factor=3.)


def test_a_point_enters_its_first_piece_in_the_frame_of_its_query():
    class Late(Drifting):
        def follow(self, frame, count, size, queries):
            found = super().follow(frame, count, size, queries)
            if float(frame(0)[0, 0, 0]) > float(frame(count - 1)[0, 0, 0]):  # goes astray before the query only
                found.points[:, -3:] += 50.
            return found

    error, = Late().errors(PIECE + 1, [[float(PIECE - 3), 10., 20.]]).tolist()
    assert error[-4:] == [0, 0, 0, 0] and all(map(math.isnan, error[:-4]))


def test_what_is_known_before_the_query_is_judged_by_the_way_forth():
    class Astray(Drifting):
        def follow(self, frame, count, size, queries):
            found = super().follow(frame, count, size, queries)
            if float(frame(0)[0, 0, 0]) == 0 and count == PIECE + 1:
                found.points[:, -1, 1] += 14.  # forth through the first piece
            return found

    error, = Astray(both_ways=True).errors(2 * PIECE + 1, [[float(2 * PIECE), 10., 60.]]).tolist()
    assert error == pytest.approx([2. * (PIECE - t) for t in range(PIECE)] + (PIECE + 1) * [0.])


def test_a_clip_of_one_frame_has_no_error():
    assert Drifting().errors(1, [[0., 10., 20.]]).tolist() == [[0.]]


def test_pips_knows_its_errors_and_its_points_stay_the_same():
    torch.manual_seed(0)
    model, count = TrackRefiner(SMALL, test_iters=1).eval(), PIECE + 3
    frames = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    queries = torch.tensor([[0., 20., 30.], [2., 40., 50.]])
    found, plain = model.track_with_errors(frames.__getitem__, count, SIZE, queries), model.track(frames, queries)
    assert isinstance(model, ErrorTracker)
    torch.testing.assert_close(found.points, plain.points, rtol=0, atol=0, equal_nan=True)
    back = model.track(frames[:PIECE + 1].flip(0), torch.cat([torch.zeros(2, 1), found.points[:, PIECE].flip(1)], 1))
    gap = (back.points.flip(1)[[0, 1], [0, 2]] - queries[:, [2, 1]]).norm(dim=1)
    torch.testing.assert_close(found.error[:, PIECE], gap, atol=1e-3, rtol=0)
    assert torch.equal(found.error.isnan(), plain.points.isnan().any(dim=2)) and bool((gap > 0).all())


# ---- thresholds

def test_within_hides_what_may_be_off_by_more_and_nothing_else():
    error = torch.tensor([[0., 2., 2.01, float('nan')]])
    tracks = Tracks(torch.zeros(1, 4, 2), torch.tensor([[1., 0.7, 1., 0.]]), torch.zeros(1, 3), (9, 9), error)
    found = tracks.within(2.)
    assert found.visible.tolist() == [[1, pytest.approx(0.7), 0, 0]] and found.error is error
    with pytest.raises(ValueError, match='no expected error'):
        Tracks(torch.zeros(1, 4, 2), torch.zeros(1, 4), torch.zeros(1, 3), (9, 9)).within(2.)
    with pytest.raises(ValueError, match=r'error of tracks must be \(N, T\)'):
        Tracks(torch.zeros(1, 4, 2), torch.zeros(1, 4), torch.zeros(1, 3), (9, 9), torch.zeros(4))

"""Masks and points propagated from Python: what masks mean, and what is refused."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmrefine.apis import init_model, open_tracker, propagate_masks, propagate_points
from mmrefine.apis.given_masks import GivenMasks
from mmrefine.apis.propagation import masks_along, points_along
from mmrefine.apis.propagators import propagator_of, way_of
from mmrefine.errors import ConfigError, InputError, TeacherError
from mmrefine.fileio import write_ids, write_image
from mmrefine.models import CorrespondenceLearner, TrackRefiner
from mmrefine.structures import Tracks

SIZE = (16, 24)
FRAMES = np.zeros((3, *SIZE, 3), np.uint8)


@pytest.fixture(scope='module')
def learner():
    return CorrespondenceLearner(dict(type='mmrefine.CorrFlowEncoder')).eval()


def drawn(*ids):
    mask = np.zeros(SIZE, np.uint8)
    for number, one in enumerate(ids):
        mask[4 * number:4 * number + 4] = one
    return mask


def test_high_ids_cost_no_more_than_low_ones_and_come_back():
    given = GivenMasks({0: drawn(9, 254), 2: drawn(255, 30)})
    maps = given.maps()
    assert given.ids == (9, 30, 254) and {len(found) for found in maps.values()} == {4}
    assert np.array_equal(given.ids_of(maps[0]), drawn(9, 254))
    assert maps[2][:, 0, 0].tolist() == [0, 0, 0, 0] and maps[2][:, 4, 0].tolist() == [0, 0, 1, 0]


def test_masks_may_be_of_any_whole_numbers():
    wanted = drawn(1)
    for mask in (wanted > 0, wanted.astype(np.int64), torch.from_numpy(wanted)):
        assert np.array_equal(GivenMasks(mask).masks[0], wanted)


@pytest.mark.parametrize('masks, sentence', [
    ({}, 'no masks are given'),
    ({4: drawn(1)[None]}, r'masks\[4\] must be the path of a mask or an array \(H, W\).*got uint8 \(1, 16, 24\)'),
    (drawn(1) / 2, r'whole numbers from 0 to 255, the ids of objects, got float64'),
    (drawn(1).astype(np.int32) * 256, r'whole numbers from 0 to 255.*got int32 \(16, 24\) with values from 0 to 256'),
    ({0: drawn(255)}, r'masks\[0\]: shows no object'),
    ({0: drawn(1), 1: np.full(SIZE, 255, np.uint8)}, r'masks\[1\]: shows no object'),
    ({0: drawn(1), 3: drawn(1)}, r'masks\[3\]: belongs to frame 3, and the video has the frames 0 to 2'),
    ({-1: drawn(1)}, r'masks\[-1\]: belongs to frame -1'),
    ({'0': drawn(1), 1: drawn(1)}, "masks has the key '0', and each must be the number of a frame"),
    ({1.5: drawn(1)}, 'masks has the key 1.5, and each must be the number of a frame'),
    (drawn(1)[1:], r'masks\[0\]: the mask is 15x24 px, and the frames of the video are 16x24 px'),
])
def test_masks_that_cannot_be_propagated_are_named(learner, masks, sentence):
    with pytest.raises(InputError, match=sentence):
        propagate_masks(FRAMES, masks, learner)


def test_a_later_mask_may_say_that_all_objects_are_gone(learner):
    found = propagate_masks(FRAMES, {0: drawn(5), 2: drawn()}, learner)
    assert (found[0] == 5).any() and not found[2].any()


def test_black_and_white_is_one_object_throughout_or_refused(tmp_path):
    white, ids, one, late = (tmp_path / f'{name}.png' for name in ('white', 'ids', 'one', 'late'))
    write_image(white, drawn(255))
    write_ids(ids, drawn(7, 200))
    write_ids(one, drawn(1))
    write_ids(late, drawn(255))  # with the palette: background and void
    assert [GivenMasks({0: white, 1: white}).masks[number].max() for number in (0, 1)] == [1, 1]
    corrected = GivenMasks({0: white, 1: one, 2: late})  # first drawn in white, then corrected with ids
    assert corrected.ids == (1, ) and np.array_equal(corrected.masks[2], drawn(255))
    for first in (ids, one, drawn(1)):
        with pytest.raises(InputError, match=r'white.png: is black and white, .* frame 3 .* has ids.* void \(255\)'):
            GivenMasks({3: first, 5: white})
    black = tmp_path / 'black.png'
    write_image(black, drawn())
    assert not GivenMasks({0: ids, 1: black}).masks[1].any()  # says the same either way


def test_a_picture_that_is_all_white_shows_no_object(tmp_path):
    write_image(tmp_path / 'all.png', np.full(SIZE, 255, np.uint8))
    write_image(tmp_path / 'white.png', drawn(255))
    for masks in ({0: tmp_path / 'all.png'}, {0: tmp_path / 'white.png', 1: tmp_path / 'all.png'}):
        with pytest.raises(InputError, match='all.png: shows no object'):
            GivenMasks(masks)


def test_the_way_is_that_of_the_network_or_the_one_that_is_named(learner):
    flow, tracker = open_tracker('demo', device='cpu'), object.__new__(TrackRefiner)
    assert [way_of(network) for network in (learner, flow, tracker)] == ['features', 'flow', 'tracks']
    assert way_of(learner, 'tracks') == way_of(flow, 'tracks') == 'tracks'
    with pytest.raises(ConfigError, match=r"model must be a network, got 'demo'; open it with open_tracker\('demo'\)"):
        propagate_masks(FRAMES, drawn(1), 'demo')
    with pytest.raises(ConfigError, match="by must be 'features' or 'flow' or 'tracks', got 'magic'"):
        way_of(learner, 'magic')
    with pytest.raises(ConfigError, match='propagation by flow needs a network that estimates flow.*got CorrFlowEnc'):
        way_of(learner, 'flow')
    plain = init_model('configs/demo/raft_small_video.py', device='cpu')
    with pytest.raises(ConfigError, match='by tracks needs a network that follows points, as open_tracker'):
        way_of(plain, 'tracks')
    with pytest.raises(ConfigError, match='memory and hard can be set for propagation by features only'):
        propagator_of(plain, memory=0, hard=True)
    assert propagator_of(learner, memory=3, most=5).memory == 3


@pytest.mark.parametrize('radius', [2, None])
def test_features_are_compared_in_the_window_that_they_were_learned_in(radius):
    network = CorrespondenceLearner(dict(type='mmrefine.CorrFlowEncoder'), radius=radius)
    assert propagator_of(network).radius == network.propagator().radius == radius


def test_points_outside_of_the_image_or_of_the_video_are_refused(learner):
    for queries in ([[0, 5., 24.]], [[3, 5., 5.]], 'ab'):
        with pytest.raises(InputError, match='quer(y|ies)'):
            propagate_points(FRAMES, queries, learner)


def test_labels_and_points_that_are_not_finite_are_refused():
    odd = SimpleNamespace(
        propagate=lambda *args: iter([(1, torch.full((2, *SIZE), float('nan')))]),
        follow=lambda *args: Tracks(torch.zeros(1, 3, 2), torch.full((1, 3), float('nan')), torch.zeros(1, 3), SIZE))
    with pytest.raises(TeacherError, match='the labels of frame 5 are not finite'):
        list(masks_along(odd, GivenMasks({4: drawn(1)}), None, 3, 4))
    with pytest.raises(TeacherError, match='points are not finite'):
        points_along(odd, None, None, 3, SIZE)

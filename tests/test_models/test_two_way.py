"""Both directions at once: the same flows as asking each by itself, with each frame encoded once."""
from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch.overrides import TorchFunctionMode

from mmrefine.compat.stock import stock_config_root
from mmrefine.errors import ConfigError
from mmrefine.models import FlowRefiner, FrameMemory, FrozenTeacher
from mmrefine.models.raft_fast import winograd
from mmrefine.models.raft_fast.two_way import runs_two_way

CONFIGS = {
    'raft': stock_config_root() / '_base_/models/raft.py',
    'gma': stock_config_root() / '_base_/models/gma/gma_plus-p.py',
    'official small': Path(__file__).parents[2] / 'configs/_base_/models/raft_small.py',
    'pwc': stock_config_root() / '_base_/models/pwcnet.py',
}
HEIGHT, WIDTH = 67, 75  # padded to 72 x 80
ITERS = 3


@lru_cache(maxsize=None)
def refiner_of(family):
    torch.manual_seed(0)
    model = Config.fromfile(CONFIGS[family]).model
    network = model.get('estimator', model)
    refiner = FlowRefiner(estimator=network, test_iters=None if family == 'pwc' else ITERS).eval()
    if family == 'gma':
        # 0 at the start: attention would not show
        torch.nn.init.constant_(refiner.estimator.decoder.aggregator.gamma, 1.)
    return refiner


@pytest.fixture
def build_calm(build_raft):
    """Builds a small RAFT whose random weights move no more than such small frames could:
    float32 sums depend on their order.
    """

    def build(**settings):
        refiner = build_raft(test_iters=ITERS, **settings).eval()
        with torch.no_grad():
            refiner.estimator.decoder.flow_pred.predict_layer.weight.mul_(.2)
        return refiner

    return build


@pytest.fixture
def small(build_calm):
    return build_calm()


def frames(count=2, batch=1):
    """Neighbours: each is mostly the one before."""
    generator = torch.Generator().manual_seed(1)
    found = [torch.rand(batch, 3, HEIGHT, WIDTH, generator=generator)]
    while len(found) < count:
        found.append(.8 * found[-1].roll(2, dims=-1) + .2 * torch.rand(batch, 3, HEIGHT, WIDTH, generator=generator))
    return found


def start_flow(seed, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return 6 * torch.randn(batch, 2, HEIGHT, WIDTH, generator=generator)


@torch.no_grad()
def each_by_itself(refiner, frames1, frames2, start_fw=None, start_bw=None):
    """By the stock network, in its own way."""
    return refiner.plain_flows(frames1, frames2, start_fw)[-1], refiner.plain_flows(frames2, frames1, start_bw)[-1]


def assert_same(found, wanted, px=1e-4):
    for ours, theirs in zip(found, wanted):
        assert float(theirs.abs().max()) > 100 * px  # a motion that would show a difference
        torch.testing.assert_close(ours, theirs, rtol=0, atol=px)


@contextlib.contextmanager
def counted(**modules):
    """How many samples went through each module, and in how many calls: ``{name: [samples of each call]}``."""
    seen = {name: [] for name in modules}
    handles = [
        module.register_forward_hook(lambda _, args, __, name=name: seen[name].append(len(args[0])))
        for name, module in modules.items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def encoders(refiner):
    return dict(features=refiner.estimator.encoder, context=refiner.estimator.context)


@pytest.mark.parametrize('starts', [(None, None), (1, 2), (3, None)])
@pytest.mark.parametrize('family', ['raft', 'gma', 'official small'])
def test_both_ways_at_once_are_the_two_ways_by_themselves(family, starts):
    refiner, pair = refiner_of(family), frames()
    given = [None if seed is None else start_flow(seed) for seed in starts]
    assert runs_two_way(refiner.estimator)
    assert_same(refiner.estimate_both(*pair, *given), each_by_itself(refiner, *pair, *given))


@pytest.mark.parametrize('start', [None, 1])
@pytest.mark.parametrize('family', ['raft', 'gma', 'official small'])
def test_one_way_without_gradients_is_the_last_flow_of_the_network_itself(family, start):
    refiner, pair = refiner_of(family), frames(batch=2)
    given = None if start is None else start_flow(start, batch=2)
    wanted, other = each_by_itself(refiner, *pair, given, given)
    with torch.no_grad():
        (found, ), (back, ) = refiner.estimate(*pair, given), refiner.estimate(*pair[::-1], given)
    assert_same((found, back), (wanted, other))
    assert not torch.allclose(found, back, atol=1e-2)


@torch.no_grad()
def test_one_way_each_frame_is_encoded_once_and_only_the_last_iterate_is_made_large():
    refiner, pair = refiner_of('raft'), frames(2, batch=2)
    decoder = refiner.estimator.decoder
    with counted(**encoders(refiner), mask=decoder.mask_pred, step=decoder.flow_pred) as seen:
        refiner.estimate(*pair)
    assert seen == dict(features=[2, 2], context=[2], mask=[2], step=[2] * ITERS)


def test_with_gradients_there_are_all_iterates(small):
    pair = frames()
    found, wanted = small.estimate(*pair), small.plain_flows(*pair)
    assert len(found) == len(wanted) == ITERS and found[-1].requires_grad
    assert_same([flow.detach() for flow in found], [flow.detach() for flow in wanted])


def test_the_pairs_of_a_batch_do_not_see_one_another(small):
    """Instance norm takes the statistics of each frame."""
    first, second = torch.cat(frames(3)[:2]), torch.cat(frames(3)[1:])
    together = small.estimate_both(first, second)
    for i in range(2):
        assert_same([flow[i:i + 1] for flow in together], each_by_itself(small, first[i:i + 1], second[i:i + 1]))


def test_each_frame_is_encoded_once_and_only_the_last_iterate_is_made_large(monkeypatch):
    refiner, pair = refiner_of('raft'), frames(2, batch=2)
    decoder = refiner.estimator.decoder
    with counted(**encoders(refiner), mask=decoder.mask_pred, step=decoder.flow_pred) as seen:
        refiner.estimate_both(*pair)
    assert seen == dict(features=[4], context=[4], mask=[4], step=[4] * ITERS)


@pytest.mark.parametrize('family', ['raft', 'gma'])
def test_the_convolutions_of_larger_frames_change_only_rounding(family, monkeypatch):
    """Those of Winograd, which frames as small as these would not take."""
    calls, convolve = [], winograd.convolve
    monkeypatch.setattr(winograd, '_LEAST_TILES', 1)
    monkeypatch.setattr(winograd, 'convolve', lambda *args: calls.append(1) or convolve(*args))
    refiner, pair = refiner_of(family), frames()
    with torch.no_grad():
        found = refiner.estimate_both(*pair)
    assert len(calls) >= 2 * ITERS  # some in each iteration
    with torch.no_grad():
        assert_same(found, each_by_itself(refiner, *pair))


def test_one_matrix_product_serves_both_directions(small, monkeypatch):
    # convolutions in the plain way: Winograd's are matrix products, too
    monkeypatch.setattr('mmrefine.models.raft_fast.winograd._gains', lambda *args, **kwargs: False)

    class Products(TorchFunctionMode):
        shapes: list = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func in (torch.matmul, torch.bmm, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.einsum):
                self.shapes.append(tuple(args[0].shape))
            return func(*args, **(kwargs or {}))

    with Products() as products:
        small.estimate_both(*frames())
    assert products.shapes == [(1, 9 * 10, 128)]


def test_another_family_gives_to_the_bit_what_it_gives_for_a_batch_of_both():
    refiner, pair = refiner_of('pwc'), frames()
    assert not runs_two_way(refiner.estimator)
    with torch.no_grad():
        wanted = refiner.estimate(torch.cat(pair), torch.cat(pair[::-1]))[-1]
    assert torch.equal(torch.cat(refiner.estimate_both(*pair)), wanted) and wanted.any()
    with pytest.raises(ValueError, match='PWCNet cannot start from a flow'):
        refiner.estimate_both(*pair, start_flow(0))


def test_a_network_that_changes_its_own_way_is_asked_by_itself(small):
    decoder = small.estimator.decoder
    usual = torch.cat(small.estimate_both(*frames()))

    class Doubled(type(decoder)):

        def forward(self, *args, **kwargs):
            return [2 * flow for flow in super().forward(*args, **kwargs)]

    decoder.__class__ = Doubled
    assert not runs_two_way(small.estimator)
    torch.testing.assert_close(torch.cat(small.estimate_both(*frames())), 2 * usual, rtol=0, atol=1e-4)


def test_a_norm_that_learns_from_its_batches_gets_the_batches_of_the_network(build_raft):
    refiner = build_raft(freeze_bn=False)
    assert runs_two_way(refiner.eval().estimator) and not runs_two_way(refiner.train().estimator)
    assert runs_two_way(build_raft(freeze_bn=True).train().estimator)


def test_nothing_of_the_network_changes_and_nothing_wants_a_gradient(small):
    before = {key: value.clone() for key, value in small.state_dict().items()}
    forward, backward = small.estimate_both(*frames())
    after = small.state_dict()
    assert list(before) == list(after) and all(torch.equal(before[key], after[key]) for key in before)
    assert small.estimator.decoder.iters == 3 and not forward.requires_grad and not backward.requires_grad


@contextlib.contextmanager
def iterating(refiner, iters):
    """The network with another number of iterations of its own."""
    usual, refiner.test_iters = refiner.test_iters, iters
    try:
        yield refiner
    finally:
        refiner.test_iters = usual


@pytest.mark.parametrize('starts', [(None, None), (1, 2)])
@pytest.mark.parametrize('family', ['raft', 'gma', 'official small'])
def test_asked_for_a_number_of_iterations_it_gives_what_a_network_with_that_number_gives(family, starts):
    refiner, pair = refiner_of(family), frames()
    given = [None if seed is None else start_flow(seed) for seed in starts]
    usual = each_by_itself(refiner, *pair, *given)
    with iterating(refiner, ITERS + 2):
        wanted = each_by_itself(refiner, *pair, *given)
        wanted_both = refiner.estimate_both(*pair, *given)
    teacher = FrozenTeacher(refiner)
    with counted(step=refiner.estimator.decoder.flow_pred) as seen:
        found = refiner.estimate_both(*pair, *given, iters=ITERS + 2)
        assert len(refiner.plain_flows(*pair, iters=ITERS + 2)) == ITERS + 2
    with torch.no_grad():
        assert_same([refiner.estimate(*pair, given[0], iters=ITERS + 2)[-1]], wanted[:1])
    assert seen == dict(step=[2] * (ITERS + 2) + [1] * (ITERS + 2))
    assert_same(found, wanted)
    assert not any(torch.allclose(ours, theirs, rtol=0, atol=1e-2) for ours, theirs in zip(found, usual))
    assert_same([teacher.estimate(*pair, given[0], ITERS + 2)[-1]], wanted[:1])
    for flows in (found, teacher.estimate_both(*pair, *given, iters=ITERS + 2)):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(flows, wanted_both))
    # and nothing stays of it
    assert (refiner.test_iters == ITERS
            and all(torch.equal(*two) for two in zip(each_by_itself(refiner, *pair, *given), usual)))


def test_a_number_of_iterations_holds_along_a_video_within_a_limit_and_for_a_network_that_goes_its_own_way(small):
    video, teacher = frames(3), FrozenTeacher(small)
    with iterating(small, 5):
        wanted = [each_by_itself(small, *pair) for pair in zip(video, video[1:])]
    with counted(**encoders(teacher.refiner)) as seen:
        for i, pair in enumerate(zip(video, video[1:])):
            # with and without, frames are encoded once
            for iters, flows in ((None, each_by_itself(small, *pair)), (5, wanted[i])):
                assert_same(teacher.estimate_both(*pair, names=([i], [i + 1]), iters=iters), flows)
    assert seen == dict(features=[1] * 3, context=[1] * 3)
    small.max_corr_bytes = 0
    with torch.no_grad():
        assert_same([small.estimate(*video[:2], iters=5)[-1]], wanted[0][:1], px=1e-3)

    class Itself(type(small.estimator.decoder)):
        """Does the same, but who knows."""

        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs)

    small.max_corr_bytes, small.estimator.decoder.__class__ = 4 * 2**30, Itself
    assert not runs_two_way(small.estimator)
    assert_same(small.estimate_both(*video[:2], iters=5), wanted[0])


def test_a_network_that_does_not_iterate_refuses_a_number_of_iterations_and_so_does_reason():
    refiner, pair = refiner_of('pwc'), frames()
    for ask in (refiner.estimate, refiner.estimate_both):
        with pytest.raises(ConfigError, match=r'^labeler\.view\.iters=7: PWCNet does not iterate; leave it out \(only '
                           'RAFT, GMA and CRAFT'):
            ask(*pair, iters=7)
    with pytest.raises(ConfigError, match=r'^labeler\.view\.iters must be at least 1, got 0'):
        refiner_of('raft').estimate_both(*pair, iters=0)


# memory for the comparisons: one direction of one pair takes 4 * 90 * (90 + 20 + 4 + 1) = 41400 bytes
ONE = 41400


@pytest.mark.parametrize('family', ['raft', 'gma', 'official small'])
@pytest.mark.parametrize('limit, batches', [(2 * ONE, [2]), (ONE, [1, 1]), (9000, [1, 1]), (0, [1, 1])])
def test_a_limit_on_memory_changes_the_order_of_work_and_not_the_flows(family, limit, batches):
    refiner, pair, starts = refiner_of(family), frames(), (start_flow(1), start_flow(2))
    wanted = each_by_itself(refiner, *pair, *starts)
    refiner.max_corr_bytes, usual = limit, refiner.max_corr_bytes
    try:
        with counted(**encoders(refiner), step=refiner.estimator.decoder.flow_pred) as seen:
            found = refiner.estimate_both(*pair, *starts)
        assert_same(found, wanted, px=1e-3)
        assert seen == dict(features=[2], context=[2], step=[b for b in batches for _ in range(ITERS)])
    finally:
        refiner.max_corr_bytes = usual


@pytest.mark.parametrize('limit', [ONE - 1, 0])
def test_one_direction_keeps_the_limit_too(small, limit):
    pair = frames(batch=2)
    wanted, _ = each_by_itself(small, *pair)
    small.max_corr_bytes = limit
    with torch.no_grad(), counted(all=small.estimator, step=small.estimator.decoder.flow_pred) as seen:
        found = small.estimate(*pair)
    assert seen == dict(all=[], step=[1] * 2 * ITERS)
    assert_same(found, [wanted], px=1e-3)


def test_a_limit_below_zero_is_refused(build_raft):
    with pytest.raises(ConfigError, match='max_corr_bytes must be 0 or more bytes, got -1'):
        build_raft(max_corr_bytes=-1)


@pytest.mark.parametrize('exit_below, steps', [(None, ITERS), (1e9, 1), (1e-9, ITERS)])
def test_iterations_end_once_the_motion_is_still(build_calm, exit_below, steps):
    refiner, pair = build_calm(exit_below=exit_below), frames()
    with counted(step=refiner.estimator.decoder.flow_pred) as seen:
        found = refiner.estimate_both(*pair)
        with torch.no_grad():
            alone, = refiner.estimate(*pair)
    assert seen == dict(step=[2] * steps + [1] * steps)
    torch.testing.assert_close(alone, found[0], rtol=0, atol=1e-4)
    refiner.test_iters = steps
    assert_same(found, each_by_itself(refiner, *pair))


def test_the_exit_is_measured_in_pixels_and_waits_for_the_last_of_the_batch(small):
    pair = frames()
    steps = []
    small.estimator.decoder.flow_pred.register_forward_hook(
        lambda _, __, step: steps.append(8 * step.norm(dim=1).mean(dim=(1, 2))))
    small.estimate_both(*pair)
    per_direction, steps[:] = torch.stack(steps), []
    first = per_direction[0]
    for threshold, wanted in ((float(first.max()) * 1.01, 1), (float(first.min() + first.max()) / 2, None)):
        small.exit_below = threshold
        small.estimate_both(*pair)
        assert len(steps) == wanted if wanted else len(steps) > 1
        steps.clear()


def test_an_invalid_exit_is_refused(build_raft):
    with pytest.raises(ConfigError, match='exit_below must be above 0 px, .* got 0'):
        build_raft(exit_below=0)
    with pytest.raises(ConfigError, match='exit_below=0.1: PWCNet is not run by our own iterations'):
        FlowRefiner(estimator=refiner_of('pwc').estimator, exit_below=.1)


def test_along_a_video_each_named_frame_is_encoded_once_and_the_labels_are_the_same_to_the_bit(small):
    video = frames(4)
    teacher = FrozenTeacher(small)
    with counted(**encoders(teacher.refiner)) as seen:
        found = [teacher.estimate_both(video[i], video[i + 1], names=([i], [i + 1])) for i in range(3)]
    assert seen == dict(features=[1] * 4, context=[1] * 4)
    for i, flows in enumerate(found):
        # who starts in the middle, another process say, has another memory and the same labels
        fresh = FrozenTeacher(small).estimate_both(video[i], video[i + 1], names=([i], [i + 1]))
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(flows, fresh))
        assert_same(flows, each_by_itself(small, video[i], video[i + 1]))


def test_neighbouring_pairs_of_one_batch_share_their_frames(small):
    video = torch.cat(frames(4))
    with counted(**encoders(small)) as seen:
        found = small.estimate_both(video[:-1], video[1:], names=('abc', 'bcd'))
    assert seen == dict(features=[1] * 4, context=[1] * 4)
    assert_same(found, each_by_itself(small, video[:-1], video[1:]))


def test_a_name_for_two_pictures_is_an_error_and_not_a_wrong_flow(small):
    first, second, third = frames(3)
    teacher = FrozenTeacher(small)
    teacher.estimate_both(first, second, names=(['a'], ['b']))
    with pytest.raises(ValueError, match=r"'b' was given to two different pictures of 72x80 px"):
        teacher.estimate_both(third, first, names=(['b'], ['a']))
    with pytest.raises(ValueError, match='2 frames need as many names, got 3'):
        teacher.estimate_both(first, second, names=(['a'], ['b', 'c']))


def test_two_sizes_of_one_frame_that_are_padded_to_the_same_are_two_pictures(small):
    pair, names = [frame[..., :16, :16] for frame in frames()], (['a'], ['b'])
    twice = [F.interpolate(frame, scale_factor=2., mode='bilinear') for frame in pair]
    teacher = FrozenTeacher(small)
    for one in (pair, twice, pair):  # 16 and 32 px, both padded to 64
        found, fresh = (which.estimate_both(*one, names=names) for which in (teacher, FrozenTeacher(small)))
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, fresh))


def test_along_a_video_each_frame_is_encoded_once_in_each_of_three_sizes():
    encoded = []

    def encoder(frame):
        encoded.append(tuple(frame.shape[-2:]))
        return (frame.mean(dim=(2, 3)), )

    memory = FrameMemory()
    video = {side: torch.rand(5, 3, side, side) for side in (4, 6, 8)}
    for i in range(4):
        for frames in video.values():
            memory.encode(encoder, frames[i:i + 2], [i, i + 1])
    assert len(encoded) == 5 * 3


def test_a_memory_keeps_the_last_frames_in_each_size():
    encoded = []

    def encoder(frame):
        encoded.append(tuple(frame.shape[-2:]))
        return (frame.mean(dim=(2, 3)), frame.amax(dim=(2, 3)))

    memory = FrameMemory(2)
    batch, large = torch.rand(3, 3, 4, 4), torch.rand(1, 3, 8, 8)
    mean, top = memory.encode(encoder, batch, 'abc')
    torch.testing.assert_close(mean, batch.mean(dim=(2, 3)))
    torch.testing.assert_close(top, batch.amax(dim=(2, 3)))
    memory.encode(encoder, batch[1:], 'bc')
    assert encoded == [(4, 4)] * 3
    memory.encode(encoder, large, 'c')              # the same name in another size is another picture
    memory.encode(encoder, batch[2:], 'c')
    assert encoded[3:] == [(8, 8)]
    memory.encode(encoder, batch[:1], 'a')          # too long ago
    assert encoded[4:] == [(4, 4)]
    batch[0] += 1                                   # what it remembers is its own
    with pytest.raises(ValueError, match="'a'"):
        memory.encode(encoder, batch[:1], 'a')

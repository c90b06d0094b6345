"""Both forms of the contrastive flow loss: drawn cells against closed forms and loops in NumPy, chunks against one."""
from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from test_contrastive_loss import one_hot_grid, value_of
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from mmrefine.models import ContrastiveFlowLoss

CELL = 8  # px
MODES = ('dense', 'sampled')
SAMPLED = partial(ContrastiveFlowLoss, 'sampled')


def in_px(cells):
    """A label that is the same in all of a cell: ``(B, C, h, w)`` -> ``(B, C, H, W)``."""
    return cells.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)


def scene(batch=2, channels=5, height=4, width=5, seed=1, dtype=torch.float32):
    """Features that want a gradient, and a label with a hole."""
    generator = torch.Generator().manual_seed(seed)
    feat1, feat2 = torch.randn(2, batch, channels, height, width, generator=generator, dtype=dtype)
    target = in_px(5 * torch.randn(batch, 2, height, width, generator=generator))
    weight = in_px(torch.rand(batch, 1, height, width, generator=generator))
    weight[:, :, :CELL, :CELL] = 0.
    return feat1.requires_grad_(), feat2.requires_grad_(), target, weight


def by_loops(feat1, feat2, target, weight, drawn, temperature=.1, exclude_within=1., negatives='image'):
    """The sampled form written out; ``drawn`` ``(B, h, w)`` says which cells are looked at."""
    feat1, feat2, target, weight = (part.detach().double().numpy() for part in (feat1, feat2, target, weight))
    height, width = feat1.shape[-2:]
    rows = []  # image, feature, where it ends, the feature there, weight
    for image, y, x in zip(*np.nonzero(drawn.numpy())):
        end = np.array([x, y]) + target[image, :, y * CELL, x * CELL] / CELL
        left, top = min(int(end[0]), width - 2), min(int(end[1]), height - 2)
        there = 0.
        for column in (left, left + 1):
            for row in (top, top + 1):
                there = there + (1 - abs(end[0] - column)) * (1 - abs(end[1] - row)) * feat2[image, :, row, column]
        here = feat1[image, :, y, x]
        rows.append((image, here / np.linalg.norm(here), end, there / np.linalg.norm(there),
                     weight[image, 0, y * CELL, x * CELL]))
    total = weights = 0.
    for image, here, end, there, share in rows:
        sum_exp = np.exp(here @ there / temperature)
        for other, _, place, candidate, _ in rows:
            if other == image and np.hypot(*(place - end)) > exclude_within or other != image and negatives == 'batch':
                sum_exp += np.exp(here @ candidate / temperature)
        total += share * (np.log(sum_exp) - here @ there / temperature)
        weights += share
    return total / max(weights, 1.)


def is_valid(target, weight):
    """Which cells have weight and end inside, ``(B, h, w)``."""
    height, width = (side // CELL for side in target.shape[-2:])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    end_x, end_y = (torch.stack([x, y])[None] + target[..., ::CELL, ::CELL] / CELL).unbind(1)
    inside = (end_x >= 0) & (end_x <= width - 1) & (end_y >= 0) & (end_y <= height - 1)
    return inside & (weight[:, 0, ::CELL, ::CELL] > 0)


@pytest.mark.parametrize('settings', [
    dict(), dict(negatives='batch'), dict(exclude_within=0.), dict(exclude_within=1.7, temperature=.5), dict(chunk=3)
], ids=str)
def test_drawn_cells_are_compared_as_loops_in_numpy_do(settings):
    feat1, feat2, target, weight = scene()
    valid = is_valid(target, weight)
    assert (valid.sum(dim=(1, 2)) > 7).all()
    loops = partial(by_loops, feat1, feat2, target, weight,
                    **{name: value for name, value in settings.items() if name != 'chunk'})
    whole = value_of(SAMPLED(**settings), feat1, feat2, target, weight)
    assert whole.item() == pytest.approx(loops(valid), rel=1e-5)

    torch.manual_seed(3)
    part = value_of(SAMPLED(positions=7, **settings), feat1, feat2, target, weight)
    drawn = torch.autograd.grad(part, feat1)[0].abs().sum(dim=1) > 0
    assert drawn.sum(dim=(1, 2)).tolist() == [7, 7] and not (drawn & ~valid).any()
    assert part.item() == pytest.approx(loops(drawn), rel=1e-5) and abs(part - whole) > 1e-3


def test_equal_features_give_the_logarithm_of_the_number_of_candidates():
    """Of 4 x 6 cells that all move by one cell to the right the last column leaves; each end has its direct neighbours
    excluded, or those within 1.5 cells, or none. Of the other image all are candidates."""
    feat = torch.ones(2, 3, 4, 6)
    target, weight = torch.zeros(2, 2, 32, 48), torch.ones(2, 1, 32, 48)
    target[:, 0] = 8.
    places = [(x, y) for x in range(5) for y in range(4)]
    for within in (0., 1., 1.5):
        counts = [1 + sum(math.hypot(x - u, y - v) > within for u, v in places) for x, y in places]
        for negatives, others in (('image', 0), ('batch', 20)):
            loss = SAMPLED(exclude_within=within, negatives=negatives)
            wanted = sum(math.log(count + others) for count in counts) / 20
            assert value_of(loss, feat, feat, target, weight).item() == pytest.approx(wanted, abs=1e-5)


def test_equal_features_of_the_dense_form_do_without_what_is_near():
    """All cells of frame 2 are candidates there, whether anything ends in them or not."""
    feat = torch.ones(2, 3, 4, 6)
    target, weight = torch.zeros(2, 2, 32, 48), torch.ones(2, 1, 32, 48)
    places = [(x, y) for x in range(6) for y in range(4)]
    for negatives, others in (('image', 0), ('batch', 24)):
        loss = ContrastiveFlowLoss(exclude_within=1., negatives=negatives)
        counts = [1 + others + sum(math.hypot(x - u, y - v) > 1 for u, v in places) for x, y in places]
        wanted = sum(map(math.log, counts)) / 24
        assert value_of(loss, feat, feat, target, weight).item() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize('mode', MODES)
def test_a_perfect_match_among_orthogonal_negatives(mode):
    """``log(1 + (N - 1) exp(-1 / tau))``, whatever the length of the features."""
    feat = one_hot_grid(3, 5, scale=20.)
    target, weight = torch.zeros(1, 2, 24, 40), torch.ones(1, 1, 24, 40)
    for tau in (.1, 1.):
        loss = ContrastiveFlowLoss(mode, temperature=tau, normalize=True, exclude_within=0.)
        wanted = math.log1p(14 * math.exp(-1 / tau))
        assert value_of(loss, feat, feat, target, weight).item() == pytest.approx(wanted, rel=1e-3)
    default = math.log1p(14 * math.exp(-10))
    assert value_of(SAMPLED(exclude_within=0.), feat, feat, target, weight).item() == pytest.approx(default, rel=1e-2)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('negatives', ['image', 'batch'])
@pytest.mark.parametrize('exclude_within', [0., 1.5])
def test_gradients_are_those_of_differences(mode, negatives, exclude_within):
    feat1, feat2, target, weight = scene(height=2, width=3, channels=3, dtype=torch.float64)
    loss = ContrastiveFlowLoss(mode, exclude_within=exclude_within, negatives=negatives, temperature=.5, chunk=4)
    found = value_of(loss, feat1, feat2, target / 2, weight)
    assert found > .1
    value = partial(value_of, loss, target=target / 2, weight=weight)
    assert torch.autograd.gradcheck(value, (feat1, feat2), fast_mode=True)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('settings', [dict(), dict(exclude_within=1.5, negatives='batch')], ids=str)
def test_chunks_change_nothing(mode, settings):
    feat1, feat2, target, weight = scene(height=7, width=9)
    results = []
    for chunk in (1, 5, 1000):
        loss = value_of(ContrastiveFlowLoss(mode, chunk=chunk, **settings), feat1, feat2, target, weight)
        with torch.no_grad():
            alone = value_of(ContrastiveFlowLoss(mode, chunk=chunk, **settings), feat1, feat2, target, weight)
        assert alone.item() == pytest.approx(loss.item(), rel=1e-6)
        results.append((loss, *torch.autograd.grad(loss, (feat1, feat2))))
    for found in results[:-1]:
        assert all(torch.allclose(one, other, rtol=1e-6, atol=1e-6) for one, other in zip(found, results[-1]))


class PeakBytes(TorchDispatchMode):
    """How many bytes of tensors that were made within it were alive at once."""

    def __enter__(self):
        self.alive, self.most = {}, 0
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, (tuple, list)) else [output]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage.data_ptr()] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {key: (ref, size) for key, (ref, size) in self.alive.items() if not ref.expired()}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return output


@pytest.mark.parametrize('settings', [dict(), dict(mode='sampled', positions=2000)], ids=str)
def test_memory_is_that_of_a_chunk(settings):
    """Of 24 x 32 cells all pairs are 2.25 MiB of float32; the scores of 32 cells are 1/24 of it, and the loss holds a
    few copies of one chunk beside the features."""
    feat1, feat2, target, weight = scene(batch=1, channels=4, height=24, width=32)
    pairs = 768**2 * 4
    most = {}
    for chunk in (32, 768):
        loss = ContrastiveFlowLoss(chunk=chunk, **settings)
        with PeakBytes() as peak:
            torch.autograd.grad(value_of(loss, feat1, feat2, target, weight), (feat1, feat2))
        most[chunk] = peak.most
    assert most[768] > 2 * pairs and most[32] < .5 * pairs


@pytest.mark.parametrize('mode', MODES)
def test_an_unlabelled_place_may_say_anything(mode):
    feat1, feat2, target, weight = scene()
    target[:, :, :CELL, :CELL] = float('nan')  # the hole
    weight[1] = 0.  # and an image without any label
    target[1] = float('inf')
    loss = value_of(ContrastiveFlowLoss(mode), feat1, feat2, target, weight)
    alone = value_of(ContrastiveFlowLoss(mode), feat1[:1], feat2[:1], target[:1], weight[:1])
    of_first, of_second = torch.autograd.grad(loss, (feat1, feat2))
    assert loss.item() == pytest.approx(alone.item(), rel=1e-6) and loss > .1
    assert of_first[0].isfinite().all() and of_first[0].any() and of_second[0].isfinite().all()
    assert not of_first[1].any() and not of_second[1].any()


@pytest.mark.parametrize('mode', MODES)
def test_nothing_that_can_be_matched_is_zero_with_zero_gradient(mode):
    for weights, motion in ((0., 0.), (1., 1e3)):
        feat1, feat2, target, weight = scene()
        target, weight = torch.full_like(target, motion), torch.full_like(weight, weights)
        loss = value_of(ContrastiveFlowLoss(mode), feat1, feat2, target, weight)
        assert loss.item() == 0 and not any(grad.any() for grad in torch.autograd.grad(loss, (feat1, feat2)))


@pytest.mark.parametrize('mode', MODES)
def test_a_broken_label_with_weight_is_noticed(mode):
    feat1, feat2, target, weight = scene()
    target[0, 0, 9, 9], weight[0, 0, 9, 9] = float('nan'), 1.
    assert value_of(ContrastiveFlowLoss(mode), feat1, feat2, target, weight).isnan()


@pytest.mark.parametrize('mode', MODES)
def test_features_of_zero_have_a_bounded_gradient(mode):
    _, feat2, target, weight = scene()
    feat1 = torch.zeros_like(feat2, requires_grad=True)
    loss = value_of(ContrastiveFlowLoss(mode, normalize=True, temperature=1.), feat1, feat2, target, weight)
    assert torch.autograd.grad(loss, feat1)[0].norm() < 1e3


def test_an_image_counts_by_its_weight_and_its_negatives_are_its_own():
    """Two images together are the weighted mean of both; with the negatives of the batch they are more than that."""
    feat1, feat2, target, weight = scene()
    weight[1] *= .4
    single = [value_of(SAMPLED(), *(part[i:i + 1] for part in (feat1, feat2, target, weight))) for i in (0, 1)]
    shares = [float((weight[:, 0, ::CELL, ::CELL] * is_valid(target, weight))[i].sum()) for i in (0, 1)]
    mean = (single[0] * shares[0] + single[1] * shares[1]) / sum(shares)
    assert min(shares) >= 1 and shares[0] > 1.5 * shares[1]
    assert value_of(SAMPLED(), feat1, feat2, target, weight).item() == pytest.approx(mean.item(), rel=1e-5)
    assert value_of(SAMPLED(negatives='batch'), feat1, feat2, target, weight) > mean + .1


def test_cells_are_drawn_anew_and_by_the_seed_of_torch():
    feat1, feat2, target, weight = scene()
    loss = SAMPLED(positions=4)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = (value_of(loss, feat1, feat2, target, weight).item() for _ in range(2))
    torch.set_rng_state(state)
    assert first != second
    assert [value_of(loss, feat1, feat2, target, weight).item() for _ in range(2)] == [first, second]


def test_every_valid_cell_is_drawn_as_often():
    feat1, feat2, target, weight = scene()
    valid, counts = is_valid(target, weight)[0].float(), torch.zeros(4, 5)
    torch.manual_seed(6)
    loss = SAMPLED(positions=3, exclude_within=0.)
    for _ in range(200):
        value = value_of(loss, feat1[:1], feat2[:1], target[:1], weight[:1])
        counts += torch.autograd.grad(value, feat1)[0][0].abs().sum(dim=0) > 0
    share = 3 / valid.sum()
    assert counts.sum() == 600
    assert ((counts - 200 * share * valid).abs() <= 4 * (200 * share * (1 - share)).sqrt() * valid).all()


@pytest.mark.parametrize('settings, message', [
    (dict(mode='sparse'), "mode must be 'dense' or 'sampled', got 'sparse'"),
    (dict(negatives='all'), "negatives must be 'image' or 'batch', got 'all'"),
    (dict(positions=0), 'positions must be at least 1 cell, got 0'),
    (dict(chunk=0), 'chunk must be at least 1 cell, got 0'),
    (dict(exclude_within=-1.), 'exclude_within must be 0 or more cells, got -1'),
    (dict(mode='sampled', temperature=0.), 'temperature must be positive, got 0'),
])
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveFlowLoss(**settings)

"""Labels are copied as the definition of restricted attention says, in whatever parts they are computed."""
from __future__ import annotations

import math

import pytest
import torch

from mmrefine.geometry import copy_labels, restricted_attention


def inputs(height, width, references=1, batch=2, channels=3, classes=2, dtype=torch.float64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, channels, height, width, generator=rng, dtype=dtype),
            torch.randn(batch, references, channels, height, width, generator=rng, dtype=dtype),
            torch.rand(batch, references, classes, height, width, generator=rng, dtype=dtype))


def by_definition(target, references, labels, radius, most):
    """Cell by cell, from the formula."""
    copied = torch.zeros(len(target), labels.shape[2], *target.shape[2:], dtype=torch.float64)
    height, width = target.shape[2:]
    for b in range(len(target)):
        for y in range(height):
            for x in range(width):
                found = [(float(target[b, :, y, x] @ references[b, m, :, v, u]), labels[b, m, :, v, u])
                         for m in range(references.shape[1]) for v in range(height) for u in range(width)
                         if radius is None or max(abs(v - y), abs(u - x)) <= radius]
                found = sorted(found, key=lambda one: -one[0])[:most]
                weights = [math.exp(score) for score, _ in found]
                copied[b, :, y, x] = sum(weight * label for weight, (_, label) in zip(weights, found)) / sum(weights)
    return copied


@pytest.mark.parametrize('most', [None, 3])
@pytest.mark.parametrize('references', [1, 3])
@pytest.mark.parametrize('radius', [0, 2, None])
@pytest.mark.parametrize('size', [(8, 8), (9, 5), (3, 11), (1, 1)], ids=str)
def test_copied_labels_equal_the_definition(size, radius, references, most):
    given = inputs(*size, references=references)
    torch.testing.assert_close(copy_labels(*given, radius=radius, most=most), by_definition(*given, radius, most),
                               atol=1e-12, rtol=0)


@pytest.mark.parametrize('radius', [6, 30])
def test_a_window_larger_than_the_frame_is_the_frame(radius):
    given = inputs(5, 7)
    torch.testing.assert_close(copy_labels(*given, radius=radius), copy_labels(*given, radius=None), atol=1e-12, rtol=0)


def test_the_window_is_exact_and_square():
    # a single label at (10, 12), features that are all alike: its share is 1 / candidates wherever it is in the window
    height, width, radius = 20, 25, 3
    label = torch.zeros(1, 1, 1, height, width)
    label[..., 10, 12] = 1
    copied = copy_labels(torch.ones(1, 4, height, width), torch.ones(1, 1, 4, height, width), label, radius)[0, 0]
    wanted = torch.zeros(height, width)
    wanted[7:14, 9:16] = 1 / 49
    torch.testing.assert_close(copied, wanted, atol=1e-7, rtol=0)


def test_at_the_border_only_cells_inside_the_frame_share_the_weight():
    label = torch.ones(1, 1, 1, 9, 9)
    alike = torch.ones(1, 2, 9, 9)
    copied = copy_labels(alike, alike[:, None], label, radius=6)
    torch.testing.assert_close(copied, torch.ones(1, 1, 9, 9))  # padding would count as labels of 0
    against = copy_labels(alike, -100 * alike[:, None], label, radius=6)  # even where padding, 0, would fit best
    torch.testing.assert_close(against, torch.ones(1, 1, 9, 9))


def test_scores_of_exactly_0_count():
    # orthogonal features: the official code would take them for cells outside of the image
    target, references = torch.zeros(2, 1, 2, 4, 4)
    target[:, 0], references[:, 1] = 1, 1
    references[:, :, 0, 0] = torch.tensor([[-50., 1.]])
    label = torch.arange(16.).view(1, 1, 1, 4, 4)
    copied = copy_labels(target, references[None], label, radius=None)
    torch.testing.assert_close(copied, torch.full((1, 1, 4, 4), sum(range(1, 16)) / 15))


@pytest.mark.parametrize('radius, most', [(2, None), (2, 4), (None, None), (None, 4)])
@pytest.mark.parametrize('at_once', [1, 40_000])
def test_parts_equal_the_whole(at_once, radius, most, monkeypatch):
    given = inputs(37, 21, references=2, channels=5)
    whole = copy_labels(*given, radius=radius, most=most)
    parts = []
    attend = restricted_attention._attend
    monkeypatch.setattr(restricted_attention, '_attend', lambda *args: parts.append(args[0].shape) or attend(*args))
    monkeypatch.setattr(restricted_attention, '_AT_ONCE', at_once)
    torch.testing.assert_close(copy_labels(*given, radius=radius, most=most), whole, atol=1e-12, rtol=0)
    assert len(parts) > 3


@pytest.mark.parametrize('tile', [3, 16])
def test_the_size_of_the_tiles_changes_nothing(tile, monkeypatch):
    given = inputs(13, 18, references=2)
    whole = copy_labels(*given, radius=4)
    monkeypatch.setattr(restricted_attention, '_TILE', tile)
    torch.testing.assert_close(copy_labels(*given, radius=4), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize('radius, most', [(1, None), (2, 3), (None, None), (None, 3)])
def test_gradients_are_those_of_the_definition(radius, most):
    given = [each.requires_grad_() for each in inputs(4, 9, references=2, batch=1)]
    assert torch.autograd.gradcheck(lambda *args: copy_labels(*args, radius=radius, most=most), given)


@pytest.mark.parametrize('size', [(1, 1), (7, 9), (17, 3)], ids=str)
def test_no_gradient_is_nan_and_padding_has_none(size):
    given = [each.requires_grad_() for each in inputs(*size, dtype=torch.float32)]
    copy_labels(*given, radius=2).sum().backward()
    assert all(bool(torch.isfinite(each.grad).all()) for each in given)
    # all weights of a cell add up to 1, so the gradients of the labels add up to the number of cells
    assert float(given[2].grad.sum()) == pytest.approx(2 * 2 * size[0] * size[1], rel=1e-5)


def test_a_still_video_keeps_its_labels_where_features_are_distinct():
    rng = torch.Generator().manual_seed(0)
    features = 10 * torch.nn.functional.normalize(torch.randn(1, 64, 30, 45, generator=rng), dim=1)
    label = torch.nn.functional.one_hot(torch.randint(4, (30, 45), generator=rng)).permute(2, 0, 1)[None]
    shown = label.float()
    for _ in range(10):
        shown = copy_labels(features, features[:, None], shown[:, None])
    assert bool((shown.argmax(dim=1) == label.argmax(dim=1)).all()) and float(shown.amax(dim=1).min()) > 0.99


def test_labels_move_with_the_features():
    # all moves by 3 cells to the right and 2 up
    rng = torch.Generator().manual_seed(0)
    features = 10 * torch.nn.functional.normalize(torch.randn(1, 64, 20, 30, generator=rng), dim=1)
    label = torch.rand(1, 1, 20, 30, generator=rng)
    moved, wanted = (each.roll((-2, 3), (2, 3)) for each in (features, label))
    copied = copy_labels(moved, features[:, None], label[:, None])
    torch.testing.assert_close(copied[..., :-2, 3:], wanted[..., :-2, 3:], atol=1e-3, rtol=0)


def test_scores_are_exact_under_autocast_and_labels_may_be_of_any_type():
    target, references, labels = inputs(9, 10, channels=64, dtype=torch.float32)
    labels = labels > 0.5
    wanted = copy_labels(3 * target, 3 * references, labels.float())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = copy_labels(3 * target, 3 * references, labels)
        assert (3 * target @ target.mT).dtype == torch.bfloat16  # autocast is on here
    assert found.dtype == torch.float32 and torch.equal(found, wanted)
    halves = copy_labels(target.bfloat16(), references.bfloat16(), labels)
    exact = copy_labels(target.bfloat16().float(), references.bfloat16().float(), labels)
    assert torch.equal(halves, exact)


def test_equal_scores_share_the_last_place_among_the_best():
    alike = torch.ones(1, 2, 1, 4)
    label = torch.arange(4.).view(1, 1, 1, 1, 4)
    assert torch.equal(copy_labels(alike, alike[:, None], label, None, 1), torch.full((1, 1, 1, 4), 1.5))


@pytest.mark.parametrize('change, story', [
    (dict(target=(3, 4, 5)), r'target must be \(B, C, H, W\), got \(3, 4, 5\)'),
    (dict(target=(2, 3, 4, 0)), r'target must be \(B, C, H, W\), got \(2, 3, 4, 0\)'),
    (dict(references=(2, 3, 4, 5)), r'references must be .* = \(2, M, 3, 4, 5\).*got \(2, 3, 4, 5\)'),
    (dict(references=(2, 0, 3, 4, 5)), r'M of at least 1, got \(2, 0, 3, 4, 5\)'),
    (dict(references=(2, 1, 4, 4, 5)), r'got \(2, 1, 4, 4, 5\)'),
    (dict(labels=(2, 2, 6, 4, 5)), r'labels must be .* = \(2, 1, K, 4, 5\), got \(2, 2, 6, 4, 5\)'),
    (dict(labels=(2, 1, 6, 16, 20)), r'labels must be .* got \(2, 1, 6, 16, 20\)'),
    (dict(radius=-1), 'radius must be at least 0, or None, got -1'),
    (dict(most=0), 'most must be at least 1, or None, got 0'),
])
def test_shapes_that_do_not_belong_together_are_refused(change, story):
    shapes = {**dict(target=(2, 3, 4, 5), references=(2, 1, 3, 4, 5), labels=(2, 1, 6, 4, 5)), **change}
    given = {name: torch.zeros(shape) if isinstance(shape, tuple) else shape for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=story):
        copy_labels(**given)

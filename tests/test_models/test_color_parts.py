"""The parts of CorrFlow's objective, each by itself: channels, classes of colours, crops."""
from __future__ import annotations

import io
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from mmrefine.errors import InputError
from mmrefine.fileio.color_centroids import read_centroids, write_centroids
from mmrefine.geometry import lab
from mmrefine.models import ChannelDropout, ColorClasses, CropWarp, GreyInput


def test_channels_are_dropped_as_often_as_said_the_same_for_a_batch_and_what_remains_is_rescaled():
    part, frames = ChannelDropout(0.7).train(), torch.rand(2, 3, 3, 4, 5) + 0.1
    torch.manual_seed(0)
    dropped = Counter()
    for _ in range(3000):
        factor = part(frames) / frames
        assert torch.allclose(factor, factor[:1, :1, :, :1, :1].expand_as(factor))
        values = tuple(round(float(v), 4) for v in factor[0, 0, :, 0, 0])
        assert sum(values) == pytest.approx(3)
        dropped[values] += 1
    counts = Counter()
    for values, times in dropped.items():
        counts[values.count(0.)] += times
    # none, one, two of three channels: 0.3, 0.35, 0.35
    assert [counts[k] / 3000 for k in range(3)] == pytest.approx([0.3, 0.35, 0.35], abs=0.03)
    assert len(dropped) == 7 and min(dropped.values()) > 250  # each channel, each pair of them


def test_no_channel_is_dropped_in_use_and_what_is_drawn_does_not_depend_on_it():
    frames = torch.rand(1, 3, 4, 5)
    state = torch.get_rng_state()
    assert ChannelDropout(1.).eval()(frames) is frames and torch.equal(state, torch.get_rng_state())
    after = []
    for prob in (0., 1.):
        torch.manual_seed(5)
        before = frames.clone()
        changed = ChannelDropout(prob).train()(frames)
        assert torch.equal(frames, before) and torch.equal(changed, frames) is (prob == 0)
        after.append(torch.get_rng_state())
    assert torch.equal(*after)


def test_grey_input_is_the_luma_in_all_channels_and_mode():
    frames = torch.rand(2, 3, 3, 4, 5)
    for part in (GreyInput().train(), GreyInput().eval()):
        seen = part(frames)
        wanted = 0.299 * frames[:, :, 0] + 0.587 * frames[:, :, 1] + 0.114 * frames[:, :, 2]
        torch.testing.assert_close(seen, wanted[:, :, None].expand_as(frames))


def test_a_class_is_the_nearest_colour_as_opencv_has_it():
    classes = ColorClasses()
    assert len(classes) == 16 and not classes.state_dict()
    rng = np.random.default_rng(0)
    frame = rng.random((40, 50, 3), dtype=np.float32)
    colours = cv2.cvtColor(frame, cv2.COLOR_RGB2Lab)[..., 1:]
    distance = np.linalg.norm(colours[:, :, None] - classes.centroids.numpy(), axis=-1)
    found = classes(torch.from_numpy(frame).permute(2, 0, 1)[None])[0].numpy()
    chosen = np.take_along_axis(distance, found[..., None], axis=2)[..., 0]
    # OpenCV's tables are right to a few tenths, which decides between colours that are nearly as near
    assert (chosen - distance.min(axis=2)).max() < 0.5 and (found == distance.argmin(axis=2)).mean() > 0.98
    assert len(np.unique(found)) > 10


def test_a_centroid_is_of_its_own_class():
    classes = ColorClasses()
    grey = torch.full((1, 3, 2, 2), 0.5)
    assert float(lab(grey)[:, 1:].abs().max()) < 0.01 and classes(grey).unique().tolist() == [15]  # (0.193, 0.032)


def test_cells_are_shares_of_classes_and_numbers_of_classes_are_not_averaged():
    """Four rows of 0022, 0022, 0022, 0002: half of the cell is of class 0 but for one pixel, and nothing of class 1."""
    classes = torch.tensor([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 2]]).repeat(1, 2)[None]
    cells = ColorClasses().cells(classes, (1, 2))
    assert cells.shape == (1, 16, 1, 2)
    for column in range(2):
        assert cells[0, :3, 0, column].tolist() == [9 / 16, 0., 7 / 16] and float(cells[0, 3:].abs().max()) == 0
    odd = ColorClasses().cells(torch.randint(16, (2, 30, 45)), (8, 12))
    torch.testing.assert_close(odd.sum(dim=1), torch.ones(2, 8, 12))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_ones_own_centroids_are_read_from_both_kinds_of_file(tmp_path):
    values = np.array([[1.5, -2.25], [30., 40.], [-7., 0.125]], np.float32)
    write_centroids(tmp_path / 'a.json', values, videos='some')
    (tmp_path / 'a.npy').write_bytes(npy(values))
    for name in ('a.json', 'a.npy'):
        np.testing.assert_array_equal(read_centroids(tmp_path / name), values)
        part = ColorClasses(tmp_path / name)
        assert len(part) == 3 and 'a.' in part.extra_repr()
        assert part.cells(part(torch.rand(1, 3, 8, 8)), (2, 2)).shape == (1, 3, 2, 2)


@pytest.mark.parametrize('name, data, message', [
    ('a.json', b'[[1, 2], [3, 4]]', 'a.json: holds no centroids'),
    ('a.json', b'{"centroids": [[1, 2], [3, "x"]]}', 'a.json: holds no centroids'),
    ('a.json', b'{"centroids": [[1, 2]]}', r'a.json: centroids must be two or more .* got an array \(1, 2\)'),
    ('a.json', b'{"centroids": [[1, 2], [1, 2]]}', 'two or more different colours'),
    ('a.json', b'{"centroids": [[1, 2], [1, 300]]}', 'from -128 to 128'),
    ('a.json', b'{"centroids": [[1, 2, 3], [4, 5, 6]]}', r'got an array \(2, 3\)'),
    ('a.npy', npy(np.array([{}, {}])), 'a.npy: holds no centroids .*fit_color_classes'),
    ('a.npy', npy(np.full((3, 2), np.nan)), 'centroids must be'),
    ('a.npy', b'\x93NUMPY', 'a.npy: holds no centroids'),
])
def test_a_file_that_holds_no_centroids_is_refused(name, data, message, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        ColorClasses(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match='none.json'):
        ColorClasses(tmp_path / 'none.json')


def test_a_crop_is_the_affine_warp_it_says():
    """Of a picture whose value at (x, y) is x, or y, bilinear sampling shows where it was sampled."""
    y, x = torch.meshgrid(torch.arange(40.), torch.arange(60.), indexing='ij')
    ramps = torch.stack([x, y])[None].repeat(6, 1, 1, 1)
    part = CropWarp(shift=5.)
    torch.manual_seed(0)
    points = part.points(ramps)
    torch.testing.assert_close(part(ramps, points), points, rtol=0, atol=1e-4)
    moved = points - ramps
    assert 3 < float(moved.abs().max()) <= 5
    # inwards from each side, evenly in between, and not the same for all clips and sides
    assert bool((moved[:, 0, :, 0] >= 0).all()) and bool((moved[:, 0, :, -1] <= 0).all())
    assert bool((moved[:, 1, 0] >= 0).all()) and bool((moved[:, 1, -1] <= 0).all())
    steps = points[:, 0, 0].diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=0, atol=1e-4)
    assert len({round(float(value), 3) for value in (moved[:, 0, 0, 0], moved[:, 0, 0, -1], moved[:, 1, 0, 0],
                                                     moved[:, 1, -1, 0]) for value in value}) == 24
    assert torch.equal(CropWarp(0.).points(ramps), ramps)


def test_a_small_frame_keeps_half_of_each_side():
    points = CropWarp(shift=100.).points(torch.zeros(50, 1, 9, 13))
    spans = (points[:, :, -1, -1] - points[:, :, 0, 0]) / torch.tensor([12., 8.])
    assert bool((spans >= 0.5 - 1e-6).all()) and bool((points >= 0).all())

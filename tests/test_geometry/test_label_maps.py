"""Labels as maps: ids and back, at the size of cells and back."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmrefine.geometry import cells_of, fill_background, heat_maps, ids_of, one_hot, pixels_of, read_heat_maps


def test_ids_become_maps_and_come_back_and_void_is_in_none():
    ids = torch.tensor([[0, 1, 3], [255, 3, 0]], dtype=torch.uint8)
    maps = one_hot(ids)
    assert maps.shape == (4, 2, 3) and maps.sum() == 5
    assert maps[3].tolist() == [[0, 0, 1], [0, 1, 0]] and not maps[:, 1, 0].any() and not maps[2].any()
    assert ids_of(fill_background(maps)).tolist() == [[0, 1, 3], [0, 3, 0]]
    assert one_hot(ids, 5).shape == (6, 2, 3)
    assert one_hot(torch.full((2, 2), 255)).shape == (1, 2, 2)


def test_an_id_that_is_no_object_and_masks_of_another_kind_are_refused():
    with pytest.raises(ValueError, match='the mask has the id 3, and there are 2 objects'):
        one_hot(torch.tensor([[3, 255]]), 2)
    with pytest.raises(ValueError, match=r'whole numbers, got \(2,\) torch.uint8'):
        one_hot(torch.zeros(2, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r'whole numbers, got \(2, 2\) torch.float32'):
        one_hot(torch.zeros(2, 2))


def test_the_background_is_what_objects_leave():
    maps = torch.tensor([[[0.9, 0., 0.]], [[0.25, 0.5, 0.]], [[0.25, 0.75, 0.]]])
    assert fill_background(maps)[:, 0].tolist() == [[0.5, 0., 1.], [0.25, 0.5, 0.], [0.25, 0.75, 0.]]


def test_maps_of_cells_equal_the_resizes_that_keep_the_edges_of_the_frame():
    maps = torch.rand(3, 16, 24)
    torch.testing.assert_close(cells_of(maps, 4, 'bilinear'), F.interpolate(
        maps[None], scale_factor=0.25, mode='bilinear', align_corners=False)[0])
    torch.testing.assert_close(cells_of(maps, 4), F.interpolate(maps[None], (4, 6), mode='area')[0])
    cells = torch.rand(3, 4, 6)
    torch.testing.assert_close(pixels_of(cells, 4), F.interpolate(
        cells[None], (16, 24), mode='bilinear', align_corners=False)[0])


def test_a_point_is_read_where_it_was_drawn():
    points = torch.tensor([[3., 2.], [5.25, 0.], [0.5, 4.75], [8., 6.], [-3., 9.]])
    maps = heat_maps(points, (7, 9))
    torch.testing.assert_close(maps.sum(dim=(1, 2)), torch.ones(5))
    found, sure = read_heat_maps(maps)
    torch.testing.assert_close(found[:4], points[:4])
    assert found[4].tolist() == [0, 6] and sure.tolist() == pytest.approx([1] * 5)  # outside: to the border


def test_only_what_lies_around_the_maximum_says_where_a_point_is_and_how_surely():
    maps = torch.zeros(2, 5, 12)
    maps[0, 2, 2], maps[0, 2, 3], maps[0, 4, 10] = 0.4, 0.2, 0.3  # the last one is far away
    found, sure = read_heat_maps(maps)
    assert found[0].tolist() == pytest.approx([2 + 1 / 3, 2]) and found[1].isnan().all()
    assert sure.tolist() == pytest.approx([0.6, 0])  # of 1, as the map has only 0.9 left
    assert read_heat_maps(4 * maps)[1][0] == pytest.approx(0.6 / 0.9)


@pytest.mark.parametrize('size', [(7, 9), (1, 4), (3, 2)])
def test_a_map_is_read_as_by_products_of_whole_maps_also_at_the_border(size):
    maps = torch.rand(30, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found, sure = read_heat_maps(maps)
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in size), indexing='ij')
    for one, point, share in zip(maps, found, sure):
        top, left = divmod(int(one.argmax()), size[1])
        near = one * ((y - top).abs() <= 2) * ((x - left).abs() <= 2)
        wanted = torch.stack([(near * x).sum(), (near * y).sum()]) / near.sum()
        torch.testing.assert_close(point, wanted)
        assert float(share) == pytest.approx(float(near.sum() / max(1., one.sum())))

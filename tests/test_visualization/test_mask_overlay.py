"""Masks over frames: half their colour inside, all of it on the border, and nothing on the background."""
import numpy as np
import pytest

from mmrefine.visualization import draw_masks

RED, GREEN = (128, 0, 0), (0, 128, 0)  # ids 1 and 2 of DAVIS' palette


def test_an_object_is_tinted_and_its_border_is_full_colour():
    frame = np.full((12, 16, 3), 100, np.uint8)
    ids = np.zeros((12, 16), np.uint8)
    ids[2:9, 2:9], ids[2:9, 9:14] = 1, 2
    found = draw_masks(frame, ids)
    assert (found[ids == 0] == 100).all() and (frame == 100).all()
    assert found[5, 5].tolist() == [114, 50, 50] and found[5, 11].tolist() == [50, 114, 50]
    for y, x, color in ((2, 5, RED), (5, 2, RED), (8, 8, RED), (5, 8, RED), (5, 9, GREEN), (5, 13, GREEN)):
        assert tuple(found[y, x]) == color
    assert (found == [*RED]).all(axis=2).sum() == 7 * 7 - 5 * 5


def test_the_border_of_the_frame_is_no_border_of_an_object():
    found = draw_masks(np.full((6, 6, 3), 100, np.uint8), np.ones((6, 6), np.uint8))
    assert (found == [114, 50, 50]).all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'\(4, 5\), got \(4, 6\)'):
        draw_masks(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6), np.uint8))

import numpy as np
import pytest
import torch

from mmrefine.structures import FlowLabel
from mmrefine.visualization import before_after_sheet, flow_to_rgb, label_overlay

SIZE = (60, 120)  # panels are 480 wide: four times as large, without rounding
FRAME = np.full((*SIZE, 3), (10, 120, 240), dtype=np.uint8)


def flow(u, v=0.):
    return np.broadcast_to(np.array([u, v], dtype=np.float32), (*SIZE, 2)).copy()


def at(sheet, row, column, y=0.5, x=0.5):
    """The colour at a relative place of a panel: rows of 30 + 240 px, 12 px between panels."""
    return tuple(int(c) for c in sheet[row * 282 + 30 + int(y * 240), column * 492 + int(x * 480)])


def test_the_sheet_shows_frame_truth_before_and_after_on_one_scale():
    sheet = before_after_sheet(FRAME, flow(4.), flow(0., 2.), 4., truth=flow(-2.))
    assert sheet.shape == (3 * 270 + 2 * 12, 972, 3) and sheet.dtype == np.uint8
    assert at(sheet, 0, 0) == (10, 120, 240)
    for place, motion in {(0, 1): flow(-2.), (1, 0): flow(4.), (1, 1): flow(0., 2.)}.items():
        assert at(sheet, *place) == tuple(flow_to_rgb(motion, 4.)[0, 0])


def test_where_the_error_fell_is_green_where_it_rose_red_and_where_it_stayed_white():
    after = flow(2.)
    after[:, :40, 0], after[:, 80:, 0] = 1., 3.
    sheet = before_after_sheet(FRAME, flow(2.), after, 4., truth=flow(0.))
    green, white, red = (at(sheet, 2, 0, x=x) for x in (1 / 6, 1 / 2, 5 / 6))
    assert white == (255, 255, 255)
    assert green[1] > 2 * green[0] and green[1] > 2 * green[2]
    assert red[0] > 2 * red[1] and red[0] > 2 * red[2]


def test_unknown_truth_is_grey_in_the_truth_and_in_the_change():
    truth, valid = flow(1.), np.ones(SIZE, dtype=bool)
    truth[:30] = np.nan
    valid[:, :60] = False
    sheet = before_after_sheet(FRAME, flow(2.), flow(1.), 4., truth=truth, valid=valid)
    for place in ((0, 1), (2, 0)):
        assert at(sheet, *place, y=.25, x=.75) == at(sheet, *place, y=.75, x=.25) == (64, 64, 64)
        assert at(sheet, *place, y=.75, x=.75) != (64, 64, 64)


def test_without_truth_the_sheet_shows_frame_2_and_how_far_the_flow_moved():
    after = flow(1.)
    after[:, 60:, 0] = 5.
    frame2 = FRAME[..., ::-1].copy()
    sheet = before_after_sheet(FRAME, flow(1.), after, 8., frame2=frame2)
    assert at(sheet, 0, 1) == (240, 120, 10)
    assert at(sheet, 2, 0, x=.25) == (255, 255, 255) and at(sheet, 2, 0, x=.75) == (0, 0, 0)


def test_without_truth_and_frame_2_before_and_after_keep_their_places():
    sheet = before_after_sheet(FRAME, flow(4.), flow(-4.), 4.)
    assert at(sheet, 0, 1) == (255, 255, 255)
    assert at(sheet, 1, 0) == tuple(flow_to_rgb(flow(4.), 4.)[0, 0])
    assert at(sheet, 1, 1) == tuple(flow_to_rgb(flow(-4.), 4.)[0, 0])


def test_the_titles_are_printed():
    sheet = before_after_sheet(FRAME, flow(4.), flow(0.), 4., truth=flow(0.))
    for top in (0, 282, 564):
        for left in (0, 492):
            assert sheet[top:top + 30, left:left + 480].min() < 100


@pytest.mark.parametrize('size', [(3, 500), (7, 5), (400, 90)])
def test_frames_of_odd_shapes_make_a_sheet(size):
    frame, motion = np.zeros((*size, 3), dtype=np.uint8), np.ones((*size, 2), dtype=np.float32)
    height = max(round(size[0] * 480 / size[1]), 1) + 30
    assert before_after_sheet(frame, motion, motion, 1., truth=motion).shape == (3 * height + 24, 972, 3)


def test_parts_of_another_size_are_refused_by_name():
    with pytest.raises(ValueError, match=r'after must have the size of frame1, \(60, 120\), got \(2, 3\)'):
        before_after_sheet(FRAME, flow(0.), np.zeros((2, 3, 2)), 1.)


def test_the_overlay_shows_kept_motion_in_color_and_the_rest_dark():
    grey = np.full((2, 3, 3), 100, dtype=np.uint8)
    weight = torch.tensor([[[1., 0.5, 0.]]]).expand(1, 2, 3)
    right = torch.zeros(2, 2, 3)
    right[0] = 5.
    picture = label_overlay(grey, FlowLabel(right, weight), 5.)
    kept = np.array([0.3 * 100 + 0.7 * 255, 30, 30])
    for x, expected in enumerate([kept, (kept + 35) / 2, (35, 35, 35)]):
        assert picture[0, x] == pytest.approx(expected, abs=1)


def test_an_overlay_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'\(60, 120\), got \(2, 3\)'):
        label_overlay(FRAME, FlowLabel(torch.zeros(2, 2, 3), torch.ones(1, 2, 3)), 1.)

import numpy as np
import pytest
import torch

from mmrefine.structures import FlowLabel
from mmrefine.visualization import LabelRow, flow_to_rgb, label_sheet

SIZE = (40, 80)  # tiles are 320 wide: four times as large, without rounding
FRAME = np.full((*SIZE, 3), (10, 120, 240), dtype=np.uint8)


def row(u=4., weight=1., error=0., name='f1__f2', **more):
    flow = torch.zeros(2, *SIZE)
    flow[0] = u
    return LabelRow(name, FRAME, FlowLabel(flow, torch.zeros(1, *SIZE) + weight), np.zeros(SIZE) + error, **more)


def at(sheet, number, panel, y=0.5, x=0.5):
    """The colour at a relative place of a panel: under 84 px of legend rows of 30 + 160 px, 12 px between panels."""
    return tuple(int(c) for c in sheet[84 + number * 202 + 30 + int(y * 160), panel * 332 + int(x * 320)])


def left_half(left, right):
    return np.repeat([[left] * (SIZE[1] // 2) + [right] * (SIZE[1] // 2)], SIZE[0], axis=0)


def test_a_row_shows_frame_motion_weight_and_error():
    sheet = label_sheet('a', [row(error=.5), row(-2., weight=.6, error=3.)], 4.)
    assert sheet.shape == (84 + 190 + 12 + 190, 4 * 320 + 3 * 12, 3) and sheet.dtype == np.uint8
    assert at(sheet, 0, 0) == at(sheet, 1, 0) == (10, 120, 240)
    for number, u in enumerate((4., -2.)):  # one scale for both
        assert at(sheet, number, 1) == tuple(flow_to_rgb(np.array([[[u, 0.]]]), 4.)[0, 0])
    assert (at(sheet, 0, 2), at(sheet, 1, 2)) == ((255, 255, 255), (153, 153, 153))
    halfway, full = at(sheet, 0, 3), at(sheet, 1, 3)
    assert full == (202, 32, 38) and halfway == tuple(round((255 + c) / 2) for c in full)


def test_what_was_not_kept_is_grey_in_the_motion_and_black_in_the_weight():
    sheet = label_sheet('a', [row(weight=torch.from_numpy(left_half(0., 1.)))], 4.)
    assert at(sheet, 0, 1, x=.25) == (64, 64, 64) != at(sheet, 0, 1, x=.75)
    assert (at(sheet, 0, 2, x=.25), at(sheet, 0, 2, x=.75)) == ((0, 0, 0), (255, 255, 255))


def test_an_error_that_is_not_known_is_grey_and_an_error_of_colour_has_its_own_scale():
    sheet = label_sheet('a', [row(error=left_half(np.nan, 0.)), row(error=30., error_name='colour residual')], 4.)
    assert (at(sheet, 0, 3, x=.25), at(sheet, 0, 3, x=.75)) == ((64, 64, 64), (255, 255, 255))
    assert at(sheet, 1, 3) == (202, 32, 38)
    assert at(label_sheet('a', [row(error=3., error_name='colour residual')], 4.), 0, 3)[1] > 200
    assert at(label_sheet('a', [row(error=np.nan)], 4.), 0, 3) == (64, 64, 64)  # nothing is known


def test_the_legend_tells_the_scale_and_the_title():
    sheets = [label_sheet(title, [row()], scale)[:84] for title, scale in (('a', 4.), ('a', 4.), ('b', 4.), ('a', 5.))]
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2]) and not np.array_equal(sheets[0], sheets[3])


def test_a_sheet_without_labels_or_with_parts_that_do_not_fit_is_refused():
    with pytest.raises(ValueError, match='at least one label, cat has none'):
        label_sheet('cat', [], 4.)
    odd = LabelRow('f1__f2', FRAME[:20], row().label, np.zeros((20, 80)))
    with pytest.raises(ValueError, match=r'f1__f2: .*\(20, 80\), got \(40, 80\)'):
        label_sheet('cat', [odd], 4.)
    with pytest.raises(ValueError, match="one of cycle error, colour residual, got 'x'"):
        label_sheet('cat', [row(error_name='x')], 4.)

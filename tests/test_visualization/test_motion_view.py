import numpy as np
import pytest

from mmrefine.visualization import flow_to_rgb, motion_view

HEAD, GAP = 84, 12  # px: the legend, and white between panels


def parts(size):
    frame, flow = np.full((*size, 3), (10, 120, 240), dtype=np.uint8), np.zeros((*size, 2), dtype=np.float32)
    flow[..., 0], flow[0, 0] = 2., np.nan
    return frame, flow, np.full(size, .6, dtype=np.float32)


@pytest.mark.parametrize('size, step', [((30, 400), (30 + GAP, 0)), ((400, 130), (0, 130 + GAP))])
def test_frame_motion_and_confidence_stand_below_one_another_in_a_wide_video_else_side_by_side(size, step):
    frame, flow, confidence = parts(size)
    view = motion_view(frame, flow, confidence, 4.)
    corners = [(HEAD + i * step[0], i * step[1]) for i in range(3)]
    panels = [view[top:top + size[0], left:left + size[1]] for top, left in corners]
    assert np.array_equal(panels[0], frame) and (panels[2] == 153).all()
    assert np.array_equal(panels[1], flow_to_rgb(flow, 4.)) and tuple(panels[1][0, 0]) == (64, 64, 64)
    assert view.shape[:2] == (HEAD + size[0] + 2 * step[0], size[1] + 2 * step[1])


def test_a_large_frame_shrinks_to_640_px_and_a_small_one_leaves_room_for_the_legend():
    assert motion_view(*parts((320, 1280)), 4.).shape == (HEAD + 3 * 160 + 2 * GAP, 640, 3)
    assert motion_view(*parts((20, 40)), 4.).shape == (HEAD + 3 * 20 + 2 * GAP, 360, 3)


def test_parts_of_another_size_are_refused():
    frame, flow, confidence = parts((30, 40))
    with pytest.raises(ValueError, match=r'the size of the frame, \(30, 40\), got \(20, 40\) and \(30, 40\)'):
        motion_view(frame, flow[:20], confidence, 4.)

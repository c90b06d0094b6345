import numpy as np
import pytest

from mmrefine.visualization import change_view, flow_to_rgb, motion_view
from mmrefine.visualization.panels import write_text

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
    with pytest.raises(ValueError, match=r'flow must have the size of the frame, \(30, 40\), got \(20, 40\)'):
        motion_view(frame, flow[:20], confidence, 4.)


def test_before_and_after_stand_beside_the_frame_in_one_scale():
    frame = np.full((40, 20, 3), 90, np.uint8)
    flows = [np.full((40, 20, 2), (motion, 0.), np.float32) for motion in (1., 4.)]
    picture = change_view(frame, *flows, 4.)
    body = picture[-40:]
    assert np.array_equal(body[:, :20], frame)
    for at, flow in zip((32, 64), flows):
        assert np.array_equal(body[:, at:at + 20], flow_to_rgb(flow, 4.))
    with pytest.raises(ValueError, match='after must have the size of the frame'):
        change_view(frame, flows[0], flows[1][:20], 4.)


@pytest.mark.parametrize('width', [150, 284, 330, 500])
def test_a_line_of_text_always_fits(width):
    picture = np.full((40, width, 3), 255, np.uint8)
    write_text(picture, 'top to bottom: frame, motion before, motion after', 0, 30)
    assert (picture < 200).any() and (picture[:, -3:] == 255).all()

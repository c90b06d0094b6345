import numpy as np
import pytest

from mmrefine.visualization import draw_trails, trail_colors

SIZE = (60, 80)
GREY = np.full((*SIZE, 3), 90, dtype=np.uint8)
RED, GREEN = (255, 0, 0), (0, 255, 0)


def drawn(points, visible=1., colors=RED, frame=GREY):
    """Tracks (N, S, 2) over a frame."""
    points = np.asarray(points, dtype=np.float64)
    shape = points.shape[:2]
    return draw_trails(frame, points, np.broadcast_to(visible, shape),
                       np.broadcast_to(np.uint8(colors), (shape[0], 3)))


def test_a_point_that_stands_still_is_a_dot_there_and_nothing_elsewhere():
    picture = drawn([[[30., 20.]] * 4])
    assert tuple(picture[20, 30]) == RED
    y, x = np.nonzero((picture != 90).any(axis=2))
    assert (np.hypot(x - 30, y - 20) < 5).all()
    assert (y.mean(), x.mean()) == (20, 30)  # the dot is about the point, half a pixel would show
    assert (GREY == 90).all()  # what was given stays as it was


def test_no_tracks_and_tracks_that_are_not_followed_leave_the_frame_as_it_was():
    assert np.array_equal(drawn(np.zeros((0, 3, 2))), GREY)
    assert np.array_equal(drawn(np.full((5, 3, 2), np.nan)), GREY)


def test_the_order_of_the_tracks_does_not_matter():
    draw = np.random.default_rng(0)
    points = draw.uniform(20, 40, (30, 1, 2)) + draw.normal(0, 4, (30, 5, 2))
    points[::7, 2] = np.nan
    visible, colors = draw.uniform(size=(30, 5)), draw.integers(0, 256, (30, 3), dtype=np.uint8)
    other = draw.permutation(30)
    assert np.array_equal(draw_trails(GREY, points, visible, colors),
                          draw_trails(GREY, points[other], visible[other], colors[other]))


def test_a_trail_fades_with_age_and_ends_where_the_point_was_not_followed():
    way = [[[10. * (1 + k), 30.] for k in range(6)]]
    red = drawn(way)[30, :, 0].astype(int)
    middles = red[[15, 25, 35, 45]]
    assert (np.diff(middles) > 0).all() and middles[0] > 90
    way[0][1] = [np.nan, np.nan]
    assert (drawn(way)[30, :28] == 90).all() and drawn(way)[30, 35, 0] == red[35]


def test_what_is_not_seen_is_a_ring_behind_a_fainter_trail():
    way = [[[10., 30.], [50., 30.]]]
    seen, hidden = drawn(way, 0.5), drawn(way, 0.49)
    assert tuple(seen[30, 50]) == RED and (hidden[30, 50] < (200, 255, 255)).all()
    assert hidden[30, 52:54, 0].max() > 180 and hidden[30, 52:54, 1].min() < 60  # the ring
    assert 90 < hidden[30, 30, 0] < seen[30, 30, 0]


@pytest.mark.parametrize('outside', [(-20., 30.), (300., 30.), (40., -1e9), (40., 1e12)])
def test_a_trail_is_cut_where_it_leaves_the_frame(outside):
    picture = drawn([[[40., 30.], outside], [[40., 30.]] * 2])
    row = picture[30, :, 0] if outside[1] == 30 else picture[:, 40, 0]
    middle = 40 if outside[1] == 30 else 30
    ahead = row[:middle - 8] if min(outside) < 0 else row[middle + 8:]
    assert (ahead > 120).all()  # all the way to the edge, and no error


def test_dots_grow_with_the_frame():
    def area(height, width):
        frame = np.zeros((height, width, 3), np.uint8)
        return (drawn([[[width / 2, height / 2]]], frame=frame) != 0).any(axis=2).sum()

    assert area(960, 1280) == pytest.approx(4 * area(480, 640), rel=0.25)
    assert area(48, 64) == area(240, 320)  # but stay visible


def test_a_color_depends_on_the_place_only_and_neighbours_on_a_grid_differ():
    x, y = np.meshgrid(np.arange(8, 320, 16.), np.arange(8, 240, 16.))
    points = np.stack([x, y], axis=-1)
    colors = trail_colors(points, (240, 320)).reshape(*x.shape, 3).astype(int)
    assert np.array_equal(trail_colors(points[3, 4:6], (240, 320)), colors[3, 4:6])
    assert np.array_equal(trail_colors(2 * points + 0.0, (480, 640)).reshape(colors.shape), colors)
    for one, other in ((colors[1:], colors[:-1]), (colors[:, 1:], colors[:, :-1])):
        assert np.abs(one - other).max(axis=-1).min() > 30
    assert tuple(trail_colors(np.array([[np.nan, 3.]]), (240, 320))[0]) == (128, 128, 128)


def test_parts_that_do_not_fit_together_are_refused():
    for points, visible, colors in (((2, 3, 2), (2, 2), (2, 3)), ((2, 3), (2, 3), (2, 3)), ((2, 0, 2), (2, 0), (2, 3)),
                                    ((2, 3, 2), (2, 3), (1, 3))):
        with pytest.raises(ValueError, match='of trails must be'):
            draw_trails(GREY, np.zeros(points), np.zeros(visible), np.zeros(colors, np.uint8))

"""Tracks over frames whose size is a fifth of a panel's, so that places on the sheets are exact."""
import numpy as np
import pytest

from mmrefine.visualization import (TrackRow, Trails, before_after_tracks, error_colors, error_scale, kept_and_dropped,
                                    scaled, track_label_sheet, track_panel)

SIZE = (40, 80)
FRAMES = [np.full((*SIZE, 3), 100, np.uint8)] * 5
GREEN, YELLOW, RED = (40, 205, 95), (255, 220, 60), (238, 30, 45)
BLUE = (0, 0, 255)
ROW = 26 + 22 + 200  # px: title, number of the frame, frame
HEAD = 30 + 26


def trails(*places, color=BLUE, **more):
    """Tracks that stand still."""
    points = np.repeat(np.array(places, dtype=float).reshape(-1, 1, 2), 5, axis=1)
    return Trails(points, np.ones(points.shape[:2]), np.full((len(places), 3), color, np.uint8), **more)


def at(picture, x, y, panel=0, row=None, head=HEAD):
    """The colour at a place of the frame (px), in a panel or in one of a sheet."""
    top, left = (0, 0) if row is None else (head + row * (ROW + 12) + 48, panel * 412)
    return tuple(int(value) for value in picture[top + int((y + 0.5) * 5), left + int((x + 0.5) * 5)])


def test_errors_go_from_green_over_yellow_to_red_and_what_is_not_known_is_red():
    found = error_colors(np.array([0., 1., 2., 9., np.nan, np.inf]), 2.)
    assert list(map(tuple, found.tolist())) == [GREEN, YELLOW, RED, RED, RED, RED]
    assert error_colors(np.empty(0), 2.).shape == (0, 3)


def test_the_scale_is_round_and_three_of_four_errors_of_both_sides_fit():
    assert error_scale([np.full(4, 1.4), np.array([80.])]) == 2.
    assert error_scale([np.full(2, 1.4), np.array([80., 80.])]) == 100.
    assert error_scale([np.zeros(3)]) == error_scale([np.array([np.nan])]) == error_scale([]) == .5
    assert error_scale([np.array([1e6])]) == 100.


def test_a_point_lies_on_the_pixel_of_its_frame_at_any_width():
    for width in (400, 160, 80, 40):
        panel = track_panel(FRAMES, trails((20, 10)), 2, width)
        assert panel.shape == (width // 2, width, 3)
        factor = width / 80
        y, x = (int((place + .5) * factor) for place in (10, 20))
        assert tuple(panel[y, x])[2] > 200 and (panel[0, 0] == panel[-1, -1]).all()


def test_a_line_leads_from_a_point_to_where_it_should_be():
    truth = np.full((1, 5, 2), np.nan)
    truth[:, 2] = 50, 10
    shown = trails((20, 10), truth=truth)
    assert at(track_panel(FRAMES, shown, 2), 35, 10) > (180, 180, 180)
    assert at(track_panel(FRAMES, shown, 3), 35, 10) == at(track_panel(FRAMES, shown, 2), 35, 30) == (90, 90, 90)


def test_what_was_kept_stands_above_what_was_dropped_in_the_colour_of_the_filter():
    kept = trails((10, 10), (30, 10))
    dropped = dict(Cycle=trails((50, 20), color=(1, 2, 3)), Inside=trails(), Seen=trails((70, 20)))
    sheet = kept_and_dropped('a', FRAMES, kept, dropped, dict(Cycle=1, Inside=0, Seen=2))
    assert sheet.shape == (HEAD + 2 * ROW + 12, 3 * 400 + 24, 3)
    assert at(sheet, 10, 10, row=0) == at(sheet, 30, 10, 2, row=0) == BLUE
    assert at(sheet, 50, 20, 1, row=1) == (240, 55, 45) and at(sheet, 70, 20, 2, row=1) == (60, 205, 245)
    assert at(sheet, 50, 20, row=0) == at(sheet, 10, 10, row=1) == (90, 90, 90)
    assert kept_and_dropped('a', FRAMES, kept, {}, {}).shape == (HEAD + ROW, 1224, 3)


def test_the_same_points_before_and_after_stand_below_one_another():
    rows = {'before': trails((10, 10), color=RED), 'after': trails((10, 12), color=GREEN)}
    sheet = before_after_tracks('a', FRAMES, rows, 'error', 2.)
    assert at(sheet, 10, 10, row=0) == at(sheet, 10, 10, 2, row=0) == RED and at(sheet, 10, 12, 1, row=1) == GREEN


def test_a_label_shows_in_its_first_frame_where_the_others_would_begin():
    rows = [TrackRow('a', FRAMES, trails((10, 10)), np.array([[60., 20.]])),
            TrackRow('b', FRAMES[:2], Trails(np.zeros((0, 2, 2)), np.zeros((0, 2))), np.zeros((0, 2)))]
    sheet = track_label_sheet('s', rows)
    assert at(sheet, 10, 10, row=0) == at(sheet, 10, 10, 2, row=0) == BLUE
    first, last = (sheet[HEAD + 48:HEAD + ROW, left:left + 400].astype(int) for left in (0, 824))
    ring = [np.argwhere(part[..., 0] - part[..., 2] > 60) for part in (first, last)]
    assert ring[0].mean(axis=0) == pytest.approx((102, 302), abs=1) and not len(ring[1])
    assert (sheet[HEAD + ROW + 60:, 824:] == 255).all()  # a clip of two frames has no third panel
    with pytest.raises(ValueError, match='at least one label, s has none'):
        track_label_sheet('s', [])


def test_of_many_tracks_some_are_drawn_spread_evenly():
    many = Trails(np.arange(1000.)[:, None, None].repeat(2, axis=2), np.ones((1000, 1)))
    few = many.thinned(5).points[:, 0, 0]
    assert few.tolist() == [0, 249, 499, 749, 999] and many.thinned(1000) is many


def test_a_picture_keeps_its_shape_when_it_is_scaled():
    assert scaled(FRAMES[0], 200).shape == (100, 200, 3) and (scaled(FRAMES[0], 33) == 100).all()

import json
import re

import numpy as np
import pytest

from mmrefine.errors import ConfigError, InputError, MMRefineError
from mmrefine.evaluation.tracks.errors import tally_errors
from mmrefine.evaluation.tracks.tally import TrackTally
from mmrefine.evaluation.tracks.tapvid import THRESHOLDS, raster_distances, tally_tapvid, to_raster
from mmrefine.structures.figures import Figure
from mmrefine.structures.track_protocols import QUERY_MODES, crohd_heads, draw_queries, evaluated_frames

SQUARE = (256, 256)


def along(*steps):
    """Points ``(1, T, 2)`` that lie so far to the right of the origin."""
    return np.array([[(step, 0.) for step in steps]])


def flags(*rows):
    return np.array([[mark == '+' for mark in row] for row in rows])


def asked(*frames):
    """Queries of which only the frame counts."""
    return np.array([(frame, 0., 0.) for frame in frames])


# ---- the raster

def test_a_fraction_of_the_frame_times_256_is_where_its_pixel_lies_on_the_raster():
    fractions = np.array([[0., 0.], [1., 1.], [0.25, 0.75], [0.1, 0.9]])
    height, width = 480, 854
    pixels = fractions * (width, height) - 0.5  # centres of pixels at integers: the corner of the frame is at -0.5
    np.testing.assert_allclose(to_raster(pixels, (height, width)), fractions * 256, atol=1e-12)
    # two raster pixels for each pixel: the first one's centre is on the line between them
    assert to_raster(np.zeros(2), (128, 128)).tolist() == [1., 1.]


def test_the_half_pixel_cancels_in_distances_and_axes_have_scales_of_their_own():
    one, other = np.random.default_rng(0).uniform(0, 300, (2, 50, 2))
    size = (120, 333)
    wanted = np.linalg.norm(to_raster(one, size) - to_raster(other, size), axis=-1)
    np.testing.assert_allclose(raster_distances(one, other, size), wanted, atol=1e-10)
    assert raster_distances(np.array([[6., 0.], [0., 2.], [6., 2.]]), np.zeros(2), (128, 512)).tolist() == [3., 4., 5.]


@pytest.mark.parametrize('px', THRESHOLDS)
@pytest.mark.parametrize('size, step', [((256, 256), 1.), ((100, 320), 1.25), ((256, 1024), 4.)])
def test_a_point_exactly_at_a_threshold_is_not_within_it(px, size, step):
    def within(off):
        said = flags('++')
        return tally_tapvid(10 + along(0, off), said, 10 + along(0, 0), said, asked(0), size, 'first').scores()

    at, below = within(px * step), within(px * step * 0.999)
    assert at[f'delta_{px}'] == at[f'Jaccard_{px}'] == 0 and below[f'delta_{px}'] == below[f'Jaccard_{px}'] == 100


# ---- which frames, and which queries

def test_first_judges_what_comes_after_the_query_and_strided_all_but_the_query():
    queries = asked(0, 2, 3)
    assert (evaluated_frames(queries, 4, 'first') == flags('-+++', '---+', '----')).all()
    assert (evaluated_frames(queries, 4, 'strided') == flags('-+++', '++-+', '+++-')).all()


VISIBLE = flags('--+++++', '+++----', '-------', '-----++')
TRUTH = np.arange(56.).reshape(4, 7, 2)


def test_first_asks_for_each_track_where_it_is_first_visible():
    queries, tracks = draw_queries(TRUTH, VISIBLE, 'first')
    assert tracks.tolist() == [0, 1, 3]
    # the x of track n in frame t is 14 n + 2 t, its y one more
    assert queries.tolist() == [[2, 5, 4], [0, 15, 14], [5, 53, 52]]


def test_strided_asks_for_all_that_is_visible_in_every_fifth_frame():
    queries, tracks = draw_queries(TRUTH, VISIBLE, 'strided')
    assert tracks.tolist() == [1, 0, 3] and queries.tolist() == [[0, 15, 14], [5, 11, 10], [5, 53, 52]]
    queries, tracks = draw_queries(TRUTH, VISIBLE, 'strided', stride=3)
    assert tracks.tolist() == [1, 0, 0, 3] and queries[:, 0].tolist() == [0, 3, 6, 6]


@pytest.mark.parametrize('query_mode', QUERY_MODES)
def test_where_nothing_is_visible_nothing_is_asked(query_mode):
    queries, tracks = draw_queries(TRUTH, np.zeros((4, 7), bool), query_mode)
    assert queries.shape == (0, 3) and tracks.size == 0


# ---- TAP-Vid's scores

# frame 0 is given; right, 3 px off, right but said to be hidden, hidden but said to be visible, both hidden
OFF, SAID, SEEN = along(0, 0.5, 3, 0, 9, 9), flags('+++-+-'), flags('++++--')


def test_each_kind_of_right_and_wrong_counts_as_by_hand():
    scores = tally_tapvid(OFF, SAID, 0 * OFF, SEEN, asked(0), SQUARE, 'first').scores()
    assert scores == pytest.approx({
        'OA': 60,                                                       # frames 1, 2 and 5
        'delta_1': 200 / 3, 'delta_2': 200 / 3,                         # 1 and 3, of 1 to 3
        'delta_4': 100, 'delta_8': 100, 'delta_16': 100,
        'delta_avg': (2 * 200 / 3 + 300) / 5,
        'Jaccard_1': 100 / 5, 'Jaccard_2': 100 / 5,                     # 1, of 1 to 3, and for nothing 2 and 4
        'Jaccard_4': 200 / 4, 'Jaccard_8': 200 / 4, 'Jaccard_16': 200 / 4,  # 1 and 2, of 1 to 3, and for nothing 4
        'AJ': (2 * 20 + 3 * 50) / 5,
    })


def test_strided_counts_the_frames_before_the_query_and_not_the_query():
    # as above, but frame 0, which is right, takes the place of frame 2
    scores = tally_tapvid(OFF, SAID, 0 * OFF, SEEN, asked(2), SQUARE, 'strided').scores()
    assert scores['delta_1'] == 100 and scores['Jaccard_1'] == 200 / 4 and scores['OA'] == 60


def test_perfect_tracks_have_100_and_those_said_to_be_hidden_no_jaccard():
    visible = np.random.default_rng(1).random((4, 7)) < 0.6
    queries, tracks = draw_queries(TRUTH, visible, 'strided')
    truth, seen = TRUTH[tracks], visible[tracks]
    assert set(tally_tapvid(truth, seen, truth, seen, queries, SQUARE, 'strided').scores().values()) == {100.}
    scores = tally_tapvid(truth, 0 * seen > 0, truth, seen, queries, SQUARE, 'strided').scores()
    judged = evaluated_frames(queries, 7, 'strided')
    assert scores['AJ'] == 0 and scores['delta_avg'] == 100
    assert scores['OA'] == pytest.approx(100 * (judged & ~seen).sum() / judged.sum())


def test_what_is_not_judged_may_hold_anything():
    wanted = tally_tapvid(OFF, SAID, 0 * OFF, SEEN, asked(1), SQUARE, 'first')
    pred, truth = OFF.copy(), 0 * OFF
    pred[:, :2], truth[:, :2], truth[~SEEN] = np.nan, np.inf, np.nan
    assert tally_tapvid(pred, SAID, truth, SEEN, asked(1), SQUARE, 'first') == wanted


@pytest.mark.parametrize('query_mode', QUERY_MODES)
@pytest.mark.parametrize('size', [(256, 256), (480, 854)])
def test_the_official_scores_come_out_at_any_size_of_the_frames(shared_data, query_mode, size):
    oracle = json.loads((shared_data / 'oracles/tapvid_metrics.json').read_text())['results']
    arrays = np.load(shared_data / 'oracles/tapvid_metrics.npz')
    names = dict(average_jaccard='AJ', average_pts_within_thresh='delta_avg', occlusion_accuracy='OA')
    together, official = TrackTally(), []
    for video in range(3):
        pred, truth = (arrays[f'{name}_tracks_{video}'] / 256 * size[::-1] - 0.5 for name in ('pred', 'gt'))
        said, seen = (~arrays[f'{name}_occluded_{video}'] for name in ('pred', 'gt'))
        tally = tally_tapvid(pred, said, truth, seen, arrays[f'query_points_{video}'], size, query_mode)
        official.append({names.get(name, name.replace('pts_within', 'delta').replace('jaccard', 'Jaccard')): 100 * value
                         for name, value in oracle[f'{query_mode}_{video}'].items()})
        assert tally.scores() == pytest.approx(official[-1], abs=1e-6) and len(official[-1]) == 13
        together += tally
    means = {name: np.mean([scores[name] for scores in official]) for name in official[0]}
    assert together.scores() == pytest.approx(means, abs=1e-6) and together.size == 3


# ---- many videos

def test_videos_weigh_the_same_however_long_they_are():
    short = tally_tapvid(along(0, 50), flags('++'), along(0, 0), flags('++'), asked(0), SQUARE, 'first')
    long = tally_tapvid(along(*[0] * 9), flags('+' * 9), along(*[0] * 9), flags('+' * 9), asked(0), SQUARE, 'first')
    scores = (short + long).scores()
    assert scores['delta_avg'] == scores['AJ'] == 50 and scores['OA'] == 100 and (short + long).size == 2


@pytest.mark.parametrize('said, wanted', [('-', {'OA': 100}), ('+', {'OA': 0, 'AJ': 0})])
def test_a_video_without_a_visible_point_says_nothing_of_positions(said, wanted):
    video = tally_tapvid(along(0, 1), flags('+' + said), along(0, 0), flags('+-'), asked(0), SQUARE, 'first')
    wanted = dict(wanted, **{f'Jaccard_{px}': 0 for px in THRESHOLDS if 'AJ' in wanted})
    assert video.scores() == wanted and video.size == 0
    known = tally_tapvid(along(0, 1), flags('++'), along(0, 0), flags('++'), asked(0), SQUARE, 'first')
    assert (known + video).scores()['delta_avg'] == known.scores()['delta_avg'] == 80
    assert (known + video).scores()['OA'] == (100 + wanted['OA']) / 2


def test_a_video_without_a_judged_frame_says_nothing():
    video = tally_tapvid(along(0, 0), flags('++'), along(0, 0), flags('++'), asked(1), SQUARE, 'first')
    assert video.scores() == {} and video.size == 0
    nowhere = tally_errors(along(0, 0), along(0, 0), flags('--'), SQUARE, flags('++'))
    assert nowhere.scores() == {} and nowhere.size == 0


def test_the_size_is_that_of_the_figure_that_decides():
    figures = Figure('more', 'px', 'lower'), Figure('first', 'px', 'lower', headline=True)
    known, unknown = (TrackTally.of_video(figures, dict(more=1., first=value)) for value in (3., np.nan))
    assert (known + unknown).size == 1 and (known + unknown).scores() == dict(more=1., first=3.)


def test_tallies_of_other_figures_are_not_added_and_an_empty_one_adds_nothing():
    tally = tally_errors(along(0, 3), along(0, 0), flags('++'), SQUARE)
    assert tally + TrackTally() == TrackTally() + tally == tally and TrackTally().size == 0
    other = tally_errors(along(0, 3), along(0, 0), flags('++'), SQUARE, survival_px=50)
    with pytest.raises(ValueError, match='survival@16 cannot be added to .*survival@50'):
        tally + other


@pytest.mark.parametrize('tally', [
    tally_tapvid(OFF, SAID, 0 * OFF, SEEN, asked(0), SQUARE, 'first'),
    tally_errors(OFF, 0 * OFF, SEEN, SQUARE, flags('+++-++'))], ids=['tapvid', 'errors'])
def test_one_figure_decides_and_every_score_is_declared(tally):
    headlines = [figure for figure in tally.figures if figure.headline]
    assert len(headlines) == 1 and headlines[0].name in tally.scores() and tally.size == 1
    assert set(tally.scores()) <= {figure.name for figure in tally.figures}
    assert all(figure.unit and figure.better == ('lower' if figure.unit == 'px' else 'higher')
               for figure in tally.figures)


# ---- errors in px

TRACKS = np.concatenate([along(0, 3, 0, 3), along(0, 0, 20, 0), along(0, 7, 99, 1)])
TRACKS[0, 2:, 1] = 4.  # so the first track is off by 0, 3, 4, 5
VALID = flags('++++', '++++', '++-+')
# always visible; visible in the first two frames, hidden later; hidden too early for either column
SHOWN = flags('++++', '++-+', '+-++')


def test_the_errors_are_those_counted_by_hand():
    scores = tally_errors(TRACKS, 0 * TRACKS, VALID, SQUARE, SHOWN).scores()
    assert scores == pytest.approx({
        'ATE': (12 + 20 + 8) / 11, 'ATE_vis': 12 / 4, 'ATE_occ': 20 / 4,
        'MTE': (3.5 + 0 + 1) / 3,
        'survival@16': 100 * (4 + 2 + 4) / 12,
    })


def test_a_track_survives_a_distance_of_exactly_the_limit():
    scores = tally_errors(TRACKS, 0 * TRACKS, VALID, SQUARE, survival_px=5).scores()
    assert set(scores) == {'ATE', 'MTE', 'survival@5'}  # without visibility no columns
    assert scores['survival@5'] == pytest.approx(100 * (4 + 2 + 1) / 12)


def test_median_and_survival_are_taken_on_the_raster_and_ate_in_px():
    # 512 px wide: half a pixel of the raster for each
    scores = tally_errors(along(0, 10, 20), along(0, 0, 0), flags('+++'), (256, 512), survival_px=6).scores()
    assert scores['ATE'] == 10 and scores['MTE'] == 5 and scores['survival@6'] == pytest.approx(200 / 3)


def test_a_track_is_judged_from_its_first_valid_frame_on():
    pred, valid = along(0, 0, 1, 2, 30), flags('--+++')
    pred[0, :2] = np.nan
    scores = tally_errors(pred, 0 * along(*range(5)), valid, SQUARE, flags('--++-')).scores()
    assert scores == pytest.approx({'ATE': 11, 'ATE_occ': 11, 'MTE': 2, 'survival@16': 200 / 3})
    early = tally_errors(pred, 0 * along(*range(5)), valid, SQUARE, flags('+++-+'))  # hidden in its second frame
    assert 'ATE_occ' not in early.scores() and 'ATE_vis' not in early.scores()


def test_clips_weigh_the_same_and_only_those_with_a_track_of_a_column():
    one = tally_errors(along(0, 4), along(0, 0), flags('++'), SQUARE, flags('++'))
    other = tally_errors(along(0, 4, 8), along(0, 0, 0), flags('+++'), SQUARE, flags('++-'))
    scores = (one + other).scores()
    assert (scores['ATE'], scores['ATE_vis'], scores['ATE_occ']) == (3, 2, 4)


def test_leaving_out_occluded_points_is_not_leaving_out_tracks():
    assert tally_errors(TRACKS, 0 * TRACKS, VALID & SHOWN, SQUARE).scores()['ATE'] == pytest.approx((12 + 0 + 1) / 9)


def test_heads_are_chosen_by_presence_motion_and_visibility():
    points = np.zeros((6, 8, 2))
    points[:, 1:, 0] = 30.                        # 7 x 30 px from where it began, although it stops at once
    points[1, 1:, 0] = [30, 30, 30, 30, 30, 0, 0]  # exactly 150 px: does not move
    present, visible = np.ones((6, 8), bool), np.ones((6, 8), bool)
    present[2, 5] = False
    visible[3, 2], visible[4, 1], visible[4, 6] = False, False, False
    vis, occ = crohd_heads(points, present, visible)
    assert vis.tolist() == [0, 5] and occ.tolist() == [3]
    assert crohd_heads(points, present, visible, most=1)[0].tolist() == [0]
    assert crohd_heads(points, present, visible, motion=149.)[0].tolist() == [0, 1, 5]
    many = crohd_heads(points[np.zeros(20, int)], np.ones((20, 8), bool), np.ones((20, 8), bool))
    assert many[0].tolist() == list(range(16)) and not many[1].size


# ---- what does not fit

@pytest.mark.parametrize('change, error, message', [
    (dict(truth=OFF[:, 1:]), InputError, '(1, 6, 2), (1, 5, 2), (1, 6), (1, 6)'),
    (dict(pred=OFF[0], truth=OFF[0]), InputError, 'must be (N, T, 2) and pred_visible, visible (N, T), got (6, 2)'),
    (dict(visible=SEEN[:, 1:]), InputError, '(1, 6), (1, 5)'),
    (dict(pred_visible=0.7 * SAID), InputError, 'pred_visible must be bool, got float64'),
    (dict(pred=OFF[:0], truth=OFF[:0], visible=SEEN[:0], pred_visible=SAID[:0]), InputError, '(0, 6, 2)'),
    (dict(pred=np.where(SEEN[..., None], OFF, np.nan)), MMRefineError, '2 of 5 predicted positions'),
    (dict(truth=np.full_like(OFF, np.inf)), InputError, '3 of 3 true positions'),
    (dict(queries=asked(0, 1)), InputError, '1 tracks and 2 queries'),
    (dict(queries=np.zeros((1, 2))), InputError, '(1, 2)'),
    (dict(queries=asked(6)), InputError, 'a query is in frame 6, and the video has the frames 0 to 5'),
    (dict(queries=asked(-1)), InputError, 'frame -1'),
    (dict(queries=asked(0.5)), InputError, 'frame 0.5'),
    (dict(queries=asked(np.nan)), InputError, 'frame nan'),
    (dict(query_mode='last'), ConfigError, "'first' or 'strided', got 'last'"),
    (dict(size=(256, 0)), ConfigError, 'size must be (height, width)'),
])
def test_what_cannot_be_scored_is_refused_in_one_sentence(change, error, message):
    fits = dict(pred=OFF, pred_visible=SAID, truth=0 * OFF, visible=SEEN, queries=asked(0), size=SQUARE,
                query_mode='first')
    with pytest.raises(error, match=re.escape(message)):
        tally_tapvid(**{**fits, **change})


@pytest.mark.parametrize('change, error, message', [
    (dict(valid=flags('+++')), InputError, '(1, 6, 2), (1, 6, 2), (1, 3), (1, 6)'),
    (dict(valid=SEEN.astype(int)), InputError, 'valid must be bool, got int64'),
    (dict(pred=np.full_like(OFF, np.nan)), MMRefineError, '4 of 4 predicted positions'),
    (dict(truth=np.full_like(OFF, np.nan)), InputError, '4 of 4 true positions'),
    (dict(survival_px=-1), ConfigError, 'survival_px must be finite and not negative, got -1'),
])
def test_errors_that_cannot_be_measured_are_refused(change, error, message):
    fits = dict(pred=OFF, truth=0 * OFF, valid=SEEN, visible=SEEN, size=SQUARE)
    with pytest.raises(error, match=re.escape(message)):
        tally_errors(**{**fits, **change})


def test_queries_and_heads_without_a_track_are_refused():
    nothing = np.zeros((0, 4, 2)), np.zeros((0, 4), bool)
    with pytest.raises(InputError, match='no track to judge'):
        draw_queries(*nothing, 'first')
    with pytest.raises(InputError, match='no track to judge'):
        crohd_heads(*nothing, nothing[1])
    with pytest.raises(ConfigError, match="got 'all'"):
        draw_queries(TRUTH, VISIBLE, 'all')
    with pytest.raises(ConfigError, match='stride must be a whole number, at least 1, got 0'):
        draw_queries(TRUTH, VISIBLE, 'strided', stride=0)

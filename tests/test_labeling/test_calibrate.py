"""Thresholds for a promise, where the best ones are known."""
from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mmrefine.labeling.calibration.video_profile as video_look_module
from mmrefine.errors import ConfigError, InputError, NoLabelsError, TeacherError
from mmrefine.evaluation.labels.quality import quality_record, tally_truth
from mmrefine.geometry import cycle_error, jpeg_loss, jpeg_quality, known_warp
from mmrefine.labeling import (Calibration, CycleFilter, FlowLabeler, PairContext, TextureFilter, Threshold,
                               VideoProfile, calibrate, tunable_filters)
from mmrefine.registry import FILTERS
from mmrefine.structures import PairBatch
from mmrefine.synthetic import render_clip

HEIGHT, WIDTH, SHIFT = 60, 80, 3.
CYCLE = dict(type='CycleFilter', alpha=0., beta=0.1)
COLOR = dict(type='ColorFilter')


def labeler(*filters, **more):
    return dict(type='FlowLabeler', view=dict(type='CascadeView', scales=(1., )), filters=list(filters), **more)


def noisy_frames(count=2, height=HEIGHT, width=WIDTH):
    """Frames that differ from pixel to pixel, the second of each pair the first one moved to the right."""
    torch.manual_seed(0)
    frames = (torch.rand(count, 3, height, width) * 255).round() / 255
    return [(frame, frame.roll(int(SHIFT), dims=-1)) for frame in frames]


def planted(height=HEIGHT, width=WIDTH):
    """Errors in px that grow from 0 to 3 from top to bottom, so that a share ``t / 3`` of the pixels has one below
    ``t``."""
    return (3 * (torch.arange(height) + 0.5) / height).view(1, height, 1).expand(1, height, width)


class Planted:
    """Says that all moves by SHIFT px to the right, forward too far by ``errors``; ``hides`` are errors that the way
    back takes back."""
    accepts_flow_init = False

    def __init__(self, errors=None, hides=None):
        self.errors, self.hides, self.asked = errors, hides, 0

    def estimate(self, frames1, frames2, flow_init=None):
        self.asked += 1
        flow = torch.zeros(len(frames1), 2, *frames1.shape[-2:])
        half = len(flow) // 2
        flow[:half, 0], flow[half:, 0] = SHIFT, -SHIFT
        if self.errors is not None:
            flow[:half, 0] -= self.errors  # towards the left, so that little leaves the frame
        if self.hides is not None:
            flow[:half, 1] += self.hides
            flow[half:, 1] -= self.hides
        return [flow]


@pytest.fixture
def translation(monkeypatch):
    """All warps are translations by SHIFT px to the right; the warps that were made."""
    made = []

    def warp(rng, frame, length, patch_length, patches):
        flow = torch.zeros(1, 2, *frame.shape[-2:])
        flow[:, 0] = SHIFT
        made.append(known_warp(frame, flow, []))
        return made[-1]

    monkeypatch.setattr(video_look_module, 'random_warp', warp)
    return made


@pytest.mark.parametrize('precision', [0.4, 0.6, 0.8, 0.9])
def test_of_errors_spread_evenly_those_below_one_over_the_precision_are_kept(translation, precision):
    """The round trip is off by exactly the error; of errors below ``t`` the share ``1 / t`` is below 1 px."""
    found = calibrate(Planted(planted()), labeler(CYCLE), noisy_frames(), precision=precision)
    # rows of the frame are 0.05 px apart, so no value lies between two of its errors
    best = max(value for value in [*CycleFilter.threshold.values(16), 0.1] if value < 1 / precision)
    assert found.reached and found.thresholds['filters.0.beta'] == best
    kept = np.minimum(best / 3, 1)
    assert found.coverage == pytest.approx(kept, abs=0.03) and found.precision == pytest.approx(min(1, 1 / best),
                                                                                                abs=0.03)
    assert found.chosen_precision >= precision and found.apply(labeler(CYCLE))['filters'][0]['beta'] == best


def test_every_row_of_the_table_is_what_a_labeler_with_these_thresholds_keeps_by_the_definition_of_label_quality(
        translation):
    """Two filters that see different errors, each setting labelled anew and compared with the truth."""
    hides = torch.zeros(1, HEIGHT, WIDTH)
    hides[:, :20] = 5.  # wrong, and the way back agrees: only colour tells
    teacher, config, pairs = Planted(planted() / 2, hides), labeler(CYCLE, COLOR,
                                                                    dict(type='InFrameFilter')), noisy_frames()
    found = calibrate(teacher, config, pairs, warps=1, relative=0.)
    look = VideoProfile.of([_context(teacher, *pair) for pair in pairs])
    assert len(found.table) == 17 * 17
    for row in found.table[::47]:
        part = FlowLabeler(**{k: v for k, v in _with(config, row['thresholds']).items() if k != 'type'})
        for number, names in ((0, ('chosen_precision', 'chosen_coverage')), (1, ('precision', 'coverage'))):
            made = look.warp(np.random.default_rng((0, number, 0)), pairs[number][0], 1.5)
            label = part.label_pairs(teacher, PairBatch(made.frames1, made.frames2))[0].forward
            truth = quality_record([('a', tally_truth(label, made.flow[0], torch.ones(HEIGHT, WIDTH,
                                                                                      dtype=torch.bool)))])['truth']
            kept = part.label_pairs(teacher,
                                    PairBatch(*(frame[None] for frame in pairs[number])))[0].forward.weight.mean()
            assert [row[name] for name in names] == pytest.approx([truth['precision'], float(kept)], abs=1e-5)


def _with(config, thresholds):
    filters = [dict(part) for part in config['filters']]
    for key, value in thresholds.items():
        _, number, name = key.split('.')
        filters[int(number)][name] = value
    return dict(config, filters=filters)


def _context(teacher, one, two):
    flow = teacher.estimate(torch.stack([one, two]), torch.stack([two, one]))[-1]
    return PairContext(one[None], two[None], flow[:1], flow[1:])


def test_errors_that_come_back_are_left_to_the_colour_filter(translation):
    hides = torch.zeros(1, HEIGHT, WIDTH)
    hides[:, 20:50] = 5.  # the last 5 of these rows end where the way back takes nothing back
    alone = calibrate(Planted(hides=hides), labeler(CYCLE), noisy_frames(), precision=0.95)
    both = calibrate(Planted(hides=hides), labeler(CYCLE, COLOR), noisy_frames(), precision=0.95)
    assert not alone.reached and alone.precision == pytest.approx(30 / 55, abs=0.01)
    assert both.reached and both.precision > 0.95 and both.coverage == pytest.approx(0.5, abs=0.05)


def test_who_asks_for_more_precision_never_keeps_more(translation):
    torch.manual_seed(1)
    errors = torch.rand(1, HEIGHT, WIDTH) * 2.5
    hides = (torch.rand(1, HEIGHT, WIDTH) < 0.1) * 4.
    targets = (0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
    found = [
        calibrate(Planted(errors, hides), labeler(CYCLE, COLOR), noisy_frames(), precision=p, warps=1) for p in targets
    ]
    kept = [one.chosen_coverage for one in found]
    assert all(more >= less for more, less in zip(kept, kept[1:])) and kept[0] > kept[-1]
    assert [one.reached for one in found] == sorted((one.reached for one in found), reverse=True) and found[0].reached


def test_a_promise_that_no_threshold_keeps_is_named_and_the_most_precise_ones_are_taken(translation):
    wrong = torch.full((1, HEIGHT, WIDTH), 2.)
    wrong[:, :15] = 0.01
    hides = torch.zeros(1, HEIGHT, WIDTH)
    hides[:, :5] = 3.  # only the first 2 of these rows end where the way back takes it back
    found = calibrate(Planted(wrong, hides), labeler(CYCLE), noisy_frames(), precision=0.9)
    rows = [row for row in found.table if row['chosen_precision'] is not None]
    assert not found.reached and found.chosen_precision == max(row['chosen_precision'] for row in rows)
    assert found.chosen_precision == pytest.approx(10 / 12, abs=0.01)
    assert 'precision 90.0% is out of reach: the most precise thresholds have 83.3% on' in found.note
    assert 'ask for less' in found.note


def test_the_error_of_a_fast_motion_is_measured_by_its_length(translation):
    """3 px of motion: an error of 1.4 px is wrong by the pixel, and right by a tolerance of half of it."""
    config, teacher = labeler(CYCLE), Planted(torch.full((1, HEIGHT, WIDTH), 1.4))
    shares = [
        calibrate(teacher, config, noisy_frames(), relative=relative, precision=0.5).precision
        for relative in (0.4, 0.5)
    ]
    assert shares == [0., 1.]


def test_the_warps_move_and_change_as_the_video_does_in_the_eyes_of_the_teacher():
    one = torch.full((3, 64, 96), 0.4)
    torch.manual_seed(0)
    two = one + (7 + 4 * torch.randn(3, 64, 96)) / 255
    look = VideoProfile.of([_context(Planted(), one, two)])
    assert set(look.speeds) == {SHIFT} and look.qualities == [None]
    assert look.noise == pytest.approx(4, abs=0.4) and look.drifts[0] == pytest.approx(7, abs=0.3)
    warps = [look.warp(np.random.default_rng(seed), one) for seed in range(20)]
    shifts = [float(255 * (warp.frames2.mean() - 0.4)) for warp in warps]
    assert {round(abs(shift)) for shift in shifts} == {7} and min(shifts) < 0 < max(shifts)
    assert all(torch.equal((255 * warp.frames2).round() / 255, warp.frames2) for warp in warps)
    speeds = [float(warp.flow.norm(dim=1).median()) for warp in warps]
    assert 2 < np.mean(speeds) < 5 and max(speeds) < 9
    paced = [[look.warp(np.random.default_rng(seed), one, pace).flow.norm(dim=1).median() for seed in range(20)]
             for pace in (0., 3.)]
    # 0.5 and 2 times as fast on the mean
    assert [np.mean(found) / np.mean(speeds) for found in paced] == pytest.approx([0.5, 2], rel=0.2)


@pytest.mark.parametrize('quality', [None, 70])
def test_the_warps_leave_as_much_unexplained_as_the_video_with_noise_that_does_not_move_along(quality):
    clip = render_clip(3, 2, (96, 128), 'source')
    one = torch.from_numpy(clip.frames[0]).permute(2, 0, 1).float() / 255
    one = one if quality is None else jpeg_loss(one[None], quality)[0]
    still, noise = torch.zeros(1, 2, 96, 128), torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    look = VideoProfile.of([PairContext(one[None], one[None] + 6 / 255 * noise, still + 0.5, still - 0.5)])
    assert look.noise > 5 and look.qualities == [quality]
    warps = [look.warp(np.random.default_rng(seed), one) for seed in range(6)]
    shown = [video_look_module._unexplained(made.frames1, made.frames2, made.flow, made.visible)[1] for made in warps]
    assert np.median(shown) == pytest.approx(look.noise, rel=0.15)
    # a frame that was compressed once loses less the second time
    found = [jpeg_quality(frames[0]) for made in warps for frames in made[:2]]
    assert found == [None] * 12 if quality is None else found == pytest.approx([78] * 12, abs=2)
    # a frame that is flat shows the noise alone
    flat = replace(look, speeds=[0.], drifts=[0.]).warp(np.random.default_rng(0), torch.full((3, 96, 128), 0.5))
    grains = [(frames - frames.mean()).flatten() for frames in flat[:2]]
    assert abs(float(torch.corrcoef(torch.stack(grains))[0, 1])) < 0.02
    assert float(255 * grains[0].std()) == pytest.approx(look.grain, rel=0.05)


def test_what_comes_back_badly_counts_as_often_as_on_the_video(translation):
    """On the video 60 % of the rows come back late and are wrong, on the warps 20 %: what is right is the share of the
    video."""

    class Worse(Planted):

        def estimate(self, frames1, frames2, flow_init=None):
            share = 0.6 if self.asked < 4 else 0.2  # the four pairs of the video come first
            self.errors = torch.zeros(1, HEIGHT, WIDTH)
            self.errors[:, :round(share * HEIGHT)] = 1.5
            return super().estimate(frames1, frames2)

    found = calibrate(Worse(), labeler(dict(CYCLE, beta=2.)), noisy_frames(4), precision=0.3)
    # what leaves the frame on the right is not kept
    assert found.precision == pytest.approx(0.4, abs=0.02) and found.thresholds['filters.0.beta'] > 1.5
    assert found.coverage == pytest.approx(1, abs=0.04) and found.reached
    assert not calibrate(Worse(), labeler(dict(type='TextureFilter')), noisy_frames(4), precision=0.5).reached


def test_the_same_seed_gives_the_same_calibration_and_another_one_other_warps():
    teacher, config, pairs = Planted(planted(64, 96) / 3), labeler(CYCLE, COLOR), noisy_frames(2, 64, 96)
    one, same, other = (calibrate(teacher, config, pairs, precision=0.3, seed=seed) for seed in (4, 4, 5))
    assert one == same and one.table != other.table
    assert 0 < one.material['hidden'] < 0.5 and one.material['warps'] == 8


def test_it_reads_back_from_json_and_says_what_to_set(translation):
    found = calibrate(Planted(planted()), labeler(dict(type='CycleFilter'), COLOR), noisy_frames(), precision=0.8)
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    beta, alpha = found.thresholds['filters.0.beta'], found.thresholds['filters.0.alpha']
    assert alpha == pytest.approx(beta * 0.002 / 0.1, rel=5e-3)  # the ratio that the user had
    assert found.options('labeler').startswith(
        f'labeler.filters.0.beta={beta:g} labeler.filters.0.alpha={alpha:g} labeler.filters.1.tol')
    lines = found.lines(rows=6)
    assert len(lines) <= 8 and sum(line.startswith('>') for line in lines) == 1 and lines[-1] == found.note
    assert found.before['thresholds'] == {'filters.0.beta': 0.1, 'filters.0.alpha': 0.002, 'filters.1.tolerance': 1.275}
    assert 'table' not in found.summary() and found.summary()['note'] == found.note
    with pytest.raises(ConfigError, match=r'labeler.filters.1.tolerance .* has 1 filters'):
        found.apply(labeler(CYCLE))


def test_other_filters_judge_along_and_guards_do_not(translation):
    """The error grows downwards; a filter that drops the lower half leaves what is right to any cycle tolerance."""

    @FILTERS.register_module()
    class UpperThird:

        def __call__(self, ctx):
            weight = torch.zeros_like(ctx.flow_fw[:, :1])
            weight[:, :, :HEIGHT // 3] = 1
            return weight

    try:
        guard = dict(type='StillPairGuard', least_motion=99.)
        found = calibrate(Planted(planted()),
                          labeler(guard, CYCLE, dict(type='UpperThird')),
                          noisy_frames(),
                          precision=0.95)
    finally:
        FILTERS.module_dict.pop('UpperThird')
    assert list(found.thresholds) == ['filters.1.beta', 'filters.1.alpha'] and found.precision == 1
    assert found.coverage == pytest.approx((1 - SHIFT / WIDTH) / 3, abs=0.01)


def test_what_comes_after_the_filters_is_named_as_not_covered(translation):
    found = calibrate(Planted(), labeler(CYCLE, floor=0.1, balance=dict(type='SpeedQuota')), noisy_frames())
    assert 'what floor and balance of the labeler' in found.note


@pytest.mark.parametrize('name', sorted(
    name for name, part in FILTERS.module_dict.items()
    if hasattr(part, 'threshold') and name != 'FeatureAgreement'))  # it needs a network, and has a test of its own
def test_a_filter_keeps_more_from_value_to_value_of_its_threshold(name):
    part = FILTERS.get(name)
    torch.manual_seed(0)
    flow = torch.randn(1, 2, 40, 40)
    frames = torch.rand(1, 3, 40, 40)
    ctx = PairContext(frames, (frames + 0.05 * torch.randn(1, 3, 40, 40)).clamp(0, 1), flow,
                      -flow + 0.3 * torch.randn(1, 2, 40, 40))
    described = FlowLabeler(view=dict(type='CascadeView'), filters=[dict(type=name)]).describe()['filters'][0]
    weights = [part(**part.threshold.settings(value, described))(ctx) for value in part.threshold.values(16)]
    assert all(bool((more >= less).all()) for less, more in zip(weights, weights[1:]))
    assert weights[-1].sum() > weights[0].sum()


def test_all_filters_with_a_tolerance_can_be_tuned():
    names = {
        name
        for name, part in FILTERS.module_dict.items() if isinstance(getattr(part, 'threshold', None), Threshold)
    }
    assert names == {
        'CycleFilter', 'SoftCycleFilter', 'ColorFilter', 'LabFilter', 'CensusFilter', 'GainRobustColorFilter',
        'TextureFilter', 'FeatureAgreement'
    }
    assert tunable_filters(labeler(dict(type='InFrameFilter'),
                                   dict(type='TextureFilter'))) == [(1, TextureFilter.threshold)]


def test_a_threshold_has_equal_ratios_and_takes_what_is_tied_to_it_along():
    threshold = Threshold('least', strictest=8., loosest=0.5, tied=('full', ))
    assert threshold.values(5) == [8., 4., 2., 1., 0.5]
    assert threshold.settings(1., dict(least=2., full=5.)) == dict(least=1., full=2.5)
    assert threshold.settings(2., dict(least=2., full=4.00001)) == dict(least=2.,
                                                                        full=4.00001)  # as it is, to the last digit
    assert threshold.settings(1., dict(least=0., full=4.)) == dict(least=1., full=4.)


def test_values_that_other_settings_forbid_are_left_out(translation):
    """With least=0 there is no ratio to keep, and full=0.6 must stay above least."""
    found = calibrate(Planted(), labeler(dict(type='TextureFilter', least=0., full=0.6)), noisy_frames(), precision=0.5)
    tried = [row['thresholds']['filters.0.least'] for row in found.table]
    assert max(tried) < 0.6 and 0. in tried and len(tried) > 3


@pytest.mark.parametrize('wrong, story', [
    (dict(precision=0.), r'calibrate.precision must lie in \(0, 1\), got 0.0; 0.95 is a good start'),
    (dict(precision=1.), r'calibrate.precision .* got 1.0'),
    (dict(precision=95), r'calibrate.precision .* got 95'),
    (dict(within=0.), r'calibrate.within must be finite and above 0, got 0.0 px: no motion is known'),
    (dict(within=-1.), r'calibrate.within .* -1.0'),
    (dict(relative=-0.1), r'calibrate.relative .* -0.1'),
    (dict(pace=-1.), r'calibrate.pace .* -1.0'),
    (dict(warps=0), r'calibrate.warps .* got 0'),
    (dict(least=0.), r'calibrate.least .* got 0.0'),
])
def test_invalid_values_are_refused_by_key(wrong, story):
    with pytest.raises(ConfigError, match=story):
        calibrate(Planted(), labeler(CYCLE), noisy_frames(), **wrong)


def test_what_cannot_be_calibrated_is_said_in_a_sentence(translation):
    with pytest.raises(
            ConfigError,
            match='no filter with a threshold to calibrate, got InFrameFilter; add one of CensusFilter, ColorF'):
        calibrate(Planted(), labeler(dict(type='InFrameFilter')), noisy_frames())
    with pytest.raises(ConfigError, match='no filter with a threshold to calibrate, got none'):
        calibrate(Planted(), labeler(), noisy_frames())
    with pytest.raises(InputError, match='at least 2 frame pairs, one to choose and one to judge, got 1'):
        calibrate(Planted(), labeler(CYCLE), noisy_frames(1))
    with pytest.raises(InputError, match='at least 32 px a side, got 96 x 31'):
        calibrate(Planted(), labeler(CYCLE), noisy_frames(2, 31, 96))
    with pytest.raises(NoLabelsError, match='no thresholds keep 1% of the pixels of the video, the loosest 0.00%'):
        calibrate(Planted(torch.full((1, HEIGHT, WIDTH), 10.)), labeler(CYCLE, dict(type='InFrameFilter')),
                  noisy_frames())
    with pytest.raises(TeacherError, match='nan'):
        calibrate(Planted(torch.full((1, HEIGHT, WIDTH), float('nan'))), labeler(CYCLE), noisy_frames())


def test_a_teacher_whose_motion_leaves_the_frame_everywhere_is_named():
    far = Planted(torch.full((1, 64, 96), -500.))
    assert bool(
        cycle_error(*far.estimate(torch.zeros(2, 3, 64, 96), torch.zeros(2, 3, 64, 96))[0].chunk(2)).isinf().all())
    with pytest.raises(NoLabelsError, match='leaves the frame everywhere'):
        calibrate(far, labeler(CYCLE), noisy_frames(2, 64, 96))


def test_the_settings_of_many_filters_stay_a_number_that_can_be_swept(translation):
    filters = [CYCLE, dict(type='SoftCycleFilter'), COLOR, dict(type='LabFilter')]
    found = calibrate(Planted(), labeler(*filters), noisy_frames(), warps=1)
    assert 2000 < len(found.table) <= 5000
    assert len({tuple(row['thresholds'].values()) for row in found.table}) == len(found.table)


def test_the_page_names_every_filter_with_its_threshold_and_what_is_tied_to_it():
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'calibration.md').read_text(encoding='utf-8')
    rows = [line for line in page.splitlines() if 'Filter`' in line and line.startswith('|')]
    found = {}
    for row in rows:
        names, key, tied = (re.findall(r'`(\w+)`', cell) for cell in row.strip('|').split('|'))
        found.update({name: (key[0], tuple(tied[:1])) for name in names})
    wanted = {name: part.threshold for name, part in FILTERS.module_dict.items() if hasattr(part, 'threshold')}
    assert found == {name: (threshold.key, threshold.tied) for name, threshold in wanted.items()}

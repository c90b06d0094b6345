"""Each guard refuses the pair that it is there for, and only that."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import backwarp
from mmrefine.labeling import (CutGuard, DuplicateFrameGuard, ExposureJumpGuard, FlowLabeler, PairContext, PairGuard,
                               StillPairGuard)
from mmrefine.structures import PairBatch

HEIGHT, WIDTH = 48, 64


def motion(x, y, height=HEIGHT, width=WIDTH):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def photo(seed=0, height=HEIGHT, width=WIDTH):
    """Blurred noise, 40 to 200 levels: smooth enough for half pixels and for JPEG."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    smooth = torch.nn.functional.interpolate(rough, (height, width), mode='bicubic')
    return ((40 + 160 * smooth).clamp(0, 255).round() / 255)


def recompressed(frames, quality):
    bgr = (255 * frames[0]).permute(1, 2, 0).flip(2).round().byte().numpy()
    _, data = cv2.imencode('.jpg', np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_COLOR)).flip(2).permute(2, 0, 1)[None].float() / 255


def passes(guard, frames1, frames2, fw=None, bw=None):
    fw = motion(0, 0) if fw is None else fw
    weight = guard(PairContext(frames1, frames2, fw, -fw if bw is None else bw))
    values = set(weight.flatten().tolist())
    assert weight.shape == fw[:, :1].shape and len(values) == 1 and values < {0., 1.}
    return bool(weight[0, 0, 0, 0])


@pytest.mark.parametrize('x, y, moves', [(.3, .4, True), (.3, .39, False), (0, 0, False), (-.5, 0, True)])
def test_a_pair_is_still_below_the_least_motion_in_px(x, y, moves):
    assert passes(StillPairGuard(least_motion=.499999), photo(), photo(1), motion(x, y)) is moves


@pytest.mark.parametrize('pixels, moves', [(30, False), (31, True)])
def test_a_pair_moves_as_soon_as_one_percent_of_it_does(pixels, moves):
    fw = motion(0, 0)
    fw[0, 0].view(-1)[:pixels] = 2.                           # of 3072 px; 1 % are 30.72
    assert passes(StillPairGuard(share=.01), photo(), photo(), fw) is moves


def test_a_copy_is_a_duplicate_also_after_mild_recompression_whatever_the_teacher_says_of_motion():
    frame = photo()
    assert not passes(DuplicateFrameGuard(), frame, frame, motion(3, 0))
    for quality in (95, 85, 75):
        again = recompressed(frame, quality)
        assert not torch.equal(again, frame)
        assert not passes(DuplicateFrameGuard(), frame, again, motion(3, 0)), quality


@pytest.mark.parametrize('px', [1., 4.])
def test_a_pair_of_which_one_small_thing_moves_is_no_duplicate(px):
    frame = photo()
    fw = motion(0, 0)
    fw[0, 0, 16:32, 16:32] = px
    assert passes(DuplicateFrameGuard(), frame, backwarp(frame, fw, 'border'), fw)


@pytest.mark.parametrize('levels, tolerance, passed', [(2., 2.1, False), (2., 1.9, True), (-2., 1.9, True)])
def test_the_tolerance_of_a_duplicate_is_the_mean_of_one_block_in_grey_levels(levels, tolerance, passed):
    frame = torch.full((1, 3, HEIGHT, WIDTH), .5)
    other = frame.clone()
    other[..., 8:16, 8:12] += 2 * levels / 255                # half of one block of 8x8 px
    assert passes(DuplicateFrameGuard(tolerance), frame, other) is passed


def test_a_cut_is_refused_and_the_same_shot_kept_whatever_the_light_does():
    frames2 = photo(height=HEIGHT, width=WIDTH)
    frames1, fw = backwarp(frames2, motion(3, 1), 'border'), motion(3, 1)
    assert passes(CutGuard(), frames1, frames2, fw)
    assert passes(CutGuard(), frames1, .4 * frames2, fw)                   # a fade to black
    assert passes(CutGuard(), frames1, .5 + .4 * frames2, fw)              # and to white
    assert not passes(CutGuard(), frames1, photo(7), fw)
    # a negative has the structure with the wrong sign
    assert not passes(CutGuard(), frames1, 1 - frames2, fw)


def test_motion_that_explains_nothing_makes_a_cut_and_the_right_one_does_not():
    frames2 = photo()
    frames1 = backwarp(frames2, motion(9, 5), 'border')
    assert passes(CutGuard(), frames1, frames2, motion(9, 5))
    assert not passes(CutGuard(), frames1, frames2, motion(-9, -5))


def test_a_pair_is_no_cut_while_some_of_its_structure_is_explained():
    """Left of a column the frame stays, right of it another frame: the correlation is about the share that stays."""
    frame = photo()
    for column, passed in ((WIDTH // 2, True), (WIDTH // 8, False)):
        mixed = torch.cat([frame[..., :column], photo(7)[..., column:]], dim=3)
        assert passes(CutGuard(), frame, mixed) is passed


def test_flat_frames_with_noise_are_no_cut_but_a_flat_frame_before_a_picture_is_one():
    flat = torch.full((1, 3, HEIGHT, WIDTH), .5)
    noisy1, noisy2 = (flat + torch.randn(flat.shape) * 2 / 255 for _ in range(2))
    assert passes(CutGuard(), flat, flat) and passes(CutGuard(), noisy1, noisy2)
    assert not passes(CutGuard(), torch.zeros_like(flat), photo())


def test_a_pair_of_which_nothing_stays_inside_counts_as_a_cut_and_has_no_exposure():
    assert not passes(CutGuard(least=0.), photo(), photo(), motion(99, 0))
    assert passes(ExposureJumpGuard(), photo(), photo(), motion(99, 0))


@pytest.mark.parametrize('guard', [CutGuard(), ExposureJumpGuard()])
def test_what_leaves_the_frame_says_neither_cut_nor_light(guard):
    """All but 3 of 64 columns leave; the others are explained without rest."""
    frames2 = photo()
    assert passes(guard, torch.roll(frames2, -61, dims=3), frames2, motion(61, 0))


@pytest.mark.parametrize('one, two, passed',
                         [(99., 124., True), (99., 125., False), (124., 99., True), (125., 99., False)])
def test_an_exposure_jumps_beyond_a_ratio_in_either_direction(one, two, passed):
    """125 / 100 is the limit exactly, once the level for black is added."""
    frames = [torch.full((1, 3, HEIGHT, WIDTH), value / 255) for value in (one, two)]
    assert passes(ExposureJumpGuard(max_gain=1.25 + 1e-4), *frames) is passed


@pytest.mark.parametrize('columns, passed', [(WIDTH // 2 - 1, True), (WIDTH // 2 + 1, False)])
def test_light_on_less_than_half_of_the_frame_is_no_jump(columns, passed):
    frame = photo()
    lit = frame.clone()
    lit[..., :columns] *= .5
    assert passes(ExposureJumpGuard(), frame, lit) is passed


def test_the_exposure_is_measured_along_the_motion():
    """Columns of 50 and 100 levels change places: each moves by one pixel, and no light changes."""
    stripes = torch.where(torch.arange(WIDTH) % 2 == 0, 50., 100.).expand(1, 3, HEIGHT, WIDTH) / 255
    dark = torch.where(torch.arange(WIDTH) % 8 == 0, 100., 50.).expand(1, 3, HEIGHT, WIDTH) / 255
    assert passes(ExposureJumpGuard(), stripes, torch.roll(stripes, 1, dims=3), motion(1, 0))
    assert not passes(ExposureJumpGuard(), torch.full_like(dark, 100 / 255), dark)


def test_black_frames_have_no_exposure_to_jump_and_a_flash_out_of_black_has():
    black = torch.zeros(1, 3, HEIGHT, WIDTH)
    assert passes(ExposureJumpGuard(), black, black)
    assert not passes(ExposureJumpGuard(), black, black + .5)


@pytest.mark.parametrize('guard', [StillPairGuard(), DuplicateFrameGuard(), CutGuard(), ExposureJumpGuard()])
def test_each_pair_of_a_batch_is_judged_alone(guard):
    """The pair that every guard refuses: still, a copy, or, for the two that need a change, negative and dark."""
    good2 = photo()
    good1, fw = backwarp(good2, motion(2, 0), 'border'), motion(2, 0)
    still = isinstance(guard, (StillPairGuard, DuplicateFrameGuard))
    bad2, bad_fw = (good1, motion(0, 0)) if still else ((1 - good2) * .3, fw)
    ctx = PairContext(good1.repeat(2, 1, 1, 1), torch.cat([bad2, good2]), torch.cat([bad_fw, fw]),
                      torch.cat([-bad_fw, -fw]))
    assert guard.passes(ctx).tolist() == [False, True]


def test_the_guards_part_real_pairs_from_real_cuts_and_copies(shared_data):
    """Three real videos, frames at a quarter of their size;
    at rest, since neighbouring frames of slow videos overlap.
    """
    folders = sorted((shared_data / 'davis' / 'JPEGImages' / '480p').iterdir())
    videos = [[_read(path) for path in sorted(folder.iterdir())[10:12]] for folder in folders]
    assert len(videos) == 8
    rest = motion(0, 0, 120, 216)
    for i, (first, second) in enumerate(videos):
        other = videos[i - 1][0]
        assert (passes(DuplicateFrameGuard(), first, second, rest)
                and passes(ExposureJumpGuard(max_gain=1.5), first, second, rest))
        assert not passes(DuplicateFrameGuard(), first, recompressed(first, 85), rest)
        assert not passes(CutGuard(), first, other, rest)
        assert passes(CutGuard(), first, recompressed(first, 85), rest)


def _read(path):
    image = cv2.resize(cv2.imread(str(path)), (216, 120), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(image).flip(2).permute(2, 0, 1)[None].float() / 255


class Scripted:
    """Says of every pair what it was given: forward, then backward."""
    accepts_flow_init = False

    def __init__(self, fw, bw):
        self.both = torch.cat([fw, bw])

    def estimate(self, frames1, frames2, flow_init=None):
        return [self.both]


def labels_of(filters, **settings):
    """A pair that moves by 2 px and a still one, labelled together."""
    fw = torch.cat([motion(2, 0), motion(0, 0)])
    labeler = FlowLabeler(view=dict(type='CascadeView', scales=(1., )), filters=filters, **settings)
    frames1, frames2 = torch.cat([photo(0), photo(1)]), torch.cat([photo(2), photo(1)])
    return labeler.label_pairs(Scripted(fw, -fw), PairBatch(frames1, frames2))


def test_the_labeler_says_which_guard_refused_a_pair():
    moving, still = labels_of([dict(type='StillPairGuard'), dict(type='CycleFilter'),
                               dict(type='ExposureJumpGuard', max_gain=99.)])
    assert (moving.stats['passed_StillPairGuard'], still.stats['passed_StillPairGuard']) == (1., 0.)
    assert (moving.stats['passed_ExposureJumpGuard'], still.stats['passed_ExposureJumpGuard']) == (1., 1.)
    assert moving.forward.kept == pytest.approx(1 - 2 / WIDTH) and still.forward.kept == 0
    assert all(type(value) is float for value in still.stats.values())


def test_the_floor_lifts_no_pixel_of_a_refused_pair():
    moving, still = labels_of([dict(type='StillPairGuard')], floor=.3)
    assert moving.forward.kept == 1 and still.forward.kept == 0


def test_a_guard_that_stands_twice_in_a_config_passes_what_both_pass():
    moving, still = labels_of([dict(type='StillPairGuard'), dict(type='StillPairGuard', least_motion=3.)])
    assert (moving.stats['passed_StillPairGuard'], still.stats['passed_StillPairGuard']) == (0., 0.)
    loose, _ = labels_of([dict(type='StillPairGuard', least_motion=3.), dict(type='StillPairGuard')])
    assert loose.stats['passed_StillPairGuard'] == 0. and loose.forward.kept == 0


def test_without_guards_the_statistics_are_what_they_were():
    """They are written into the label store, whose bytes must not depend on filters that are not there."""
    pair, _ = labels_of([dict(type='CycleFilter'), dict(type='TextureFilter')])
    assert list(pair.stats) == ['kept', 'verified', 'inside', 'mean_motion', 'cycle_error_median', 'cycle_error_mean',
                                'color_residual', 'along_motion', 'in_place']


def test_a_guard_must_say_which_pairs_pass():
    with pytest.raises(TypeError, match='passes'):
        type('SilentGuard', (PairGuard, ), {})()


@pytest.mark.parametrize('build, said', [
    (lambda: StillPairGuard(least_motion=0), 'StillPairGuard.least_motion must be finite and above 0, got 0 px'),
    (lambda: StillPairGuard(least_motion=-1), 'StillPairGuard.least_motion .* got -1'),
    (lambda: StillPairGuard(share=0), r'StillPairGuard.share must lie in \(0, 1\], got 0'),
    (lambda: DuplicateFrameGuard(tolerance=0),
     'DuplicateFrameGuard.tolerance must be finite and above 0, got 0 grey levels'),
    (lambda: DuplicateFrameGuard(tolerance=float('inf')), 'DuplicateFrameGuard.tolerance .* got inf'),
    (lambda: CutGuard(least=1.5), r'CutGuard.least must lie in \[0, 1\], got 1.5'),
    (lambda: ExposureJumpGuard(max_gain=1.), 'ExposureJumpGuard.max_gain must be finite and above 1, got 1.0'),
])
def test_invalid_values_are_refused_by_key_and_value(build, said):
    with pytest.raises(ConfigError, match=said):
        build()

import json

import cv2
import numpy as np
import pytest
import torch

from mmrefine.evaluation import boundary_f, carry_mask, jaccard, summarise


def box(top, left, size=20, shape=(480, 854)):
    mask = np.zeros(shape, dtype=bool)
    mask[top:top + size, left:left + size] = True
    return mask


def test_j_is_intersection_over_union():
    assert jaccard(box(0, 0, 4, (8, 8)), box(0, 2, 4, (8, 8))) == pytest.approx(8 / 24)


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty = np.zeros((30, 40), dtype=bool)
    assert jaccard(empty, empty) == boundary_f(empty, empty) == 1
    assert jaccard(empty, box(3, 3, shape=(30, 40))) == boundary_f(empty, box(3, 3, shape=(30, 40))) == 0
    assert boundary_f(box(3, 3, shape=(30, 40)), empty) == 0


@pytest.mark.parametrize('shift, perfect', [(8, True), (9, False)])
def test_a_boundary_within_8_px_at_480p_is_right(shift, perfect):
    # a half plane: its boundary is one straight line
    a, b = np.zeros((2, 480, 854), dtype=bool)
    a[:, :300], b[:, :300 + shift] = True, True
    assert boundary_f(a, b) == (1. if perfect else 0.)


def test_f_is_the_harmonic_mean_of_precision_and_recall():
    target = box(100, 100)
    pred = target | box(300, 600)  # all of the target found, half of the boundary invented
    assert boundary_f(pred, target) == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert boundary_f(target, pred) == pytest.approx(2 * 0.5 * 1 / 1.5)


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r'\(4, 5\) and \(5, 4\)'):
        jaccard(np.zeros((4, 5), dtype=bool), np.zeros((5, 4), dtype=bool))


def test_decay_is_the_first_quarter_minus_the_last():
    scores = [1.] * 4 + [0.5] * 4 + [0.4] * 4 + [0.2] * 4
    found = summarise(scores)
    assert found['mean'] == pytest.approx(0.525)
    assert found['recall'] == 0.25  # 0.5 is not more than 0.5
    # round(1, 4.75, 8.5, 12.25, 16) = 1, 5, 9, 12, 16: frames 1-5 against 12-16
    assert found['decay'] == pytest.approx((4 * 1 + 0.5) / 5 - (0.4 + 4 * 0.2) / 5)


def test_an_object_without_scored_frames_is_refused():
    with pytest.raises(ValueError, match='at least 3 frames'):
        summarise([])


def test_the_official_davis_scores_are_reproduced(shared_data):
    oracle = json.loads((shared_data / 'oracles/davis_first_mask_copied.json').read_text())['sequences']
    compared = 0
    for name in oracle:
        files = sorted((shared_data / 'davis/Annotations/480p' / name).glob('*.png'))
        masks = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) > 127 for file in files]
        for letter, score in (('J', jaccard), ('F', boundary_f)):
            found = summarise([score(masks[0], mask) for mask in masks[1:-1]])
            for statistic, value in found.items():
                assert value == pytest.approx(oracle[name][f'{letter}_{statistic}'],
                                              abs=2e-6), (name, letter, statistic)
                compared += 1
    assert compared == 8 * 2 * 3


def test_a_mask_moves_with_the_object():
    mask = torch.zeros(6, 8)
    mask[2:4, 1:3] = 1.
    flow_bw = torch.zeros(2, 6, 8)
    flow_bw[0], flow_bw[1] = -3., 1.  # the object went 3 px right and 1 px up
    moved = torch.zeros(6, 8)
    moved[1:3, 4:6] = 1.
    torch.testing.assert_close(carry_mask(mask, flow_bw), moved)


def test_half_a_pixel_of_motion_makes_a_soft_edge():
    mask = torch.zeros(3, 6)
    mask[:, :3] = 1.
    flow_bw = torch.zeros(2, 3, 6)
    flow_bw[0] = -0.5
    assert carry_mask(mask, flow_bw)[1].tolist() == pytest.approx([0.5, 1, 1, 0.5, 0, 0])  # 0 comes in from outside


def test_an_object_that_moves_leaves_no_trail_where_the_way_back_is_checked():
    before, after = torch.zeros(20, 40), torch.zeros(20, 40)
    before[5:15, 5:15], after[5:15, 11:21] = 1., 1.  # 6 px to the right, over a background that stands still
    flow_fw, flow_bw = torch.zeros(2, 20, 40), torch.zeros(2, 20, 40)
    flow_fw[0], flow_bw[0] = 6 * before, -6 * after
    trail, clean = carry_mask(before, flow_bw), carry_mask(before, flow_bw, flow_fw)
    torch.testing.assert_close(trail, (before + after).clamp(max=1))  # the exact motion, and yet
    # what comes into view is background where background is nearer, and of the object where that is nearer:
    # half of the trail goes
    torch.testing.assert_close(clean[:, :8], after[:, :8])
    torch.testing.assert_close(clean[:, 11:], after[:, 11:])


def test_what_never_returns_is_carried_as_it_is():
    mask = torch.rand(8, 9, generator=torch.Generator().manual_seed(0))
    flow_bw = torch.full((2, 8, 9), 1.)
    astray = torch.full((2, 8, 9), 30.)
    assert torch.equal(carry_mask(mask, flow_bw, astray), carry_mask(mask, flow_bw))
    astray[:, :4] = -1.  # a part that returns is not asked for the rest
    assert torch.equal(carry_mask(mask, flow_bw, astray), carry_mask(mask, flow_bw))
    # all of it does
    torch.testing.assert_close(carry_mask(mask, flow_bw, -flow_bw)[:7, :8], carry_mask(mask, flow_bw)[:7, :8])


def test_a_flow_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'\(6, 8\) and \(2, 3, 4\)'):
        carry_mask(torch.zeros(6, 8), torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r'\(6, 8\) and \(2, 6, 8\) and \(2, 5, 8\)'):
        carry_mask(torch.zeros(6, 8), torch.zeros(2, 6, 8), torch.zeros(2, 5, 8))

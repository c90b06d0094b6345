import json

import cv2
import numpy as np
import pytest

from mmrefine.evaluation import boundary_f, jaccard, summarise
from mmrefine.evaluation.masks.scores import tally_masks


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


def test_an_id_that_is_missing_below_the_largest_is_an_object_that_is_right_unless_it_is_predicted():
    truth = np.zeros((4, 20, 20), np.uint8)  # davis2017-evaluation: objects 1 to the largest of the first mask; empty
    truth[:, 2:8, 2:8], truth[:, 10:16, 10:16] = 1, 3  # in both scores 1, in one of them 0
    pred = np.where(truth == 3, 0, truth)
    assert tally_masks(pred, truth).scores()['J_mean'] == pytest.approx(2 / 3)
    pred[:, 10:12, 10:12] = 2
    found = tally_masks(pred, truth).scores()
    assert found['J_mean'] == found['F_mean'] == pytest.approx(1 / 3)


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

"""Masks and joints that were carried along: DAVIS' J and F over objects, PCK by joint."""
from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from small_runs import in_two_processes
from torch.utils.data import DataLoader

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.evaluation import KeypointMetric, MaskMetric, boundary_f, jaccard
from mmrefine.evaluation.joints.pck import KeypointTally, object_sizes, tally_keypoints
from mmrefine.evaluation.masks.scores import MaskTally, tally_masks
from mmrefine.fileio import read_mask
from mmrefine.registry import METRICS
from mmrefine.structures import ClipSample

FRAMES, SIZE = 12, (20, 30)


def ids(seed, objects=2, frames=FRAMES):
    """Blocks of ids that cover about a half."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, objects + 1, (frames, SIZE[0] // 5, SIZE[1] // 5), dtype=np.uint8)
    coarse[0].flat[:objects] = range(1, objects + 1)
    return coarse.repeat(5, axis=1).repeat(5, axis=2)


def clip(seed, objects=2, **more):
    points, truth = np.random.default_rng(seed).normal(0, 20, (2, FRAMES, 4, 2))
    visible = np.random.default_rng(seed).random((FRAMES, 4)) < 0.6
    fields = dict(pred_masks=ids(seed + 100, objects), masks=ids(seed, objects), pred_points=points, points=truth,
                  visible=visible, **more)
    return ClipSample(metainfo=dict(scene=f'v{seed}'),
                      **{name: torch.from_numpy(value) for name, value in fields.items()})


def judge(metric, samples):
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


def brute_f(pred, truth):
    """F by distances between all boundary pixels, without dilation."""

    def boundary(mask):
        found = []
        for y, x in itertools.product(range(SIZE[0]), range(SIZE[1])):
            below, right = min(y + 1, SIZE[0] - 1), min(x + 1, SIZE[1] - 1)
            if any(mask[y, x] != mask[other] for other in ((y, right), (below, x), (below, right))):
                found.append((y, x))
        return np.array(found).reshape(-1, 2)

    one, other = boundary(pred), boundary(truth)
    if not len(one) or not len(other):
        return float(len(one) == len(other))
    radius = np.ceil(0.008 * np.hypot(*SIZE))
    near = np.sqrt(((one[:, None] - other[None])**2).sum(axis=-1)) <= radius
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.


def test_the_scores_of_a_video_equal_a_second_implementation():
    pred, truth = ids(1), ids(2)
    wanted = []
    for number in (1, 2):
        frames = [(pred[t] == number, truth[t] == number) for t in range(1, FRAMES - 1)]
        row = []
        for values in ([(a & b).sum() / (a | b).sum() for a, b in frames], [brute_f(a, b) for a, b in frames]):
            # 10 frames: round(1, 3.25, 5.5, 7.75, 10) = 1, 3, 6, 8, 10: the first 3 against the last 3
            row += [np.mean(values), np.mean([value > 0.5 for value in values]),
                    np.mean(values[:3]) - np.mean(values[7:])]
        wanted.append(row)
    found = tally_masks(pred, truth).scores()
    assert list(found.values())[:6] == pytest.approx(np.mean(wanted, axis=0))
    assert found['J&F'] == pytest.approx((found['J_mean'] + found['F_mean']) / 2)


def test_the_official_scores_of_davis_come_out_of_the_metric(shared_data):
    oracle = json.loads((shared_data / 'oracles/davis_first_mask_copied.json').read_text())['sequences']
    metric = MaskMetric()
    names = ('drift-straight', 'libby')
    for name in names:
        files = sorted((shared_data / 'davis/Annotations/480p' / name).glob('*.png'))
        masks = np.stack([read_mask(file) for file in files]).astype(np.uint8)
        metric.process(None, [dict(scene=name, pred_masks=np.repeat(masks[:1], len(masks), axis=0), masks=masks)])
    scores = metric.evaluate(2)
    for key in oracle['libby']:
        for name in names:
            assert scores[f'scene/{name}/{key}'] == pytest.approx(oracle[name][key], abs=2e-6)
        assert scores[key] == pytest.approx(np.mean([oracle[name][key] for name in names]), abs=2e-6)


def test_objects_weigh_equally_and_videos_do_not():
    one, three = ids(1, 1), ids(2, 3)
    tally = tally_masks(one, one) + tally_masks(np.zeros_like(three), three)
    assert tally.objects == 4
    assert tally.scores()['J_mean'] == 1 / 4


def test_the_first_frame_and_the_last_are_not_scored():
    truth = ids(3)
    pred = truth.copy()
    pred[0], pred[-1] = 0, 0
    assert tally_masks(pred, truth).scores()['J_mean'] == 1


def test_an_object_is_one_of_the_first_mask_and_255_is_background():
    truth = ids(4, 1)
    truth[0][truth[0] == 0] = 255
    truth[1:][truth[1:] == 0] = 9  # appears later: no object
    assert tally_masks((truth == 1).astype(np.uint8), truth).objects == 1
    assert tally_masks((truth == 1).astype(np.uint8), truth).scores()['J_mean'] == 1


def test_an_object_that_is_not_predicted_is_empty_and_one_too_many_is_refused():
    truth = ids(5)
    pred = np.where(truth == 2, 0, truth)
    assert tally_masks(pred, truth).scores()['J_mean'] == 0.5
    with pytest.raises(ValueError, match=r'id 7 is predicted, but the first mask draws only 2 object\(s\)'):
        tally_masks(np.full_like(truth, 7), truth)


def test_videos_longer_than_255_frames_have_a_decay():
    scores = np.repeat([1., 0.], [260, 260])
    truth = np.zeros((522, 2, 2), np.uint8)
    truth[:, 0, 0] = 1
    pred = truth.copy()
    pred[1:-1][scores == 0] = 0
    assert tally_masks(pred, truth).scores()['J_decay'] == 1


@pytest.mark.parametrize('pred, truth', [((2, 4, 4), (2, 4, 4)), ((3, 4, 4), (3, 4, 5)), ((4, 4), (4, 4))])
def test_masks_that_do_not_fit_are_refused(pred, truth):
    with pytest.raises(ValueError,
                       match=r'at least 3 frames, got ' + str(pred).replace('(', r'\(').replace(')', r'\)')):
        tally_masks(np.zeros(pred, np.uint8), np.zeros(truth, np.uint8))


# ---- joints


def test_only_joints_of_the_first_clicked_frame_count_and_only_after_it():
    truth = np.zeros((5, 3, 2))
    pred = np.zeros((5, 3, 2))
    visible = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 1]], bool)
    pred[3, 0] = 3., 4.  # 5 px off
    pred[0], pred[1] = 99., 99.  # before the start, and given
    tally = tally_keypoints(pred, truth, visible, np.full(5, 10.), (0.49, 0.5))
    assert tally.seen == (2, 1, 0) and tally.right == ((1, 1, 0), (2, 1, 0))
    scores = tally.scores()
    assert scores['PCK@0.49'] == pytest.approx(2 / 3) and scores['PCK@0.49_joints'] == pytest.approx((1 / 2 + 1) / 2)
    assert scores['PCK@0.5'] == scores['PCK@0.5_joints'] == 1


def test_pck_is_the_share_of_the_keypoints_that_are_close_enough():
    rng = np.random.default_rng(0)
    pred, truth = rng.normal(0, 3, (2, FRAMES, 6, 2))
    visible, sizes = rng.random((FRAMES, 6)) < 0.7, rng.uniform(5, 30, FRAMES)
    visible[0] = True
    scores = tally_keypoints(pred, truth, visible, sizes, (0.2, )).scores()
    close = np.linalg.norm(pred - truth, axis=-1) <= 0.2 * sizes[:, None]
    assert scores['PCK@0.2'] == pytest.approx(close[1:][visible[1:]].mean())


def test_a_prediction_that_is_nan_is_wrong():
    truth, visible = np.zeros((3, 1, 2)), np.ones((3, 1), bool)
    pred = np.full((3, 1, 2), np.nan)
    assert tally_keypoints(pred, truth, visible, np.full(3, 1e9)).scores()['PCK@0.2'] == 0


def test_the_size_of_an_object_by_each_rule():
    masks = np.zeros((2, 20, 30), np.uint8)
    masks[0, 2:6, 3:12] = 2  # 4 x 9 px
    truth = np.array([[[0., 0.], [3., 4.], [90., 90.]]] * 2)
    visible = np.array([[1, 1, 0], [0, 0, 0]], bool)
    assert object_sizes('mask', truth, visible, masks).tolist() == [6, 0]
    assert object_sizes('joints', truth, visible).tolist() == [pytest.approx(0.6 * 5), 0]
    assert object_sizes('box', truth, visible, masks).tolist() == [9, 0]
    assert object_sizes('joints_box', truth, visible).tolist() == [4, 0]
    with pytest.raises(ValueError, match="the rule 'mask' needs the masks"):
        object_sizes('mask', truth, visible)
    with pytest.raises(ValueError, match="one of mask, joints, box, joints_box, got 'head'"):
        object_sizes('head', truth, visible)


def test_videos_of_different_joints_add_up_joint_by_joint():
    one = KeypointTally((0.2, ), (2, 3), ((1, 3), ))
    other = KeypointTally((0.2, ), (4, 0, 2), ((4, 0, 1), ))
    assert one + other == other + one == KeypointTally((0.2, ), (6, 3, 2), ((5, 3, 1), ))
    assert one + KeypointTally() == KeypointTally() + one == one
    with pytest.raises(ValueError, match=r'PCK at \(0\.2,\) cannot be added to PCK at \(0\.5,\)'):
        one + KeypointTally((0.5, ), (1, ), ((1, ), ))
    with pytest.raises(ValueError, match=r'PCK at .* cannot be added to PCK_max'):
        one + KeypointTally((0.2, ), (1, ), ((1, ), ), 'PCK_max')


def test_keypoints_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'sizes \(T,\), got \(3, 2, 2\), \(3, 2, 2\), \(3, 2\) and \(2,\)'):
        tally_keypoints(np.zeros((3, 2, 2)), np.zeros((3, 2, 2)), np.ones((3, 2)), np.ones(2))
    with pytest.raises(ValueError, match=r'at least 0, got \(-0\.1,\)'):
        tally_keypoints(np.zeros((3, 2, 2)), np.zeros((3, 2, 2)), np.ones((3, 2)), np.ones(3), (-0.1, ))


# ---- in MMEngine's loop


def test_the_order_of_the_videos_changes_no_bit():
    samples = [clip(seed, objects=1 + seed % 3) for seed in range(4)]
    for build in (MaskMetric, lambda: KeypointMetric('mask', (0.5, 1.))):
        whole = judge(build(), samples)
        assert whole['videos'] == 4 and len(whole) > 10
        for order in itertools.islice(itertools.permutations(range(4)), 1, 24, 5):
            assert judge(build(), [samples[i] for i in order]) == whole


class Three(torch.utils.data.Dataset):
    """Three videos that hold a prediction already."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return clip(index)


def test_two_processes_count_each_video_once(tmp_path):
    """Three videos: one process pads with a fourth."""

    def evaluate(indices, **options):
        found = {}
        for metric in (MaskMetric(**options), KeypointMetric('joints', (0.5, ), **options)):
            for index in indices:
                metric.process(None, [clip(index).to_dict()])
            found.update(metric.evaluate(3))
        return found

    def work(rank):
        sampler = DefaultSampler(Three(), shuffle=False)
        assert len(list(sampler)) == 2
        batches = DataLoader(Three(), 1, sampler=sampler, collate_fn=pseudo_collate)
        names = [int(batch[0].scene[1:]) for batch in batches]
        (tmp_path / f'{rank}.json').write_text(json.dumps(evaluate(names, collect_dir=str(tmp_path / 'meet'))))

    assert in_two_processes(work) == [0, 0]
    wanted = evaluate(range(3))
    assert all(json.loads((tmp_path / f'{rank}.json').read_text()) == wanted for rank in range(2))


def test_videos_without_truth_are_counted_and_not_scored():
    bare = ClipSample(metainfo=dict(scene='bare'))
    assert judge(MaskMetric(), [bare]) == judge(KeypointMetric(), [bare]) == {'videos': 1}
    assert judge(MaskMetric(), [bare, clip(0)])['J_mean'] == tally_masks(ids(100), ids(0)).scores()['J_mean']


def test_what_does_not_fit_is_an_error_that_names_the_video():
    with pytest.raises(MMRefineError, match='video v0: there is no pred_masks to judge'):
        judge(MaskMetric(), [ClipSample(metainfo=dict(scene='v0'), masks=torch.zeros(3, 2, 2))])
    with pytest.raises(MMRefineError, match="video v1: the rule 'box' needs the masks"):
        judge(KeypointMetric('box'),
              [ClipSample(metainfo=dict(scene='v1'), points=torch.zeros(3, 2, 2), visible=torch.ones(3, 2))])


def test_configs_find_the_metrics_and_wrong_ones_are_refused():
    assert isinstance(METRICS.build(dict(type='MaskMetric')), MaskMetric)
    assert METRICS.build(dict(type='KeypointMetric', rule='joints', shares=(0.1, 0.5))).shares == (0.1, 0.5)
    with pytest.raises(ConfigError, match="rule must be one of mask, joints, box, joints_box, got 'head'"):
        KeypointMetric('head')
    with pytest.raises(ConfigError,
                       match=r'KeypointMetric.shares must be numbers of at least 0, such as '
                             r'\(0\.1, 0\.2\), got \[-1\]'):
        KeypointMetric(shares=[-1])


def test_one_empty_tally_gives_no_scores():
    assert MaskTally().scores() == KeypointTally().scores() == {}


def test_the_second_implementation_of_f_agrees_with_the_first():
    pred, truth = ids(8)[0] > 0, ids(9)[0] > 0
    assert brute_f(pred, truth) == pytest.approx(boundary_f(pred, truth)) and 0 < jaccard(pred, truth) < 1

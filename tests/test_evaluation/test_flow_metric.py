import numpy as np
import pytest
import torch

from mmrefine.errors import MMRefineError
from mmrefine.evaluation import FlowMetric, FlowTally, tally_flow
from mmrefine.evaluation.flow.endpoint_error import flow_errors
from mmrefine.evaluation.tallies import pool_by_scene
from mmrefine.registry import METRICS
from mmrefine.structures import FlowSample


def constant(u, v=0., size=(4, 5)):
    return torch.tensor([u, v]).view(2, 1, 1).expand(2, *size).clone()


def sample(pred, flow=None, weight=None, scene='a', key='a/1__2'):
    fields = dict(pred_flow=pred)
    if flow is not None:
        fields['flow'] = flow
    if weight is not None:
        fields['weight'] = weight
    return FlowSample(metainfo=dict(key=key, scene=scene), **fields)


def judge(batches):
    metric = FlowMetric()
    for batch in batches:
        metric.process(None, [s.to_dict() for s in batch])
    return metric.evaluate(sum(len(batch) for batch in batches))


def test_the_error_of_a_3_4_triangle_is_5_px():
    assert torch.equal(flow_errors(constant(3., 4.), constant(0.)), torch.full((4, 5), 5.))


@pytest.mark.parametrize('error, within', [(0.999, (1, 1, 1)), (1., (0, 1, 1)), (3., (0, 0, 1)), (5., (0, 0, 0))])
def test_within_t_px_means_strictly_less(error, within):
    tally = tally_flow(constant(error), constant(0.), torch.ones(1, 4, 5, dtype=torch.bool))
    assert (tally.within_1px, tally.within_3px, tally.within_5px) == tuple(20 * w for w in within)


@pytest.mark.parametrize(
    'truth, error, outlier',
    [
        (10., 3., False),  # exactly 3 px is not more than 3 px
        (10., 3.001, True),
        (100., 4., False),  # 4 % of the motion
        (100., 5., False),  # exactly 5 % is not more than 5 %
        (100., 5.001, True),
        (0., 3.5, True),  # still truth: any share of nothing is more than 5 %
    ])
def test_an_fl_outlier_is_more_than_3_px_and_more_than_5_percent(truth, error, outlier):
    pred = constant(truth).double() + constant(0., error).double()
    tally = tally_flow(pred, constant(truth), torch.ones(1, 4, 5, dtype=torch.bool))
    assert tally.outliers == (20 if outlier else 0)


def test_the_metric_pools_pixels_and_does_not_average_pairs():
    few = torch.zeros(1, 4, 5)
    few[0, 0, 0] = 1
    many = torch.ones(1, 4, 5)
    scores = judge([[sample(constant(6.), constant(0.), few), sample(constant(0.5), constant(0.), many, scene='b')]])
    assert scores['EPE'] == pytest.approx((1 * 6 + 20 * 0.5) / 21)
    assert scores['EPE_per_pair'] == pytest.approx((6 + 0.5) / 2)
    assert scores['Fl'] == pytest.approx(100 / 21)
    assert scores['1px'] == pytest.approx(100 * 20 / 21)
    assert scores['scene/a/EPE'] == pytest.approx(6) and scores['scene/b/EPE'] == pytest.approx(0.5)
    assert scores['scene/a/Fl'] == 100 and scores['scene/b/Fl'] == 0


def test_the_batch_size_does_not_change_the_scores():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    samples = [
        sample(4 * draw(2, 6, 7), 4 * draw(2, 6, 7), (draw(1, 6, 7) > 0).float(), scene=f's{i % 2}') for i in range(5)
    ]
    assert judge([samples]) == judge([[s] for s in samples]) == judge([samples[:3], samples[3:]])


def test_the_scores_equal_a_brute_force_loop_over_pixels():
    rng = np.random.default_rng(1)
    pred, truth = rng.normal(0, 8, (2, 2, 5, 6))
    valid = rng.random((5, 6)) < 0.6
    errors, outliers = [], 0
    for y in range(5):
        for x in range(6):
            if valid[y, x]:
                error = np.hypot(*(pred[:, y, x] - truth[:, y, x]))
                errors.append(error)
                outliers += error > 3 and error / np.hypot(*truth[:, y, x]) > 0.05
    scores = tally_flow(torch.from_numpy(pred), torch.from_numpy(truth), torch.from_numpy(valid)[None]).scores()
    assert scores['EPE'] == pytest.approx(np.mean(errors))
    assert scores['3px'] == pytest.approx(100 * np.mean(np.array(errors) < 3))
    assert scores['Fl'] == pytest.approx(100 * outliers / len(errors))


def test_pairs_without_truth_are_counted_and_not_scored():
    scores = judge([[
        sample(constant(1.), constant(0.), torch.ones(1, 4, 5)),
        sample(constant(9.)),
        sample(constant(9.), constant(0.), torch.zeros(1, 4, 5)),
    ]])
    assert scores['pairs'] == 3 and scores['pairs_without_truth'] == 2
    assert scores['EPE'] == scores['EPE_per_pair'] == 1


def test_without_any_truth_there_are_only_the_counts():
    assert judge([[sample(constant(1.)), sample(constant(2.))]]) == {'pairs': 2, 'pairs_without_truth': 2}


def test_truth_that_is_not_finite_is_no_truth():
    truth = constant(0.)
    truth[0, 0, 0] = float('nan')
    scores = judge([[sample(constant(2.), truth)]])
    assert scores['EPE'] == 2
    assert tally_flow(constant(2.), truth, torch.ones(1, 4, 5, dtype=torch.bool)).pixels == 19


def test_a_prediction_with_nan_is_an_error_that_names_the_pair_and_the_share():
    pred = constant(0.)
    pred[1, 0] = float('nan')
    with pytest.raises(MMRefineError, match=r'pair market_2/f1__f2: 25\.0% of the network'):
        judge([[sample(pred, constant(0.), key='market_2/f1__f2')]])


def test_a_flow_with_inf_is_never_tallied():
    pred = constant(0.)
    pred[0, 1:3] = float('inf')
    with pytest.raises(MMRefineError, match=r'^50\.0% of the network'):
        tally_flow(pred, constant(0.), torch.ones(1, 4, 5, dtype=torch.bool))


def test_a_prediction_of_another_size_is_an_error_that_names_both_sizes():
    with pytest.raises(MMRefineError, match=r'\(2, 2, 3\), its truth \(2, 4, 5\)'):
        judge([[sample(constant(0., size=(2, 3)), constant(0.))]])


def test_a_sample_without_a_prediction_is_an_error():
    with pytest.raises(MMRefineError, match='pair a/1__2: there is no pred_flow'):
        FlowMetric().process(None, [FlowSample(metainfo=dict(key='a/1__2'), flow=constant(0.))])


def test_a_config_finds_the_metric_by_its_name():
    assert isinstance(METRICS.build(dict(type='FlowMetric')), FlowMetric)


def test_a_scene_with_a_slash_keeps_its_name():
    scores = pool_by_scene([('day/1', FlowTally(pairs=1, pixels=2, epe_sum=3.))])
    assert scores['scene/day/1/EPE'] == 1.5

"""The scores of the flow benchmarks: hand-made fields where one term decides, and a second implementation,
pixel by pixel.
"""
from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from small_runs import build, in_two_processes, small_config
from torch.utils.data import DataLoader

from mmrefine.engine import judge as judge_network
from mmrefine.errors import MMRefineError
from mmrefine.evaluation import FlowMetric, tally_flow
from mmrefine.evaluation.flow.benchmark import judge_sample, tally_benchmark, tally_spring
from mmrefine.evaluation.flow.label_free import LabelFreeTally
from mmrefine.fileio import read_flow
from mmrefine.registry import DATASETS
from mmrefine.report import benchmark_table
from mmrefine.structures import FlowSample

SIZE = (6, 8)
EVERYWHERE = torch.ones(1, *SIZE, dtype=torch.bool)


def constant(u, v=0., size=SIZE):
    return torch.tensor([u, v], dtype=torch.float64).view(2, 1, 1).expand(2, *size).clone()


def left(columns, size=SIZE):
    """The first columns of the frame."""
    mask = torch.zeros(size, dtype=torch.bool)
    mask[:, :columns] = True
    return mask


def scores_of(pred, target, **regions):
    return tally_benchmark(pred, target, EVERYWHERE, regions).scores()


@pytest.mark.parametrize('pred, truth, degrees', [
    ((1., 0.), (0., 0.), 45.),
    ((3**0.5, 0.), (0., 0.), 60.),
    ((0., 1.), (0., -1.), 90.),
    ((1., 1.), (-1., -1.), np.degrees(np.arccos(-1 / 3))),
    ((123.4, -5.6), (123.4, -5.6), 0.),
])
def test_the_angular_error_is_that_between_u_v_1(pred, truth, degrees):
    assert scores_of(constant(*pred), constant(*truth))['AAE'] == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize('error', [0., 0.05, 0.051, 0.15, 1., 2.5, 4.95, 5., 5.01, 80.])
def test_wauc_of_a_constant_error_is_the_weight_of_the_thresholds_it_meets(error):
    weights = [1 - (i - 1) / 100 for i in range(1, 101)]
    met = sum(weight for i, weight in enumerate(weights, 1) if error <= i / 20)
    assert scores_of(constant(error), constant(0.))['WAUC'] == pytest.approx(100 * met / sum(weights), abs=1e-12)


@pytest.mark.parametrize('error, beyond',
                         [(1., (0, 0, 0)), (1.01, (100, 0, 0)), (3., (100, 0, 0)), (3.01, (100, 100, 0)),
                          (5., (100, 100, 0)), (5.01, (100, 100, 100))])
def test_an_outlier_of_t_px_is_strictly_farther(error, beyond):
    scores = scores_of(constant(error), constant(0.))
    assert tuple(scores[f'{t}px_out'] for t in (1, 3, 5)) == beyond


@pytest.mark.parametrize('speed, part', [(9.99, 's0-10'), (10., 's10-40'), (40., 's10-40'), (40.01, 's40+')])
def test_a_pixel_belongs_to_the_bin_of_its_true_speed(speed, part):
    truth = constant(3.)
    truth[:, 0, 0] = torch.tensor([0., speed], dtype=torch.float64)
    pred = truth.clone()
    pred[0, 0, 0] += 2.
    scores = scores_of(pred, truth)
    assert scores[f'EPE_{part}'] == pytest.approx(2 / 48 if part == 's0-10' else 2)
    # empty bins are left out
    assert len([name for name in scores if name.startswith('EPE_s')]) == (1 if part == 's0-10' else 2)


def test_occluded_pixels_and_those_that_leave_the_frame_are_unmatched():
    truth = constant(0.)
    truth[0, :, 7] = 1.  # the last column leaves the frame
    pred = truth.clone()
    pred[1, :, :2] += 4.  # the occluded columns
    pred[1, :, 7] += 8.
    scores = scores_of(pred, truth, occluded=left(2))
    assert scores['EPE_unmatched'] == pytest.approx((2 * 4 + 8) / 3) and scores['EPE_matched'] == 0
    assert scores['Fl_unmatched'] == 100 and scores['Fl_matched'] == 0


def test_invalid_pixels_count_in_the_whole_and_not_in_valid():
    pred = constant(0.)
    pred[0, :, :4] = 2.
    scores = scores_of(pred, constant(0.), invalid=left(4))
    assert scores['EPE'] == 1 and scores['EPE_valid'] == 0 and 'EPE_invalid' not in scores


def test_kitti_has_background_foreground_and_what_is_not_occluded():
    truth, pred = constant(0.), constant(0.)
    pred[0, :, :2] = 4.  # foreground, not occluded
    pred[0, 0, 2:4] = 8.  # foreground, occluded: 2 of 12 pixels
    pred[0, 0, 7] = 16.  # background, not occluded: 1 of 6 pixels
    noc = left(2) | ~left(7)
    scores = scores_of(pred, truth, foreground=left(4), noc=noc)
    assert scores['Fl'] == pytest.approx(100 * 15 / 48)
    assert scores['Fl_fg'] == pytest.approx(100 * 14 / 24) and scores['Fl_bg'] == pytest.approx(100 / 24)
    assert scores['Fl_noc'] == pytest.approx(100 * 13 / 18)
    assert scores['Fl_noc_fg'] == 100 and scores['Fl_noc_bg'] == pytest.approx(100 / 6)
    assert scores['EPE_noc'] == pytest.approx((12 * 4 + 16) / 18) and scores['EPE_noc_bg'] == pytest.approx(16 / 6)


def test_absent_regions_leave_their_scores_out():
    names = set(scores_of(constant(0.), constant(0.)))
    whole = {'EPE', 'EPE_per_pair', '1px', '3px', '5px', 'Fl', '1px_out', '3px_out', '5px_out', 'AAE', 'WAUC'}
    assert names == whole | {'EPE_s0-10', 'Fl_s0-10'}
    assert 'Fl_noc' in scores_of(constant(0.), constant(0.), noc=left(3))
    assert set(scores_of(constant(0.), constant(0.), mine=left(3))) - names == {'EPE_mine', 'Fl_mine', 'EPE_not_mine',
                                                                                'Fl_not_mine'}


def test_the_scores_of_the_report_are_those_of_the_whole_frame():
    pred, target, valid, _ = random_pair(0)
    scores = tally_benchmark(pred, target, valid).scores()
    plain = tally_flow(pred, target, valid).scores()
    assert list(plain) == list(scores)[:6] and all(scores[name] == value for name, value in plain.items())


def test_a_part_is_pooled_over_its_pixels_and_not_over_pairs():
    tallies = [tally_benchmark(constant(error), constant(0.), EVERYWHERE, dict(foreground=left(columns)))
               for error, columns in ((8., 1), (0., 8))]
    scores = (tallies[0] + tallies[1] + tally_benchmark(constant(1.), constant(0.), EVERYWHERE)).scores()
    assert scores['EPE_fg'] == pytest.approx(8 / 9) and scores['Fl_fg'] == pytest.approx(100 / 9)
    assert scores['EPE_bg'] == 8 and scores['EPE'] == pytest.approx(3)  # the pair without regions counts in the whole


def random_pair(seed):
    """A flow, its truth with speeds of every bin, where it is known, and all regions of Sintel and KITTI."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, (2, *SIZE)) * rng.choice([2., 12., 50.], SIZE)
    pred = truth + rng.normal(0, 1, (2, *SIZE)) * rng.choice([0.2, 2., 6.], SIZE)
    regions = {name: torch.from_numpy(rng.random(SIZE) < 0.4) for name in ('occluded', 'invalid', 'noc', 'foreground')}
    return torch.from_numpy(pred), torch.from_numpy(truth), torch.from_numpy(rng.random((1, *SIZE)) < 0.8), regions


def brute_force(pairs):
    """Every score by a loop over pixels, each pixel counted in each part that it belongs to."""
    found = {}
    for pred, truth, valid, regions in pairs:
        for y, x in itertools.product(range(SIZE[0]), range(SIZE[1])):
            if not valid[0, y, x]:
                continue
            (u, v), (a, b) = pred[:, y, x].tolist(), truth[:, y, x].tolist()
            error, speed = ((u - a)**2 + (v - b)**2)**0.5, (a * a + b * b)**0.5
            occluded, invalid, noc, fg = (bool(regions[name][y, x])
                                          for name in ('occluded', 'invalid', 'noc', 'foreground'))
            outside = not (0 <= x + a <= SIZE[1] - 1 and 0 <= y + b <= SIZE[0] - 1)
            parts = [None, 's0-10' if speed < 10 else 's10-40' if speed <= 40 else 's40+',
                     'unmatched' if occluded or outside else 'matched', 'fg' if fg else 'bg']
            parts += [] if invalid else ['valid']
            parts += ['noc', 'noc_fg' if fg else 'noc_bg'] if noc else []
            cosine = (u * a + v * b + 1) / ((u * u + v * v + 1) * (a * a + b * b + 1))**0.5
            row = dict(EPE=error, Fl=100. * (error > 3 and error / speed > 0.05),
                       AAE=np.degrees(np.arccos(min(1., cosine))),
                       WAUC=100 * sum(101 - i for i in range(1, 101) if error <= i / 20) / 5050)
            row.update({f'{t}px': 100. * (error < t) for t in (1, 3, 5)},
                       **{f'{t}px_out': 100. * (error > t) for t in (1, 3, 5)})
            for part in parts:
                for name in row if part is None else ('EPE', 'Fl'):
                    found.setdefault(name if part is None else f'{name}_{part}', []).append(row[name])
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_all_scores_equal_a_loop_over_pixels():
    pairs = [random_pair(seed) for seed in range(3)]
    total = sum((tally_benchmark(*pair) for pair in pairs[1:]), tally_benchmark(*pairs[0])).scores()
    total.pop('EPE_per_pair')
    wanted = brute_force(pairs)
    assert len(wanted) == 10 + 2 * 11 and total == pytest.approx(wanted, abs=1e-9)


# ---- Spring


def spring_truth(flow, offsets=((0., 0.), (0., 0.), (0., 0.), (0., 0.))):
    """Four sub-pixels, each ``flow`` plus its offset."""
    return torch.stack([flow + torch.tensor(offset, dtype=torch.float64).view(2, 1, 1) for offset in offsets])


def test_spring_takes_the_nearest_sub_pixel():
    scores = tally_spring(constant(2.), spring_truth(constant(0.), ((0., 0.), (5., 0.), (1.5, 0.), (-3., 0.)))).scores()
    assert scores['EPE'] == 0.5 and scores['1px_out'] == 0


def test_spring_takes_5_percent_of_the_longest_motion():
    # 4 px from the nearest; 5 % of 70 is less than that, 5 % of 90 is more
    for longest, outliers in ((70., 100.), (90., 0.)):
        truth = spring_truth(constant(60.), ((0., 0.), (0., 0.), (0., 0.), (longest - 60, 0.)))
        assert tally_spring(constant(56.), truth).scores()['Fl'] == outliers


@pytest.mark.parametrize('others, part', [(13., 's10-40'), (12.9, 's0-10'), (53., 's40+'), (52.9, 's10-40')])
def test_spring_bins_by_the_mean_speed_and_40_px_is_fast(others, part):
    # one sub-pixel at 1 or 1 px, the mean decides: (1 + 3 * 13) / 4 = 10, (1 + 3 * 53) / 4 = 40
    truth = spring_truth(constant(1.), ((0., 0.), *((others - 1, 0.), ) * 3))
    scores = tally_spring(constant(1.), truth).scores()
    assert {name for name in scores if name.startswith('EPE_s')} == {f'EPE_{part}'}


def test_a_pixel_of_spring_with_one_unknown_sub_pixel_has_no_truth():
    truth = spring_truth(constant(0.))
    truth[2, 0, 0, 0] = float('nan')
    assert tally_spring(constant(0.), truth).size == 47


def test_the_scores_of_spring_equal_a_second_implementation():
    rng = np.random.default_rng(5)
    truth = rng.normal(0, 1, (4, 2, *SIZE)) + rng.normal(0, 1, (2, *SIZE)) * rng.choice([2., 12., 50.], SIZE)
    truth[1, :, rng.random(SIZE) < 0.1] = np.nan
    pred = np.nan_to_num(truth[0]) + rng.normal(0, 2, (2, *SIZE))
    maps = {name: rng.random(SIZE) < 0.4 for name in ('detail', 'unmatched', 'nonrigid', 'sky')}
    found = tally_spring(torch.from_numpy(pred), torch.from_numpy(truth),
                         {k: torch.from_numpy(v) for k, v in maps.items()}).scores()

    length = np.sqrt((truth**2).sum(axis=1))
    error = np.sqrt(((truth - pred)**2).sum(axis=1)).min(axis=0)  # nan where one is
    fl = (error > 3) & (error > 0.05 * length.max(axis=0))
    mean = length.mean(axis=0)
    parts = {'': np.ones(SIZE, bool), '_s0-10': mean < 10, '_s10-40': (mean >= 10) & (mean < 40), '_s40+': mean >= 40}
    for name, (yes, no) in dict(detail=('highdetail', 'lowdetail'), unmatched=('unmatched', 'matched'),
                                nonrigid=('nonrigid', 'rigid'), sky=('sky', 'notsky')).items():
        parts.update({f'_{yes}': maps[name], f'_{no}': ~maps[name]})
    compared = 0
    for part, mask in parts.items():
        count = (mask & ~np.isnan(error)).sum()
        met = sum((1 - (i - 1) / 100) * (mask & (error <= i / 20)).sum() for i in range(1, 101)) / 50.5
        wanted = dict(EPE=np.nansum(error[mask]), Fl=100 * (fl & mask).sum(), WAUC=100 * met)
        wanted['1px_out'] = 100 * (mask & (error > 1)).sum()
        for name, value in wanted.items():
            assert found[name + part] == pytest.approx(value / count), name + part
            compared += 1
    assert compared == 4 * 12


# ---- in MMEngine's loop


def sample(seed, **more):
    pred, truth, valid, regions = random_pair(seed)
    return FlowSample(metainfo=dict(key=f's{seed % 2}/{seed}', scene=f's{seed % 2}'), pred_flow=pred, flow=truth,
                      weight=valid.double(), regions=regions, **more)


def judge(batches, metric=None):
    metric = metric or FlowMetric()
    for batch in batches:
        metric.process(None, [one.to_dict() for one in batch])
    return metric.evaluate(sum(len(batch) for batch in batches))


def test_order_and_batches_change_no_bit_of_any_score():
    samples = [sample(seed) for seed in range(5)]
    whole = judge([samples])
    assert len(whole) == 3 * 33 + 2
    for order in itertools.islice(itertools.permutations(range(5)), 0, 120, 7):
        moved = [samples[i] for i in order]
        assert judge([moved[:2], moved[2:]]) == judge([[one] for one in moved]) == whole


class Five(torch.utils.data.Dataset):
    """Five samples that hold a prediction already."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return sample(index)


@pytest.mark.parametrize('round_up', [True, False])
def test_two_processes_count_each_sample_once(tmp_path, round_up):
    """Five samples: one process pads with a sixth, or has one less."""

    def work(rank):
        loader = DataLoader(Five(), 2, sampler=DefaultSampler(Five(), shuffle=False, round_up=round_up),
                            collate_fn=pseudo_collate)
        metric, seen = FlowMetric(collect_dir=str(tmp_path / 'meet')), 0
        for batch in loader:
            metric.process(None, [one.to_dict() for one in batch])
            seen += len(batch)
        assert seen == (3 if round_up or rank == 0 else 2)
        (tmp_path / f'{rank}.json').write_text(json.dumps(metric.evaluate(5)))

    assert in_two_processes(work) == [0, 0]
    wanted = judge([list(map(sample, range(5)))])
    for rank in range(2):
        assert json.loads((tmp_path / f'{rank}.json').read_text()) == wanted


@pytest.mark.parametrize('phase', ['val', 'test'])
def test_mmengines_loops_give_what_judge_gives_to_the_bit(material, tmp_path, phase):
    data = dict(type='FramePairs', data_root=str(material / 'frames'), truth_root=str(material / 'flow'),
                pipeline=[dict(type='LoadTruth', benchmark=True), dict(type='PackPair')])
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=data)
    parts = dict(dataloader=loader, cfg=dict(type=f'{phase.title()}Loop'),
                 evaluator=dict(type='FlowMetric', prefix='flow'))
    cfg = small_config(material, tmp_path, custom_hooks=[], **{f'{phase}_{name}': part for name, part in parts.items()})
    runner = build(cfg)
    found = getattr(runner, phase)()
    wanted = judge_network(runner.model, DATASETS.build(data), batch_size=2, benchmark=True)
    assert ({name[len('flow/'):]: value for name, value in found.items()} == wanted.scores()
            and 'EPE_s0-10' in found_names(wanted))


def found_names(judged):
    """Names of the figures, each of which has a value."""
    names = [figure.name for figure in judged.figures]
    assert set(names) == {name for name in judged.scores() if '/' not in name} - set(judged.counts)
    return names


def test_sub_pixels_are_judged_as_springs():
    one = sample(0, subpixel_flow=spring_truth(constant(1.)))
    found = judge_sample(constant(0.5), one.to_dict()).scores()
    assert found['WAUC_s0-10'] == pytest.approx(scores_of(constant(0.5), constant(1.))['WAUC'])


def test_a_region_of_another_size_is_an_error_that_names_it():
    one = sample(0)
    one.regions = dict(noc=left(2, (3, 4)))
    with pytest.raises(MMRefineError, match=r"pair s0/0: its region 'noc' has shape \(3, 4\), its truth \(2, 6, 8\)"):
        judge([[one]])


def test_the_table_has_a_line_for_each_part():
    scores = judge([[sample(0), sample(1)]])
    figures = judge_sample(sample(0).pred_flow, sample(0).to_dict()).figures
    lines = benchmark_table({'refined': scores, 'video': {'cycle_median': 1., 'pairs': 2}},
                            dict(refined=figures)).splitlines()
    assert lines[0] == 'refined, as the benchmarks score'
    assert lines[1].split()[:5] == ['part', 'EPE', '[px]', 'Fl', '[%]']
    assert lines[2].split() == ['all', *(f'{scores[name]:.3f}'
                                         for name in ('EPE', 'Fl', '1px_out', '3px_out', '5px_out', 'AAE', 'WAUC'))]
    rows = {line.split()[0]: line.split()[1:] for line in lines[3:]}
    assert len(rows) == 11 and rows['noc_fg'] == [f'{scores["EPE_noc_fg"]:.3f}', f'{scores["Fl_noc_fg"]:.3f}', *'-----']
    assert benchmark_table({'video': {'cycle_median': 1.}}, dict(video=LabelFreeTally.figures)) == ''


def test_the_flow_of_the_official_raft_has_the_scores_that_its_code_gives(shared_data):
    official = json.loads((shared_data / 'oracles/raft_small_epe.json').read_text())['pairs']['chairs/0000000']
    pred = np.load(shared_data / 'oracles/raft_small_chairs_0000000.npz')['flow']
    truth, known = read_flow(shared_data / 'flow_pairs/chairs/0000000-gt.flo')
    pred, truth = (torch.from_numpy(flow).permute(2, 0, 1) for flow in (pred, truth))
    scores = tally_benchmark(pred, truth, torch.from_numpy(known)[None]).scores()
    assert scores['EPE'] == pytest.approx(official['epe'], abs=1e-4)
    assert scores['Fl'] == pytest.approx(official['fl_percent'], abs=1e-3)
    assert scores['1px'] == pytest.approx(100 * official['px1_accuracy'], abs=1e-3)

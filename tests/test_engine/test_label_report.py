"""The quality of whole stores: scenes that are good, and scenes that are bad in one way each."""
import numpy as np
import pytest
import torch
from small_runs import in_two_processes

from mmrefine.datasets import FramePairs
from mmrefine.datasets.transforms import LoadTruth, PackPair
from mmrefine.engine.stage1.flow_judge import fill_gaps, judge_against_truth, judge_labels
from mmrefine.engine.stage1.run import label_summary
from mmrefine.errors import InputError
from mmrefine.evaluation import speed_stats, verdict_lines
from mmrefine.fileio import write_flow, write_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.structures import FlowLabel
from mmrefine.synthetic import render_clip

SIZE, FRAMES = (48, 72), 5
CLIP = render_clip(3, FRAMES, SIZE, 'target')
OTHER = render_clip(8, FRAMES, SIZE, 'target')


def exact(flow, visible):
    return FlowLabel(torch.from_numpy(flow), torch.from_numpy(visible.astype(np.float32)))


def build(root, scene, frames=CLIP.frames, change=lambda label, t: label, both=False, truth=True, **stats):
    """A scene in ``root``: frames, true flow, and labels that are the exact motion where it is seen, as ``change``
    makes them.
    """
    store = LabelStore(root / 'labels', dict(made_by='hand'))
    store.create()
    for t, frame in enumerate(frames):
        write_image(root / 'frames' / scene / f'f{t}.png', frame)
    for t in range(len(frames) - 1):
        key = f'{scene}/f{t}__f{t + 1}'
        if truth:
            write_flow(root / 'flow' / scene / f'f{t}.flo', CLIP.flow_fw[t].transpose(1, 2, 0))
        label = change(exact(CLIP.flow_fw[t], CLIP.visible_fw[t]), t)
        store.write(key, label,
                    {**speed_stats(label), 'cycle_error_median': .1, **{k: float(v[t]) for k, v in stats.items()}})
        if both:
            back = change(exact(CLIP.flow_bw[t], CLIP.visible_bw[t]), t)
            store.write(f'{scene}/f{t + 1}__f{t}', back, {**speed_stats(back), 'cycle_error_median': .1})


def judge(root, **options):
    store = LabelStore(root / 'labels', dict(made_by='hand'))
    if not store.is_complete():
        store.finish(store.keys())
    return judge_labels(store, FramePairs(root / 'frames', **options))


def weighed(weight):
    return lambda label, t: FlowLabel(label.flow, label.weight * weight)


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp('good')
    build(root, 'one', both=True)
    return root


def test_exact_labels_are_green_and_measure_as_exact(good):
    found = judge(good, truth_root=good / 'flow')
    assert found['verdict'] == found['scenes']['one']['verdict'] == 'green'
    assert found['labels'] == 2 * (FRAMES - 1) and found['truth']['labels'] == FRAMES - 1
    seen = np.concatenate([CLIP.visible_fw, CLIP.visible_bw])
    assert found['kept'] == pytest.approx(seen.mean(), abs=1e-5)
    truth = found['truth']
    assert truth['precision'] == 1 and truth['coverage'] == pytest.approx(CLIP.visible_fw.mean(), abs=1e-5)
    assert 0 < truth['EPE'] <= 2**.5 / 128  # what the store rounds away
    assert [found[kind]['pairs'] for kind in ('duplicates', 'cuts', 'still')] == [0, 0, 0]
    cycle = found['cycle_error']
    # exact motion returns; only where bilinear interpolation mixes two layers it does not
    assert cycle['of'] == 'pixels' and cycle['share'][0] > .95 and cycle['known'] > .9
    speed = np.linalg.norm(np.concatenate([CLIP.flow_fw, CLIP.flow_bw]), axis=1)
    edges = (0, .5, 2, 8, 32, np.inf)
    counts = [((speed >= low) & (speed < high)) for low, high in zip(edges, edges[1:])]
    assert found['speed']['share'] == pytest.approx([part.mean() for part in counts], abs=1e-5)
    wanted = [seen[:, 0][part].mean() if part.any() else None for part in counts]
    assert found['speed']['kept'] == [w if w is None else pytest.approx(w, abs=1e-4) for w in wanted]


def test_the_record_does_not_depend_on_the_direction_in_which_pairs_are_listed(good):
    forward, both = judge(good), judge(good, directions='both')
    assert forward == both and forward['labels'] == 2 * (FRAMES - 1)


def test_truth_of_a_judged_data_set_gives_the_same_scores(good):
    wanted, without = judge(good, truth_root=good / 'flow'), judge(good)
    assert 'truth' not in without
    store = LabelStore.open(good / 'labels')
    judged = FramePairs(good / 'frames', truth_root=good / 'flow', pipeline=[LoadTruth(), PackPair()])
    assert judge_against_truth(store, judged, without) == wanted
    assert judge_against_truth(store, FramePairs(good / 'frames', pipeline=[PackPair()]), without) == without


def blotted(label, t):
    weight = label.weight.clone()
    weight[:, 32:, 48:] = 0
    return FlowLabel(label.flow, weight)


def slow_only(label, t):
    fast = label.flow.norm(dim=0, keepdim=True) >= 2.
    return FlowLabel(label.flow, label.weight * ~fast)


def still(label, t):
    return FlowLabel(0 * label.flow, torch.ones_like(label.weight))


# brighter by 40 grey levels in every other frame
FLICKER = [(frame * (200 / 255) + 40 * (t % 2)).astype(np.uint8) for t, frame in enumerate(CLIP.frames)]
CUT = [*CLIP.frames[:3], *OTHER.frames[3:]]
TWICE = [CLIP.frames[0], CLIP.frames[0], *CLIP.frames[2:]]


@pytest.mark.parametrize('change, frames, finding, reason', [
    (weighed(1 / 255), CLIP.frames, 'kept', 'only 0.4 % of the motion was kept'),
    (blotted, CLIP.frames, 'region', 'the bottom right of the frame is never labelled'),
    (slow_only, CLIP.frames, 'fast', 'only slow motion is kept: 0.0 % of the pixels that move by '),
    (lambda label, t: label, FLICKER, 'residual', 'grey levels along the motion that was kept'),
    (lambda label, t: still(label, t) if t == 0 else weighed(.3)(label, t), TWICE, 'duplicates',
     '1 of 4 pairs show one frame twice'),
    (lambda label, t: label, CUT, 'cuts', '1 of 4 pairs look like cuts'),
    (still, CLIP.frames[[0] * FRAMES], 'still', 'nothing moves in 4 of 4 pairs'),
])
def test_a_scene_that_is_bad_in_one_way_is_red_for_that_reason(tmp_path, change, frames, finding, reason):
    build(tmp_path, 'bad', frames, change)
    build(tmp_path, 'good')
    scenes = judge(tmp_path)['scenes']
    assert scenes['good']['verdict'] == 'green'
    assert scenes['bad']['findings'][finding] == scenes['bad']['verdict'] == 'red'
    if finding == 'still':  # one frame for ever: both are true, and the cause comes first
        assert scenes['bad']['reason'].startswith('4 of 4 pairs show one frame '
                                                  'twice') and 'still' in scenes['bad']['findings']
    else:
        assert reason in scenes['bad']['reason']


def test_what_a_guard_has_refused_is_counted_but_costs_nothing(tmp_path):
    refuse = [1, 1, 0, 1]
    build(tmp_path, 'cut', CUT, lambda label, t: weighed(refuse[t])(label, t), passed_CutGuard=refuse)
    build(tmp_path, 'same', TWICE, lambda label, t: weighed(t > 0)(label, t), passed_DuplicateFrameGuard=[0, 1, 1, 1])
    scenes = judge(tmp_path)['scenes']
    assert scenes['cut']['cuts'] == dict(pairs=1, judged=4, weight=0) and scenes['cut']['verdict'] == 'green'
    assert scenes['same']['duplicates'] == dict(pairs=1, judged=4, weight=0) and scenes['same']['verdict'] == 'green'


def test_a_guard_that_was_asked_is_believed_and_a_pair_without_labels_is_not_called_a_cut(tmp_path):
    build(tmp_path, 'asked', CUT, passed_CutGuard=[1, 1, 1, 1])
    build(tmp_path, 'empty', CUT, lambda label, t: weighed(t != 2)(label, t))
    scenes = judge(tmp_path)['scenes']
    assert scenes['asked']['cuts']['pairs'] == 0 and scenes['asked']['cuts']['judged'] == 4
    assert scenes['empty']['cuts'] == dict(pairs=0, judged=3, weight=0)


def test_a_cut_is_seen_through_the_few_labels_that_survived_it(tmp_path):
    keep = torch.zeros(1, *SIZE)
    keep[:, 10:12, 10:12] = 1.
    build(tmp_path, 'cut', CUT, lambda label, t: FlowLabel(label.flow, keep))
    assert judge(tmp_path)['cuts'] == dict(pairs=1, judged=4, weight=.25)


def test_gaps_take_the_motion_of_the_nearest_label():
    flow, weight = torch.zeros(2, 5, 9), torch.zeros(1, 5, 9)
    flow[:, 2, 1], flow[:, 2, 7] = torch.tensor([3., 1.]), torch.tensor([-2., 4.])
    weight[:, 2, 1] = weight[:, 2, 7] = .5
    filled = fill_gaps(FlowLabel(flow, weight))
    assert (filled[:, :, :4] == torch.tensor([3., 1.]).view(2, 1, 1)).all()
    assert (filled[:, :, 5:] == torch.tensor([-2., 4.]).view(2, 1, 1)).all()
    nothing = FlowLabel(torch.zeros(2, 5, 9), torch.zeros(1, 5, 9))
    assert torch.equal(fill_gaps(nothing), nothing.flow)


def test_truth_of_another_size_is_refused_by_name(tmp_path):
    build(tmp_path, 'one')
    write_flow(tmp_path / 'flow/one/f1.flo', np.zeros((*SIZE[::-1], 2), np.float32))
    with pytest.raises(InputError, match=r'flow/one/f1\.flo: .* 72x48 .* 48x72'):
        judge(tmp_path, truth_root=tmp_path / 'flow')


def test_a_store_that_was_finished_without_a_summary_is_summed_up_when_it_is_asked(good):
    judge(good)
    found = label_summary(LabelStore.open(good / 'labels'))
    assert found['cycle_error_median'] == found['scenes']['one']['cycle_error_median'] == .1


def test_two_processes_give_the_record_of_one(tmp_path):
    build(tmp_path, 'a', both=True)
    build(tmp_path, 'b', CUT, weighed(.5), truth=False)
    wanted = judge(tmp_path, truth_root=tmp_path / 'flow')
    assert [color for _, color in verdict_lines(wanted)] == ['amber', 'red']

    def same(rank):
        assert judge(tmp_path, truth_root=tmp_path / 'flow') == wanted

    assert in_two_processes(same) == [0, 0]

"""Rounds of labels and training: the guard compares at the end of each, a record of each, rounds that bring nothing."""
from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from helpers_cli import DEMO_WEIGHTS
from mmengine.hooks import Hook
from report_records import Page
from small_runs import SIZE, build, exit_code, files_of, in_child, in_two_processes, refined_state, run, small_config

import mmrefine.apis.runs as runs
import mmrefine.engine.hooks.pseudo_label_hook as label_hook
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine import SelfTrainingLoop
from mmrefine.engine.guard.candidates import Candidate, compare_together
from mmrefine.engine.guard.looks import Looks
from mmrefine.engine.guard.observer import Observer
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.engine.hooks.rounds_hook import ROUNDS_INFO
from mmrefine.engine.stage1.agreement import flow_agreement, label_agreement, track_agreement
from mmrefine.errors import CheckpointError, ConfigError, NoLabelsError, TeacherError
from mmrefine.evaluation.guard.comparison import compare
from mmrefine.fileio import LabelStore
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.registry import HOOKS
from mmrefine.structures import FlowLabel, Tracks
from mmrefine.synthetic import write_clips

SECONDS = ('labels_seconds', 'train_seconds')


@HOOKS.register_module(force=True)
class WeightsAfter(Hook):
    """Stands for a training that leads to known weights: ``at`` says which file of them the network has after which
    step.
    """
    priority = 'HIGHEST'

    def __init__(self, at: dict) -> None:
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        path, model = self.at.get(str(runner.iter + 1)), getattr(runner.model, 'module', runner.model)
        if path == 'nan':
            model.estimator.encoder.conv1.weight.data.fill_(float('nan'))
        elif path is not None:
            model.estimator.load_state_dict(load_checkpoint_file(path)['state_dict'])


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Four clips, the demo network, and two copies of it that were shaken, one more than the other."""
    root = tmp_path_factory.mktemp('rounds')
    write_clips(root, range(30, 34), 4, SIZE)
    rng = torch.Generator().manual_seed(0)
    good = {key: value.float() for key, value in load_checkpoint_file(DEMO_WEIGHTS)['state_dict'].items()}
    for name, share in (('good', 0.), ('middling', .5), ('shaken', 1.)):
        rng.manual_seed(0)
        state = {key: value + share * .2 * value.std() * torch.randn(value.shape, generator=rng)
                 if value.numel() > 1 else value for key, value in good.items()}
        save_checkpoint(root / f'{name}.pth', dict(state_dict=state, meta={}))
    return root


def config(video, work_dir, rounds=3, patience=None, weights=None, guard=True, report=False, lr=0., **more):
    """Rounds of two steps; ``weights``: step -> name of the weights that the student has after it."""
    cfg = small_config(video, work_dir, max_iters=2 * rounds, rounds=rounds, relabel='every_round', report=report)
    cfg.load_from = str(video / 'shaken.pth')
    cfg.model.test_iters = 2
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.param_scheduler = dict(type='ConstantLR', factor=1., by_epoch=False)
    frames = dict(type='FramePairs', data_root=str(video / 'frames'), held_out=.4)
    label = dict(cfg.custom_hooks[0], dataset=frames)
    cfg.train_dataloader.dataset.held_out = .4
    judge = [dict(type='RegressionGuardHook', dataset=dict(frames, held=True), general=0, warps=1, steps=[1.],
                  interval='round', patience=patience)]
    reports = [dict(type='ReportHook', groups=dict(refined=dict(frames, pipeline=[dict(type='PackPair')])), pictures=0,
                    extremes=0, video=0)]
    known = {str(at): name if name == 'nan' else str(video / f'{name}.pth') for at, name in (weights or {}).items()}
    put = [dict(type='WeightsAfter', at=known)]
    cfg.custom_hooks = [label, *put, *(judge if guard else []), *(reports if report else [])]
    cfg.merge_from_dict(more)
    return cfg


def records_of(runner):
    return runner.message_hub.runtime_info[ROUNDS_INFO]


def without_seconds(records):
    return [{key: value for key, value in one.items() if key not in SECONDS} for one in records]


def state_of(path):
    return load_checkpoint_file(path)['state_dict']


def assert_same(one, other):
    assert one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.fixture(scope='module')
def best_in_the_middle(video, tmp_path_factory):
    """The work dir of four rounds of which the second has the best student and the third the worst; nobody waits for
    the fourth."""
    work_dir = tmp_path_factory.mktemp('middle')
    runner = run(config(video, work_dir, 4, 1, {2: 'middling', 4: 'good', 6: 'shaken'}, report=True))
    return work_dir, runner


def test_the_best_round_is_handed_back_and_those_that_bring_nothing_end(video, best_in_the_middle):
    work_dir, runner = best_in_the_middle
    guard = runner.message_hub.runtime_info[GUARD_INFO]
    assert runner.iter == 6 and not (work_dir / 'labels_round3').exists()
    assert guard['verdict'] == 'student' and guard['chosen']['iter'] == 4
    assert_same(refined_state(work_dir), state_of(video / 'good.pth'))
    assert [look['iter'] for look in guard['looks']] == [2, 4, 6] and 'losses' not in guard['looks'][0]
    log = next(work_dir.glob('*/*.log')).read_text()
    assert 'Guard: no better student in 1 round, so training stops' in log
    assert log.count(': round 1: the labels keep ') == log.count(': round 2: the labels keep ') == 1


def test_each_round_has_a_record(best_in_the_middle):
    work_dir, runner = best_in_the_middle
    found = json.loads((work_dir / 'report.json').read_text())['rounds']
    assert without_seconds(found) == without_seconds(records_of(runner))
    assert [one['round'] for one in found] == [0, 1, 2] and [one['iter'] for one in found] == [2, 4, 6]
    assert [one['store'] for one in found] == ['labels', 'labels_round1', 'labels_round2']
    stores = [LabelStore.open(work_dir / one['store']) for one in found]
    kept = [float(sum(store.read(key).kept for key in store.keys()) / len(store.keys())) for store in stores]
    assert [one['kept'] for one in found] == pytest.approx(kept, abs=1e-5)
    assert found[0]['agreement'] is None
    assert [one['agreement'] for one in found[1:]] == [brute_force(*stores[:2]), brute_force(*stores[1:])]
    assert found[1]['change_percent'] < found[0]['change_percent'] < 0 and found[1]['verdict'] == 'accepted'
    assert found[2]['change_percent'] == 0 and found[2]['verdict'] == 'refused'
    assert all(one[part] >= 0 for one in found for part in SECONDS)


def brute_force(before, after):
    """The agreement of two stores, with all labels in memory."""
    distances, both, either = [], 0, 0
    for key in before.keys():
        one, other = before.read(key), after.read(key)
        kept = (one.weight[0] > 0, other.weight[0] > 0)
        both, either = both + int((kept[0] & kept[1]).sum()), either + int((kept[0] | kept[1]).sum())
        distances.append((one.flow - other.flow).norm(dim=0)[kept[0] & kept[1]])
    whole = torch.cat(distances)
    return dict(common=round(both / either, 6), epe_mean=pytest.approx(float(whole.double().mean()), abs=1e-5),
                epe_median=pytest.approx(float(whole.median()), abs=1 / 128 + 1e-6))


def test_the_page_has_a_table_of_the_rounds(best_in_the_middle):
    page = Page((best_in_the_middle[0] / 'report.html').read_text(encoding='utf-8'))
    assert 'rounds' in page.all('section', 'id') and not page.open
    found = records_of(best_in_the_middle[1])
    for one in found[1:]:
        assert f'{100 * one["agreement"]["common"]:.1f}' in page.text
        assert f'{one["agreement"]["epe_mean"]:.3f}' in page.text
    assert 'accepted: surely better than the original network' in page.text
    chosen = page.all('tr', 'class').count('chosen')
    assert chosen == 2  # of the candidates, and of the rounds


def test_a_run_of_one_round_has_no_record_and_no_table(video, tmp_path):
    run(config(video, tmp_path, 1, report=True))
    assert json.loads((tmp_path / 'report.json').read_text())['rounds'] == []
    assert '<section id="rounds"' not in (tmp_path / 'report.html').read_text()


def killed(cfg, owner, name, number):
    """Run in a process that dies when ``owner.name`` is called for the ``number``-th time."""
    original, calls = getattr(owner, name), []

    def deadly(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    def act():
        setattr(owner, name, deadly)
        run(cfg)

    assert exit_code(in_child(act)) == -signal.SIGKILL


MOMENTS = {
    'in the middle of round 1': (SelfTrainingLoop, 'run_iter', 4),
    'between the labels of round 1 and its training': (SelfTrainingLoop, 'run_iter', 3),
    'while the labels of round 1 are judged': (label_hook, 'label_summary', 2),
    'between a look and its checkpoint': (Looks, 'add', 2),
}


@pytest.fixture(scope='module')
def whole(video, tmp_path_factory):
    """The work dir and the records of two rounds that really learn, and that nobody disturbed."""
    work_dir = tmp_path_factory.mktemp('whole')
    return work_dir, records_of(run(learning(video, work_dir)))


def learning(video, work_dir, **more):
    return config(video, work_dir, 2, lr=1e-4, default_hooks=dict(checkpoint=dict(interval=1)), **more)


@pytest.mark.parametrize('moment', MOMENTS)
def test_a_run_that_is_killed_ends_with_the_same_weights_and_records(video, whole, tmp_path, moment):
    killed(learning(video, tmp_path), *MOMENTS[moment])

    def go_on():
        records = records_of(run(learning(video, tmp_path, resume=True)))
        (tmp_path / 'records.json').write_text(json.dumps(records))

    assert exit_code(in_child(go_on)) == 0
    found = json.loads((tmp_path / 'records.json').read_text())
    assert without_seconds(found) == without_seconds(json.loads(json.dumps(whole[1])))
    for name in ('refined.pth', 'guard_best.pth'):
        assert_same(state_of(tmp_path / name), state_of(whole[0] / name))
    for name in ('labels', 'labels_round1'):
        assert files_of(tmp_path / name) == files_of(whole[0] / name), name


def test_rounds_that_were_ended_stay_ended_in_a_run_that_goes_on(video, tmp_path):
    cfg = dict(rounds=3, patience=1, weights={2: 'good', 4: 'shaken'})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmrefine.engine.hooks.regression_guard_hook.RegressionGuardHook.after_train',
                      lambda self, runner: (_ for _ in ()).throw(CheckpointError('stopped here')))
        with pytest.raises(CheckpointError, match='stopped here'):
            run(config(video, tmp_path, **cfg))
    runner = run(config(video, tmp_path, resume=True, **cfg))
    assert runner.iter == 4 and not (tmp_path / 'labels_round2').exists()
    assert runner.message_hub.runtime_info[GUARD_INFO]['chosen']['iter'] == 2
    assert [one['round'] for one in records_of(runner)] == [0, 1]


def test_two_processes_keep_the_same_records_and_the_best_round(video, tmp_path):
    half = dict(train_dataloader=dict(batch_size=1), launcher='pytorch')

    def work(rank):
        runner = run(config(video, tmp_path / 'run', 2, 1, {2: 'good', 4: 'shaken'}, **half))
        (tmp_path / f'records{rank}').write_text(json.dumps(without_seconds(records_of(runner))))
        (tmp_path / f'chosen{rank}').write_text(str(runner.message_hub.runtime_info[GUARD_INFO]['chosen']['iter']))

    assert in_two_processes(work) == [0, 0]
    assert [(tmp_path / f'chosen{rank}').read_text() for rank in (0, 1)] == ['2', '2']
    one, other = (json.loads((tmp_path / f'records{rank}').read_text()) for rank in (0, 1))
    assert one == other and len(one) == 2
    stores = [LabelStore.open(tmp_path / 'run' / name) for name in ('labels', 'labels_round1')]
    assert one[1]['agreement'] == brute_force(*stores) == label_agreement(*stores)


def nothing_in_round(monkeypatch, round_, error):
    """Stands for a teacher that fails in one round."""
    make = label_hook.make_labels

    def failing(teacher, labeler, source, store, *args, **kwargs):
        if store.root.name.endswith(f'_round{round_}'):
            store.create()
            raise error(f'{store.root}: nothing today')
        return make(teacher, labeler, source, store, *args, **kwargs)

    monkeypatch.setattr(label_hook, 'make_labels', failing)


@pytest.mark.parametrize('why', ['nothing today', 'nan'])
def test_a_later_round_without_labels_ends_the_rounds_and_the_best_is_handed_back(video, tmp_path, monkeypatch, why):
    if why == 'nothing today':
        nothing_in_round(monkeypatch, 2, NoLabelsError)
    runner = run(config(video, tmp_path, 4, None, {2: 'good', 4: 'nan' if why == 'nan' else 'shaken'}, report=True))
    assert runner.iter == 4
    assert_same(refined_state(tmp_path), state_of(video / 'good.pth'))
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['labels']['store'] == 'labels_round1' and report['guard']['chosen']['iter'] == 2
    last = report['rounds'][-1]
    assert last['round'] == 2 and last['verdict'] == 'not trained' and why in last['why']
    assert why in Page((tmp_path / 'report.html').read_text(encoding='utf-8')).text
    assert not (tmp_path / 'labels_round2').exists() and not list(tmp_path.rglob('.mmrefine-*'))
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'round 2 has no labels to learn from, so the rounds end here, with what the rounds before gave' in log


def test_real_labels_that_are_empty_in_a_later_round_are_no_loss_without_a_guard(video, tmp_path):
    """A student of weights that say nothing labels nothing that is kept."""
    cfg = config(video, tmp_path, 2, None, {2: 'shaken'}, guard=False)
    cfg.custom_hooks[0].min_kept = .01
    frozen = LabelStore.finish

    def emptied(store, keys, extra=None):
        extra = dict(extra, summary=dict(extra['summary'], kept=0.)) if store.root.name == 'labels_round1' else extra
        frozen(store, keys, extra)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabelStore, 'finish', emptied)
        runner = run(cfg)
    assert runner.iter == 2 and (tmp_path / 'refined.pth').exists() and (tmp_path / 'labels_round1').exists()
    assert 'only 0.000% of the motion survived the checks' in records_of(runner)[1]['why']


def test_a_teacher_that_diverged_is_one_sentence_where_no_guard_could_refuse_it(video, tmp_path, monkeypatch):
    nothing_in_round(monkeypatch, 1, TeacherError)
    with pytest.raises(TeacherError, match='the teacher of round 1 has diverged: .*nothing today; lower the learning '
                                           'rate or the number of rounds, or let a RegressionGuardHook'):
        run(config(video, tmp_path, 2, guard=False))
    assert not (tmp_path / 'labels_round1').exists() and not (tmp_path / 'refined.pth').exists()


def test_the_first_round_without_labels_is_an_error_as_ever(video, tmp_path, monkeypatch):
    monkeypatch.setattr(label_hook, 'make_labels', lambda *args, **kwargs: (_ for _ in ()).throw(NoLabelsError('none')))
    with pytest.raises(NoLabelsError, match='^none$'):
        run(config(video, tmp_path, 2))


def test_rounds_need_a_loop_of_rounds(video, tmp_path):
    cfg = config(video, tmp_path, 1)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
    cfg.custom_hooks = cfg.custom_hooks[2:]
    with pytest.raises(ConfigError, match="interval='round' needs a loop of rounds, and train_cfg is Iter"):
        build(cfg).train()


def test_a_video_is_refined_in_rounds_from_python(video, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'tell_forecast', lambda cfg, **more: None)
    values = {'model.train_iters': 1, 'model.test_iters': 1, 'labeler.view.scales': (1., ), 'labeler.balance': None,
              'crop_size': SIZE, 'max_iters': 2, 'batch_size': 1, 'held_out': 0.}
    command = [str(video / 'frames/target_0030'), 'demo', tmp_path, DEMO_WEIGHTS]
    report = runs.refine(*command, resume=True, rounds=2, **values)
    assert [one['store'] for one in report['rounds']] == ['labels', 'labels_round1']
    assert [one['iter'] for one in report['rounds']] == [1, 2] and report['rounds'][1]['agreement']['common'] > 0
    assert report['rounds'][1]['verdict'] == 'not compared' and report['settings']['rounds'] == 2
    with pytest.raises(ConfigError, match='holds a run of other settings .*train_cfg.rounds was 2'):
        runs.refine(*command, resume=True, **values)


def candidate(done, losses, clusters=None):
    losses = [float(loss) for loss in losses]
    return Candidate(done, 1., losses, compare(losses, clusters or range(len(losses))), {})


def test_of_many_students_one_is_kept_and_one_that_is_surely_better_beats_a_better_score(tmp_path):
    looks = Looks(tmp_path)
    state = dict(weight=torch.zeros(2))
    looks.add(candidate(1, [-.1] * 8), state)                         # surely better
    looks.add(candidate(2, [-3., *[.1] * 7]), dict(weight=torch.ones(2)))  # a better score, by luck on one pair
    assert looks.records[1]['change_percent'] < looks.records[0]['change_percent']
    assert [one['verdict'] for one in looks.records] == ['accepted', 'refused']
    assert (looks.best_iter, looks.since_best) == (1, 1) and looks.best[0] == 1
    looks.add(candidate(3, [-.2] * 8), dict(weight=torch.full((2, ), 3.)))
    assert (looks.best_iter, looks.since_best) == (3, 0)
    assert [path.name for path in tmp_path.iterdir()] == ['guard_best.pth']
    again = Looks(tmp_path, json.loads(json.dumps(looks.records)))
    again.reload(lambda found, name: found['state_dict'])
    assert again.best[0] == 3 and again.best[1]['weight'].tolist() == [3., 3.] and again.since_best == 0
    earlier = Looks(tmp_path, looks.records[:2])  # of a checkpoint before that step
    earlier.reload(lambda found, name: found['state_dict'])
    assert earlier.best is None and earlier.best_iter == 1
    assert len(looks.losses(8)) == 3 and looks.losses(7) == []


def test_the_best_of_many_that_are_no_better_is_not_taken_for_better():
    """By luck one of twenty looks better; what was said of it alone must hold for all twenty."""
    rng = torch.Generator().manual_seed(0)
    observer = Observer(type('Known', (), dict(samples=[(f's{i}', str(i)) for i in range(8)]))())
    alone = together = 0
    for _ in range(60):
        many = [candidate(i, (.1 * torch.randn(8, generator=rng)).tolist()) for i in range(20)]
        best = min(many, key=lambda one: one.loss)
        alone += compare_together([best], observer)[0].is_accepted
        together += compare_together([best], observer, others=[one.losses for one in many])[0].is_accepted
    assert together <= 4 < 15 < alone


def test_agreement_of_flow_is_what_one_counts_by_hand():
    """::

        before  keeps  1 1 1 0      after  keeps  1 1 0 1      both: two pixels, either: four
    """
    flow = torch.zeros(2, 1, 4)
    moved = flow.clone()
    moved[:, 0, 0], moved[0, 0, 1], moved[0, 0, 2] = torch.tensor([3., 4.]), 1., 100.
    found = flow_agreement(FlowLabel(flow, torch.tensor([[[1., .5, .1, 0.]]])),
                           FlowLabel(moved, torch.tensor([[[.2, 1., 0., 1.]]])))
    assert found.to_dict() == dict(common=.5, epe_median=1., epe_mean=3.)
    assert (found + found).to_dict() == found.to_dict()


def tracks_from(queries, points):
    points = torch.tensor(points)
    return Tracks(points, torch.ones(points.shape[:2]), torch.tensor(queries), SIZE)


def test_agreement_of_tracks_is_of_those_that_begin_at_the_same_points():
    """Of three tracks of which either label keeps two, one begins alike: 3 and 4 px apart, and lost in the last frame.
    """
    none = float('nan')
    before = tracks_from([[0., 2., 1.], [0., 5., 5.]], [[[1., 2.], [1., 2.], [1., 2.], [none, none]], [[5., 5.]] * 4])
    after = tracks_from([[0., 6., 5.], [0., 2., 1.]], [[[5., 6.]] * 4, [[1., 2.], [4., 2.], [1., 6.], [9., 9.]]])
    assert track_agreement(before, after).to_dict() == dict(common=round(1 / 3, 6), epe_median=3., epe_mean=3.5)
    elsewhere = tracks_from([[0., 0., 0.]], [[[0., 0.]] * 4])
    assert track_agreement(before, elsewhere).to_dict() == dict(common=0., epe_median=None, epe_mean=None)

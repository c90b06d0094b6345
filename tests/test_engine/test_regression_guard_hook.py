from __future__ import annotations

import inspect
import json
import logging
import time
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from small_runs import ROOT, SIZE, run, small_config

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.datasets.transforms import LoadLabel
from mmrefine.engine import RegressionGuardHook, ReportHook
from mmrefine.engine.guard.candidates import Candidate
from mmrefine.engine.guard.observer import Observer
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.engine.runtime.passes import Passes
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.evaluation.guard.measures import FLOORS
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.models import FlowRefiner
from mmrefine.registry import HOOKS, TRANSFORMS
from mmrefine.synthetic import write_clips

GOOD = ROOT / 'configs/demo/raft_small_source.pth'
HELD = 0.4


@HOOKS.register_module(force=True)
class PutWeights(Hook):
    """Stands for a training that leads to known weights: after ``at`` steps the network has those of ``path``."""
    priority = 'HIGHEST'

    def __init__(self, path: str, at: int) -> None:
        self.path, self.at = path, at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.at:
            runner.model.estimator.load_state_dict(state_of(self.path))


def state_of(path):
    return load_checkpoint_file(path)['state_dict']


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips, and the demo network as it is and with weights that were shaken."""
    root = tmp_path_factory.mktemp('guarded')
    write_clips(root, range(30, 34), 4, SIZE)
    rng = torch.Generator().manual_seed(0)
    good = {key: value.float() for key, value in state_of(GOOD).items()}
    shaken = {key: value + 0.2 * value.std() * torch.randn(value.shape, generator=rng) if value.numel() > 1 else value
              for key, value in good.items()}
    save_checkpoint(root / 'good.pth', dict(state_dict=good, meta={}))
    save_checkpoint(root / 'shaken.pth', dict(state_dict=shaken, meta={}))
    return root


def guarded(video: Path, work_dir: Path, start: str, *more_hooks, held_out=HELD, lr=0., max_iters=2, report=True,
            **settings):
    cfg = small_config(video, work_dir, max_iters=max_iters, report=report)
    cfg.load_from = str(video / start)
    cfg.model.test_iters = 2
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.param_scheduler = dict(type='ConstantLR', factor=1., by_epoch=False)
    frames = dict(type='FramePairs', data_root=str(video / 'frames'), held_out=held_out)
    cfg.custom_hooks[0].dataset = frames
    cfg.train_dataloader.dataset.held_out = held_out
    guard = dict(type='RegressionGuardHook', dataset=dict(frames, held=True), general=2, warps=1, **settings)
    if report:
        cfg.custom_hooks[1].groups = dict(refined=dict(frames, held_out=0., pipeline=[dict(type='PackPair')]))
    cfg.custom_hooks = [cfg.custom_hooks[0], guard, *cfg.custom_hooks[1:], *more_hooks]
    return cfg


def verdict_of(cfg):
    """The guard's record of a run without a report."""
    return run(cfg).message_hub.runtime_info[GUARD_INFO]


def report_of(work_dir: Path):
    return json.loads((work_dir / 'report.json').read_text())


def page_of(work_dir: Path) -> str:
    """The page as a browser reads it: line breaks are spaces."""
    return ' '.join((work_dir / 'report.html').read_text(encoding='utf-8').split())


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=0, atol=0, msg=key)


@pytest.fixture
def asked(monkeypatch):
    """How often networks are asked by guard and report, by the hook and whether the frames are of the video."""
    found, asking = {}, []

    def counted_in(hook):
        after_train = hook.after_train

        def counting(self, runner):
            asking.append(hook.__name__)
            after_train(self, runner)
            asking.pop()

        monkeypatch.setattr(hook, 'after_train', counting)

    def counted(name, of_each):
        original = getattr(FlowRefiner, name)

        def ask(self, frames1, *args, **more):
            if asking:
                key = asking[-1], tuple(frames1.shape[-2:]) == SIZE
                found[key] = found.get(key, Passes()) + of_each * len(frames1)
            return original(self, frames1, *args, **more)

        monkeypatch.setattr(FlowRefiner, name, ask)

    for hook in (RegressionGuardHook, ReportHook):
        counted_in(hook)
    counted('estimate', Passes(one_way=1))
    counted('estimate_both', Passes(both_ways=1))
    return found


def forecast_of(cfg):
    """What guard and report say: of each network and of all on six samples, and of 12 pairs."""
    guard, report = (HOOKS.build(hook) for hook in cfg.custom_hooks[1:3])
    return guard.passes_of_one(6), guard.passes(6), report.passes(12, has_truth=False)


def test_a_student_that_is_better_is_handed_back(video, tmp_path, monkeypatch, asked):
    # a line each time, not every few seconds
    monkeypatch.setattr(Progress.__init__, '__defaults__', (print, -1., time.monotonic))
    cfg = guarded(video, tmp_path, 'shaken.pth', dict(type='PutWeights', path=str(video / 'good.pth'), at=2),
                  steps=[0.5, 1.])
    run(cfg)
    each, guard, report = forecast_of(cfg)
    # of the two candidates that are forecast one has settled it
    assert asked['RegressionGuardHook', True] == each * 2 and guard == each * 3 and asked['ReportHook', True] == report
    assert asked['RegressionGuardHook', False] == Passes(one_way=2 * 2)
    guard = report_of(tmp_path)['guard']
    assert guard['verdict'] == 'student' and guard['chosen']['step'] == 1 and guard['chosen']['iter'] == 2
    assert guard['chosen']['interval_percent'][1] < 0 and 'is better than the original network' in guard['reason']
    assert guard['general']['after'] < guard['general']['before']
    assert [one['step'] for one in guard['candidates']] == [1.]  # which settles it
    assert guard['held_out'] == dict(pairs=6, scenes=2, share=HELD)
    held = {'target_0031', 'target_0033'}  # neither labelled nor learned from
    labelled = {path.name for path in (tmp_path / 'labels').iterdir() if path.is_dir()}
    assert labelled == {f'target_{seed:04d}' for seed in range(30, 34)} - held
    assert_same_weights(state_of(tmp_path / 'refined.pth'), state_of(video / 'good.pth'))
    assert not (tmp_path / 'student.pth').exists()
    log = next(tmp_path.glob('*/*.log')).read_text()
    for what in ('Guard: how the video moves, 6/6 frame pairs', 'Guard: the original network, 6/6 frame pairs',
                 'Guard: 1 candidate, 6/6 frame pairs',
                 'Guard: what was forgotten, 4/4 passes over rendered samples',
                 'Report: group refined, after: 12/12 pairs'):
        assert f'{what}, ' in log and '0 min 00 s left' in log.partition(what)[2].partition('\n')[0], what


def test_a_student_that_is_worse_is_not(video, tmp_path, caplog, asked):
    cfg = guarded(video, tmp_path, 'good.pth', dict(type='PutWeights', path=str(video / 'shaken.pth'), at=2))
    cfg.custom_hooks[2].without_truth = 3
    with caplog.at_level(logging.WARNING):
        run(cfg)
    # the guard has compared all candidates, and the report asks one network, which is both
    _, guard, report = forecast_of(cfg)
    assert asked['RegressionGuardHook', True] == guard and report.both_ways == 6
    assert asked['ReportHook', True] == Passes(one_way=1, both_ways=3)  # one of two sheets is of a pair not judged
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'The original network, which the guard hands back: ' in log and 'The refined network' not in log
    assert load_checkpoint_file(tmp_path / 'refined.pth')['meta']['refined'] is False
    guard = report_of(tmp_path)['guard']
    assert guard['verdict'] == 'teacher' and 'handed back unchanged' in guard['reason']
    assert len(guard['candidates']) == 4 and guard['general']['change_percent'] == 0
    assert_same_weights(state_of(tmp_path / 'refined.pth'), state_of(video / 'good.pth'))
    assert_same_weights(state_of(tmp_path / 'student.pth'), state_of(video / 'shaken.pth'))
    refined = report_of(tmp_path)['groups']['refined']
    assert refined['before'] == refined['after']
    assert (refined['pairs'], refined['pairs_judged'], refined['changes']['pairs']) == (12, 3, 3)
    assert '12 frame pairs. No pair has ground truth. 3 of them, spread evenly, are scored.' in page_of(tmp_path)
    assert report_of(tmp_path)['headline']['figures'][0]['pairs'] == 3


@TRANSFORMS.register_module(force=True)
class LoadLabelOfAnother(LoadLabel):
    """Labels are shuffled: each pair learns the motion of the next."""

    def transform(self, results):
        keys = sorted(LabelStore.open(Path(results['labels'])).keys())
        other = keys[(keys.index(results['key']) + 1) % len(keys)]
        return {**super().transform({**results, 'key': other}), 'key': results['key']}


@pytest.mark.parametrize('shuffled', [False, True])
def test_a_run_that_destroys_the_network_is_refused(video, tmp_path, shuffled):
    # a hundred times the rate that one would take
    cfg = guarded(video, tmp_path, 'good.pth', lr=1e-2, max_iters=3, report=False, steps=[1.])
    if shuffled:
        cfg.train_dataloader.dataset.pipeline[0] = dict(type='LoadLabelOfAnother')
    guard = verdict_of(cfg)
    assert guard['verdict'] == 'teacher' and guard['chosen']['change_percent'] > 20
    assert_same_weights(state_of(tmp_path / 'refined.pth'), state_of(video / 'good.pth'))


def test_too_little_to_judge_by_is_said_before_training_and_the_student_is_kept_but_not_handed_back(video, tmp_path):
    run(guarded(video, tmp_path, 'shaken.pth', dict(type='PutWeights', path=str(video / 'good.pth'), at=1), steps=[1.],
                held_out=0.01, max_iters=1))
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert log.index('3 frame pairs will prove nothing, as it takes 6') < log.index('Iter(train)')
    assert 'refine a longer video or more scenes, or keep back more of it (held_out)' in log
    guard = report_of(tmp_path)['guard']
    assert guard['verdict'] == 'unproven' and guard['chosen']['runs'] == 3 and guard['chosen']['change_percent'] < -5
    assert_same_weights(state_of(tmp_path / 'refined.pth'), state_of(video / 'shaken.pth'))
    assert_same_weights(state_of(tmp_path / 'student.pth'), state_of(video / 'good.pth'))
    assert load_checkpoint_file(tmp_path / 'refined.pth')['meta']['refined'] is False
    page = page_of(tmp_path)
    assert 'Unproven: the guard hands back the original network' in page and 'Too little was kept back' in page


def test_the_best_network_on_the_way_is_found_again(video, tmp_path):
    good, shaken = (dict(type='PutWeights', path=str(video / f'{name}.pth'), at=at)
                    for name, at in (('good', 2), ('shaken', 4)))
    run(guarded(video, tmp_path, 'shaken.pth', good, shaken, max_iters=5, interval=1, steps=[1.]))
    guard = report_of(tmp_path)['guard']
    assert guard['verdict'] == 'student' and guard['chosen']['iter'] in (2, 3)
    assert_same_weights(state_of(tmp_path / 'refined.pth'), state_of(video / 'good.pth'))
    assert load_checkpoint_file(tmp_path / 'guard_best.pth')['meta']['iter'] == guard['chosen']['iter']
    changes = {look['iter']: look['change_percent'] for look in guard['looks']}
    assert (list(changes) == [1, 2, 3, 4] and changes[2] < -5
            and min(changes, key=changes.get) == guard['chosen']['iter'])
    page = page_of(tmp_path)
    assert f'{changes[2]:+.1f}'.replace('-', '−') in page and ' after 2, ' in page


def test_training_stops_when_nothing_gets_better(video, tmp_path):
    good, shaken = (dict(type='PutWeights', path=str(video / f'{name}.pth'), at=at)
                    for name, at in (('good', 1), ('shaken', 2)))
    runner = run(guarded(video, tmp_path, 'shaken.pth', good, shaken, max_iters=9, report=False, interval=1, patience=2,
                         steps=[1.]))
    assert runner.iter == 3
    assert runner.message_hub.runtime_info[GUARD_INFO]['chosen']['iter'] == 1


@pytest.mark.parametrize('allowed, step', [(0.5, 0.5), (0.1, None), (None, 1.), (9., 1.)])
def test_of_students_that_are_surely_better_those_that_forgot_too_much_are_left_out(video, tmp_path, monkeypatch,
                                                                                    allowed, step):
    """Stands for a check on which the student lost 80 %, and half the way to it 40 %."""
    shaken, good = (state_of(video / f'{name}.pth') for name in ('shaken', 'good'))
    weight = next(key for key in good if not torch.equal(good[key], shaken[key]))

    asked = []

    def forgotten(observer, teacher, student, count, log):
        asked.append(student)
        way = (student.estimator.state_dict()[weight] - shaken[weight]).norm() / (good[weight] - shaken[weight]).norm()
        return dict(pairs=count, before=1., after=1 + 0.8 * float(way), change_percent=80 * float(way))

    monkeypatch.setattr(Observer, 'forgotten', forgotten)
    cfg = guarded(video, tmp_path, 'shaken.pth', dict(type='PutWeights', path=str(video / 'good.pth'), at=1),
                  steps=[0.5, 1.], max_iters=1, report=False, most_forgotten=allowed)
    monkeypatch.setattr(Candidate, 'is_accepted', property(lambda self: self.objection is None))
    guard = verdict_of(cfg)
    assert guard['verdict'] == ('teacher' if step is None else 'student')
    assert len(asked) == {0.5: 2, None: 3, 1.: 1}[step]  # once for each network that was looked at
    said = [one['objection'] for one in guard['candidates']]
    assert [text is not None for text in said] == [step is None, step != 1.]
    if step is None:
        assert guard['general']['change_percent'] == 0
        assert_same_weights(state_of(tmp_path / 'refined.pth'), shaken)
        assert 'general samples, where most_forgotten allows 10 %' in guard['reason']
    else:
        assert guard['chosen']['step'] == step
        assert guard['general']['change_percent'] == pytest.approx(80 * step)


def test_held_out_0_switches_it_off_and_says_so(video, tmp_path):
    cfg = guarded(video, tmp_path, 'good.pth', held_out=0., lr=1e-3)
    run(cfg)
    guard = report_of(tmp_path)['guard']
    assert guard['verdict'] == 'not run' and 'held_out is 0' in guard['reason']
    changed = state_of(tmp_path / 'refined.pth')
    assert any(not torch.equal(value, changed[key]) for key, value in state_of(video / 'good.pth').items())


def test_without_the_original_network_there_is_one_clear_sentence(video, tmp_path):
    class Lose(Hook):
        priority = 'VERY_HIGH'

        def after_train(self, runner):
            (tmp_path / 'teacher.pth').unlink()

    HOOKS.register_module(name='Lose', module=Lose, force=True)
    with pytest.raises(CheckpointError, match=r'teacher\.pth: the original network is gone'):
        run(guarded(video, tmp_path, 'good.pth', dict(type='Lose'), max_iters=1, report=False))


@pytest.mark.parametrize('settings, said', [
    (dict(steps=[]), r'steps must be .* got \[\]'),
    (dict(steps=[1.5]), r'steps must be .* got \[1\.5\]'),
    (dict(interval=0), r'interval must be .* got 0'),
    (dict(pairs=1), r'pairs must be .* got 1'),
    (dict(pairs=None), r'pairs must be .* got None'),
    (dict(warps=-1), r'warps must be .* got -1'),
    (dict(general=-1), r'general must be .* got -1'),
    (dict(seed=0.5), r'seed must be .* got 0\.5'),
    (dict(pace=float('inf')), r'pace must be .* got inf'),
    (dict(most_forgotten=-0.1), r'most_forgotten must be .* got -0\.1'),
    (dict(most_forgotten=float('nan')), r'most_forgotten must be .* got nan'),
    (dict(most_forgotten=0.5, general=0), r'most_forgotten bounds .* set general'),
    (dict(patience=2), r'patience counts comparisons .* set interval'),
    (dict(pairs=8, witnesses=dict(type='FlowWitnesses')), r'witnesses has settings of its own; move pairs'),
    (dict(confidence=1.), r'confidence must lie in \(0, 1\), got 1\.0'),
])
def test_invalid_settings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=f'RegressionGuardHook.{said}'):
        RegressionGuardHook(dict(type='FramePairs', held_out=0.1), **settings)


@pytest.mark.parametrize('key, number',
                         [('without_truth', 0), ('without_truth', 2.5), ('without_truth', True), ('batch_size', 0),
                          ('pictures', -1), ('extremes', -1)])
def test_invalid_numbers_of_a_report_are_refused_before_training(key, number):
    with pytest.raises(ConfigError, match=f'ReportHook.{key} must be .* got {number}'):
        ReportHook({}, **{key: number})


def test_the_page_on_the_guard_has_a_row_for_each_setting_with_its_default():
    page = (ROOT / 'docs' / 'guard.md').read_text(encoding='utf-8')
    rows = {line.split('`')[1]: line for line in page.splitlines() if line.startswith('| `')}
    for setting in list(inspect.signature(RegressionGuardHook).parameters.values())[1:]:
        assert f'| `{setting.default!r}` |' in rows[setting.name], setting
    assert set(FLOORS) <= set(rows)

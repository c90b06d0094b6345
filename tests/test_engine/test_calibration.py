"""Calibrated thresholds on the way through stage 1."""
import json

import pytest
import torch
from small_runs import KEYS, build, files_of, in_two_processes, small_config

import mmrefine.engine.stage1.calibrated as calibration_module
from mmrefine.engine import PseudoLabelHook, ReportHook
from mmrefine.engine.hooks.pseudo_label_hook import LABELS_INFO
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.labeling import FlowLabeler

PROMISE = dict(precision=0.5, frames=2, warps=1, within=2.)


def runner_of(material, work_dir, calibrate=PROMISE, **data):
    cfg = small_config(material, work_dir)
    cfg.custom_hooks[0].calibrate = calibrate
    cfg.custom_hooks[0].dataset.update(data)
    cfg.train_dataloader.dataset.update(data)
    runner = build(cfg)
    runner.load_or_resume()
    return runner, next(hook for hook in runner.hooks if isinstance(hook, PseudoLabelHook))


def labelled(material, work_dir, **more):
    runner, hook = runner_of(material, work_dir, **more)
    hook.label(runner, hook.store_root(runner.work_dir, 0))
    return runner, hook


@pytest.fixture(scope='module')
def whole(material, tmp_path_factory):
    """A work dir that was labelled in one go, its runner and its hook."""
    work_dir = tmp_path_factory.mktemp('whole')
    runner, hook = labelled(material, work_dir)
    return work_dir, runner, hook


def test_the_store_is_that_of_the_chosen_thresholds_and_the_report_says_them(whole):
    work_dir, runner, hook = whole
    record = json.loads((work_dir / 'labels_calibration.json').read_text())
    chosen = record['thresholds']
    assert set(chosen) == {'filters.0.beta', 'filters.0.alpha'} and chosen['filters.0.beta'] != 2.
    filters = [dict(type='CycleFilter', alpha=chosen['filters.0.alpha'], beta=chosen['filters.0.beta'])]
    calibrated = FlowLabeler(view=dict(type='CascadeView', scales=(1., )), filters=filters)
    store = LabelStore.open(work_dir / 'labels')
    assert store.fingerprint['labeler'] == digest_of(calibrated.describe()) and store.is_complete()
    said = runner.message_hub.runtime_info[LABELS_INFO]['calibration']
    assert said['thresholds'] == chosen and said['target'] == 0.5 and 'table' not in said
    assert ReportHook(groups={})._labels(runner)['calibration'] == said
    assert json.loads(json.dumps(said)) == said  # the report is JSON
    assert hook.labeler['filters'][0]['beta'] == 2.  # the config is as it was: the next round calibrates anew


def test_a_killed_run_goes_on_with_the_stored_thresholds_and_ends_the_same(material, whole, tmp_path, monkeypatch):
    runner, hook = runner_of(material, tmp_path)
    original, asked = FlowLabeler.label, []

    def killed(self, *args):
        if self.filters:
            asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(FlowLabeler, 'label', killed)
    with pytest.raises(KeyboardInterrupt):
        hook.label(runner, tmp_path / 'labels')
    monkeypatch.undo()
    assert not (tmp_path / 'labels/manifest.json').exists() and (tmp_path / 'labels_calibration.json').exists()

    def never(*args, **kwargs):
        raise AssertionError('it was calibrated before')

    monkeypatch.setattr(calibration_module, 'calibrate', never)
    labelled(material, tmp_path)
    for name in ('labels', 'labels_calibration.json'):
        one, other = whole[0] / name, tmp_path / name
        assert (files_of(one) == files_of(other)) if one.is_dir() else (one.read_bytes() == other.read_bytes())


def test_without_the_file_the_same_thresholds_are_found_again(material, whole, tmp_path):
    work_dir = whole[0]
    for spoiled in (None, b'[]'):
        path = tmp_path / 'labels_calibration.json'
        path.unlink(missing_ok=True)
        if spoiled is not None:
            path.write_bytes(spoiled)
        labelled(material, tmp_path)
        assert path.read_bytes() == (work_dir / 'labels_calibration.json').read_bytes()
        assert LabelStore.open(tmp_path / 'labels').fingerprint == LabelStore.open(work_dir / 'labels').fingerprint


def test_another_promise_is_calibrated_anew(material, whole, tmp_path):
    path = tmp_path / 'labels_calibration.json'
    path.write_bytes((whole[0] / 'labels_calibration.json').read_bytes())
    labelled(material, tmp_path, calibrate=dict(PROMISE, precision=0.1))
    one, other = (json.loads((folder / 'labels_calibration.json').read_text()) for folder in (whole[0], tmp_path))
    assert other['target'] == 0.1 and other['fingerprint']['settings'] != one['fingerprint']['settings']
    assert {**other['fingerprint'], 'settings': 0} == {**one['fingerprint'], 'settings': 0}


def test_two_processes_use_the_same_thresholds_as_one(material, whole, tmp_path):

    def work(rank):
        runner, hook = runner_of(material, tmp_path)
        hook.label(runner, tmp_path / 'labels')
        found = runner.message_hub.runtime_info[LABELS_INFO]['calibration']
        (tmp_path / f'rank{rank}.json').write_text(json.dumps(found['thresholds']))

    assert in_two_processes(work) == [0, 0]
    wanted = json.loads((whole[0] / 'labels_calibration.json').read_text())['thresholds']
    assert [json.loads((tmp_path / f'rank{rank}.json').read_text()) for rank in (0, 1)] == [wanted, wanted]
    assert files_of(tmp_path / 'labels') == files_of(whole[0] / 'labels')


def test_without_the_promise_the_thresholds_of_the_config_stay(material, tmp_path):
    runner, _ = labelled(material, tmp_path, calibrate=None)
    assert not list(tmp_path.glob('*calibration*'))
    assert 'calibration' not in runner.message_hub.runtime_info[LABELS_INFO]


def test_a_single_pair_cannot_both_choose_and_judge(material, tmp_path):
    with pytest.raises(InputError, match='at least 2 frame pairs, one to choose and one to judge, got 1'):
        labelled(material, tmp_path, scenes='target_0001', step=2)
    assert not (tmp_path / 'labels').exists() and len(KEYS) == 4


@pytest.mark.parametrize('wrong, story', [
    (dict(precison=0.9),
     r"PseudoLabelHook.calibrate has no key 'precison'; it has precision, within, relative, warps, pace, seed, frames"),
    (dict(precision=1.5), r'PseudoLabelHook.calibrate.precision must lie in \(0, 1\), got 1.5; 0.95 is a good start'),
    (dict(frames=1), r'PseudoLabelHook.calibrate.frames must be a whole number, at least 2, got 1'),
    (dict(frames=2.5), r'calibrate.frames .* got 2.5'),
    (dict(seed=-1), r'calibrate.seed must be a whole number, at least 0, got -1'),
    (dict(precision='x'), r"calibrate.precision must lie in .* got 'x'"),
    (dict(pace='x'), r"calibrate.pace must be finite and not negative, got 'x'"),
    (dict(warps='x'), r"calibrate.warps must be a whole number, at least 1, got 'x'"),
])
def test_settings_that_cannot_be_meant_are_refused_when_the_hook_is_built(wrong, story):
    with pytest.raises(ConfigError, match=story):
        PseudoLabelHook(dataset={}, labeler={}, calibrate=wrong)


@pytest.mark.parametrize('key, wrong, wanted', [
    ('batch_size', 1.5, 'a whole number, such as 1'),
    ('batch_size', 0, 'a whole number, at least 1'),
    ('min_kept', 'abc', 'a number, such as 0.001'),
    ('store', 5, "a string, such as 'labels'"),
    ('store', '', "the name of a folder, such as 'labels'"),
    ('labeler', 'x', 'a dict'),
    ('calibrate', 'x', 'a dict or None'),
    ('teacher_dtype', ['float32'], "a string, such as 'float32'"),
    ('relabel', 'x', "'once' or 'every_round'"),
])
def test_a_value_of_the_hook_that_cannot_be_meant_is_refused_when_it_is_built(key, wrong, wanted):
    with pytest.raises(ConfigError) as refused:
        PseudoLabelHook(**{**dict(dataset={}, labeler={}), key: wrong})
    assert str(refused.value) == f'PseudoLabelHook.{key} must be {wanted}, got {wrong!r}'


def test_a_least_share_beyond_1_is_refused_when_the_hook_is_built():
    with pytest.raises(ConfigError, match=r'PseudoLabelHook.min_kept must lie in \[0, 1\], got 2'):
        PseudoLabelHook(dataset={}, labeler={}, min_kept=2)


def test_nothing_random_of_the_training_is_used_up(material, tmp_path):
    runner, hook = runner_of(material, tmp_path)
    before = torch.get_rng_state()
    hook.label(runner, tmp_path / 'labels')
    assert torch.equal(torch.get_rng_state(), before)

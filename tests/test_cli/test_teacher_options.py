"""``--teacher``, ``--teacher-checkpoint`` and ``--labels``: a network that learns from another one."""
from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of

import mmrefine.apis.run_forecast as forecast
from mmrefine.apis.named_models import load_named
from mmrefine.apis.run_forecast import forecast_run
from mmrefine.apis.teachers import teacher_values
from mmrefine.apis.timing import WARM_UP
from mmrefine.apis.video_run import prepare_run
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.model_names import find_config
from mmrefine.config.load import complete, hooks_of
from mmrefine.engine.runtime.passes import Passes
from mmrefine.engine.stage1.outlook import pass_bytes
from mmrefine.errors import ConfigError
from mmrefine.fileio import LabelStore
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import FrozenTracker
from mmrefine.registry import DATASETS, HOOKS, LABELERS, TEACHERS
from mmrefine.structures import TrackEstimator

TINY = ['--steps', '1', '--batch-size', '1', '--workers', '0', '--set', 'model.train_iters=1', 'model.test_iters=1',
        f'crop_size={SIZE}'.replace(' ', ''), 'labeler.view.scales=(1.,)', 'labeler.balance=None', 'held_out=0']


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """A folder of four rendered frames."""
    return rendered(tmp_path_factory.mktemp('clip'), 4)


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    """Weights that differ from those of the demo."""
    path = tmp_path_factory.mktemp('weights') / 'student.pth'
    weights = load_checkpoint_file(DEMO_WEIGHTS)
    for value in weights['state_dict'].values():
        value.mul_(1.01)
    save_checkpoint(path, weights)
    return path


def command(clip, out, student, *more, name='refine'):
    return (name, clip, '--model', 'demo', '--checkpoint', student, '--out', out, *more)


def state_of(path):
    return {key: value.float() for key, value in load_checkpoint_file(path)['state_dict'].items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope='module')
def taught(clip, student, tmp_path_factory):
    """The folder of a run whose teacher is the demo's network."""
    out = tmp_path_factory.mktemp('taught') / 'out'
    assert status_of(*command(clip, out, student, '--teacher', 'demo', *TINY)) == 0
    return out


def test_another_network_labels_and_the_student_is_compared_with_its_own_start(taught, student):
    store = LabelStore.open(taught / 'labels')
    assert store.manifest['extra']['labelled_by'] == 'demo with the weights of raft_small_source.pth'
    assert same(state_of(taught / 'teacher.pth'), state_of(student))
    assert not same(state_of(taught / 'refined.pth'), state_of(DEMO_WEIGHTS))


def test_labels_made_once_teach_any_network_with_the_same_result(taught, clip, student, tmp_path, capsys):
    # the labels command with the large network alone; its iterations are those of its own config
    options = ['--set', 'labeler.view.scales=(1.,)', 'labeler.balance=None', 'held_out=0']
    assert status_of('labels', clip, '--model', 'demo', '--out', tmp_path / 'once', *options) == 0
    once, wanted = LabelStore.open(tmp_path / 'once/labels'), LabelStore.open(taught / 'labels')
    assert once.manifest['files'] == wanted.manifest['files'] and once.fingerprint == wanted.fingerprint
    assert once.manifest['extra']['labelled_by'] == 'RAFT with the weights of raft_small_source.pth'
    before = {path: path.read_bytes() for path in (tmp_path / 'once/labels').rglob('*.png')}
    capsys.readouterr()
    given = ['--labels', tmp_path / 'once/labels', *TINY]
    assert status_of(*command(clip, tmp_path / 'out', student, *given)) == 0
    text = capsys.readouterr().out
    assert f'labelled by: labels that were made before, {tmp_path}/once/labels' in text
    assert re.search(r'forecast: about .* in all: training ', text)  # no time for labels
    assert f' labelled before, {tmp_path}/once/labels\n' in text and 'to label' not in text
    assert same(state_of(tmp_path / 'out/refined.pth'), state_of(taught / 'refined.pth'))
    assert before == {path: path.read_bytes() for path in (tmp_path / 'once/labels').rglob('*.png')}
    assert not (tmp_path / 'out/labels').exists()
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert report['labels']['store'] == str(tmp_path / 'once/labels') and report['labels']['overlays']
    # finished, and found again
    assert status_of(*command(clip, tmp_path / 'out', student, *given)) == 0


def test_labels_of_something_else_are_refused(taught, clip, student, tmp_path, capsys):
    other = rendered(tmp_path / 'other', 4, seed=2)
    other = shutil.move(other, other.parent / clip.name)
    sentence = error_of(capsys, *command(other, tmp_path / 'a', student, '--labels', taught / 'labels', *TINY))
    assert sentence.startswith(f'{taught}/labels: the labels are of other frames than those of this run')
    sentence = error_of(capsys, *command(clip, tmp_path / 'b', student, '--labels', taught / 'labels', *TINY,
                                         'label_data.step=2'))
    assert 'the labels are of other frame pairs than those of this run (scenes, held_out,' in sentence
    sentence = error_of(capsys, *command(clip, tmp_path / 'c', student, '--labels', tmp_path / 'none', *TINY))
    assert sentence.startswith(f'{tmp_path}/none: not a complete label store (there is no such folder)')


def test_the_weights_of_the_teacher_may_lie_elsewhere_and_others_are_refused(taught, clip, student, tmp_path, capsys):
    (tmp_path / 'moved').mkdir()
    copy = shutil.copy(DEMO_WEIGHTS, tmp_path / 'moved/raft_small_source.pth')
    again = ['--teacher', 'demo', '--teacher-checkpoint', copy, *TINY]
    assert status_of(*command(clip, taught, student, *again)) == 0
    assert 'this run is finished already' in capsys.readouterr().out
    again[3] = student
    sentence = error_of(capsys, *command(clip, taught, student, *again))
    assert 'holds a run of other settings (teacher was ' in sentence
    assert 'teacher was ' in error_of(capsys, *command(clip, taught, student, *TINY))


def test_a_dry_run_says_who_labels_and_writes_nothing(clip, student, tmp_path, capsys):
    assert status_of(*command(clip, tmp_path / 'out', student, '--teacher', 'demo', '--dry-run', *TINY)) == 0
    text = capsys.readouterr().out
    assert 'labelled by: demo with the weights of raft_small_source.pth\n' in text and 'all: labels ' in text
    assert 'a pass over the largest frame takes about' in text and not (tmp_path / 'out').exists()
    assert status_of(*command(clip, tmp_path / 'out', student, '--dry-run', *TINY)) == 0
    assert 'labelled by' not in capsys.readouterr().out


def test_time_and_memory_of_labels_are_those_of_the_teacher(clip, student, tmp_path, monkeypatch):
    values = {**teacher_values(load_named('demo'), 'raft_small', DEMO_WEIGHTS), 'held_out': 0, 'crop_size': SIZE}
    cfg = prepare_run(clip, 'demo', tmp_path, student, values, log=lambda line: None)[0]
    asked = []

    def timed(run, device):
        run(WARM_UP)
        return 1.

    labeler = LABELERS.build(cfg.labeler.to_dict())
    original = type(labeler).label
    monkeypatch.setattr(type(labeler), 'label', lambda self, teacher, batch: (
        asked.append(teacher), original(self, teacher, batch))[1])
    monkeypatch.setattr(forecast, 'seconds_a_pixel', timed)
    found = forecast_run(cfg, labels_only=True)
    # the student has 8 iterations, as the demo
    assert [teacher.describe()['iters'] for teacher in asked] == [32]
    assert found.memory == pass_bytes(asked[0], labeler, SIZE, 1) > 0


def test_the_guards_look_at_the_teacher_takes_the_time_of_the_teacher(student, tmp_path, monkeypatch):
    video = rendered(tmp_path / 'video', 8)

    def iterations(self, network=None):
        iters = float((self.network if network is None else network).test_iters)
        return Passes(iters, 3 * iters)

    monkeypatch.setattr(forecast._Clock, 'look', iterations)
    monkeypatch.setattr(forecast, 'seconds_a_pixel', lambda run, device: 0.)
    seconds = []
    for taught in ({}, teacher_values(load_named('demo'), 'raft_small', DEMO_WEIGHTS)):
        values = {**taught, 'held_out': .4, 'crop_size': SIZE}
        cfg = prepare_run(video, 'demo', tmp_path / 'out', student, values, log=lambda line: None)[0]
        seconds.append(forecast_run(cfg).seconds['guard'])
        held = DATASETS.build(dict(hooks_of(complete(cfg), 'RegressionGuardHook')[0]['dataset'], pipeline=[]))
    # the student has 8 iterations, the teacher 32
    looks = seconds[1] - seconds[0]
    guard = HOOKS.build(hooks_of(complete(cfg), 'RegressionGuardHook')[0])
    one = guard.passes_of_one(len(held.units))
    assert looks == pytest.approx(one.taking(Passes(32, 3 * 32)) * SIZE[0] * SIZE[1]) and looks > 0
    assert one == guard.witnesses.passes * len(held.units)


def test_what_does_not_fit_is_one_sentence_before_the_video_is_read(clip, student, tmp_path, capsys):
    def said(*options):
        return error_of(capsys, *command(tmp_path / 'no.mp4', tmp_path / 'out', student, *options))

    assert said('--teacher-checkpoint', student).endswith('name that network with --teacher')
    assert 'exclude one another: labels that were made before need no teacher' in said('--teacher', 'demo', '--labels',
                                                                                       clip)
    assert said('--teacher', 'demo', '--rounds', '2').startswith('--teacher and --rounds exclude one another')
    assert said('--teacher', 'pips_demo') == ('--teacher pips_demo: pips_demo follows points, and the network that '
                                              'learns estimates flow; name a teacher of its kind')
    assert said('--teacher', 'mine/').endswith('(a folder of flow would do, too, and there is none of that name)')
    assert said('--teacher', 'rafft').startswith('--teacher rafft: there is no such model or config file; did you mean')
    wrong = said('--teacher', 'raft', '--teacher-checkpoint', DEMO_WEIGHTS)
    assert wrong.startswith(f'{DEMO_WEIGHTS}: these are not the weights of the configured RAFT')
    large = tmp_path / 'large.py'
    large.write_text(f"_base_ = '{find_config('demo')}'\nload_from = 'gone.pth'\n")
    assert said('--teacher', large).endswith('gone.pth: the weights to start from are not there; put it there, or name '
                                             'another with --teacher-checkpoint; or try things out with --teacher demo')
    assert not (tmp_path / 'out').exists()
    with pytest.raises(ConfigError, match='learns without labels, so nobody labels; leave --teacher out'):
        teacher_values(load_named('corrflow'), 'demo')


def test_a_teacher_of_the_config_is_replaced_as_a_whole():
    cfg = load_named('demo')
    cfg.custom_hooks[0].teacher = dict(type='StudentCopy', dtype='bfloat16')
    values = teacher_values(cfg, 'demo')
    assert values['custom_hooks.0.teacher']['_delete_'] is True
    cfg.merge_from_dict(values)
    assert cfg.custom_hooks[0].teacher == dict(type='OtherNetwork', model='demo', checkpoint=str(DEMO_WEIGHTS))


def test_a_tracker_teaches_a_tracker():
    values = teacher_values(load_named('pips_demo'), 'pips_demo')
    teacher = TEACHERS.build(values['custom_hooks.0.teacher']).network()
    assert isinstance(teacher, FrozenTracker) and isinstance(teacher, TrackEstimator)

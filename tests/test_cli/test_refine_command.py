"""``mmrefine refine`` and ``mmrefine labels``: one run in one folder, however often it is stopped and begun again."""
from __future__ import annotations

import inspect
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of, video_of

import mmrefine
from mmrefine.apis import runs as training
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.model_names import NAMED_MODELS
from mmrefine.compat.official_checkpoints import convert_raft_checkpoint
from mmrefine.config.load import load_config
from mmrefine.engine import SelfTrainingLoop
from mmrefine.errors import ConfigError
from mmrefine.fileio import LabelStore
from mmrefine.fileio.atomic import save_checkpoint

FRAMES = 8
# one look, one iteration, two steps of one pair; held_out leaves something to learn from
TINY = ['--steps', '2', '--batch-size', '1', '--set', 'model.train_iters=1', 'model.test_iters=1',
        'labeler.view.scales=(1.,)', 'labeler.balance=None', f'crop_size={SIZE}'.replace(' ', '')]


@pytest.fixture(scope='module')
def video(tmp_path_factory) -> Path:
    """A video file of eight rendered frames."""
    root = tmp_path_factory.mktemp('clip')
    return video_of(rendered(root, FRAMES), root / 'clip.avi')


@pytest.fixture(scope='module')
def official(tmp_path_factory) -> Path:
    """The weights of the demo under the names of RAFT's authors."""
    path = tmp_path_factory.mktemp('weights') / 'raft-small.pth'
    save_checkpoint(path, convert_raft_checkpoint(load_checkpoint_file(DEMO_WEIGHTS), 'princeton')[0])
    return path


def command(video, out, checkpoint=DEMO_WEIGHTS, name='refine', options=TINY):
    return (name, video, '--model', 'demo', '--checkpoint', checkpoint, '--out', out, *options)


@pytest.fixture(scope='module')
def run(video, official, tmp_path_factory) -> Path:
    """The folder of a whole run, stopped once by Ctrl-C in its first step, from official weights."""
    out = tmp_path_factory.mktemp('run') / 'out'
    original, calls = SelfTrainingLoop.run_iter, []

    def stopping(self, batch):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch)

    # a shell's background job begins with Ctrl-C ignored
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SelfTrainingLoop, 'run_iter', stopping)
        assert status_of(*command(video, out, official)) == 130
    signal.signal(signal.SIGINT, interrupt)
    assert json.loads((out / 'run.json').read_text())['finished'] is False and not (out / 'refined.pth').exists()
    assert (out / 'iter_1.pth').exists()
    assert status_of(*command(video, out, official)) == 0
    return out


def test_a_stopped_run_goes_on_where_it_was(run):
    assert json.loads((run / 'report.json').read_text())['timings']['resumed_at_iter'] == 1
    assert load_checkpoint_file(run / 'refined.pth')['meta']['iter'] == 2


def test_official_weights_are_taken_as_they_are(run):
    found, wanted = (load_checkpoint_file(path)['state_dict'] for path in (run / 'teacher.pth', DEMO_WEIGHTS))
    assert found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key].float()) for key in wanted)


def test_a_finished_run_is_not_repeated_and_says_what_came_of_it(run, video, official, capsys, monkeypatch):
    monkeypatch.setattr(training, 'train', lambda cfg, brief: pytest.fail('trained again'))
    before = (run / 'refined.pth').stat().st_mtime_ns
    capsys.readouterr()
    assert status_of(*command(video, run, official)) == 0
    text = capsys.readouterr().out
    reason = json.loads((run / 'report.json').read_text())['guard']['reason']
    assert f'{run}: this run is finished already' in text and text.count(f'guard: {reason}') == 1
    assert text.count(json.loads((run / 'report.json').read_text())['headline']['sentence']) == 1
    assert f'network: {run / "refined.pth"}; report: {run / "report.html"}' in text
    assert f'mmrefine flow {video} --model demo --checkpoint {run / "refined.pth"}' in text
    assert (run / 'refined.pth').stat().st_mtime_ns == before


def test_a_folder_with_a_run_of_other_settings_is_refused(run, video, official, tmp_path, capsys):
    sentence = error_of(capsys, *command(video, run, official), 'max_iters=3', 'randomness.seed=9')
    assert sentence.startswith(f'{run}: holds a run of other settings (')
    assert 'max_iters was 2, is 3' in sentence and 'randomness.seed was 125, is 9' in sentence
    weights = load_checkpoint_file(DEMO_WEIGHTS)
    next(iter(weights['state_dict'].values())).mul_(2)
    save_checkpoint(tmp_path / 'other.pth', weights)
    assert 'weights was ' in error_of(capsys, *command(video, run, tmp_path / 'other.pth'))
    (run.parent / 'foreign').mkdir()
    (run.parent / 'foreign' / 'last_checkpoint').write_text('iter_1.pth')
    assert 'holds a run that was not started by this command' in error_of(
        capsys, *command(video, run.parent / 'foreign', official))


def test_the_next_command_of_the_same_folder_does_not_mind_where_it_is_given(run, video, official, monkeypatch):
    monkeypatch.chdir(video.parent)
    monkeypatch.setattr(training, 'train', lambda cfg, brief: pytest.fail('trained again'))
    assert status_of(*command(video.name, run, official)) == 0


def test_labels_alone_are_those_that_a_refinement_learns_from(run, video, official, tmp_path, capsys):
    options = ['--sheets', '2', *TINY[4:], 'max_iters=2', 'batch_size=1']
    assert status_of(*command(video, tmp_path / 'out', official, 'labels', options)) == 0
    text = capsys.readouterr().out
    assert f'labels: {tmp_path / "out" / "labels"}' in text
    # the terminal has what a person waits for, the log file all
    log, = (tmp_path / 'out').glob('*/*.log')
    for page in ('Config:', 'System environment:', 'Hooks will be executed'):
        assert page not in text and page in log.read_text()
    assert len(text.splitlines()) < 30
    assert [path.name for path in (tmp_path / 'out/label_sheets').iterdir()] == ['clip.png']
    for path in (run / 'labels').rglob('*'):
        assert (path.is_dir()
                or path.read_bytes() == (tmp_path / 'out/labels' / path.relative_to(run / 'labels')).read_bytes())
    monkey = pytest.MonkeyPatch()
    monkey.setattr(training, 'train', lambda cfg, brief: [dict(groups={}, resumed=cfg.resume)])
    assert mmrefine.refine(video, 'demo', tmp_path / 'out', official, resume=True, **values())['resumed'] is True
    monkey.undo()


def values():
    """What the options of TINY say, from Python."""
    return {'max_iters': 2, 'batch_size': 1, 'model.train_iters': 1, 'model.test_iters': 1,
            'labeler.view.scales': (1., ), 'labeler.balance': None, 'crop_size': SIZE}


def test_labels_are_made_by_the_network_as_it_came_even_beside_a_finished_run(run, video, official):
    before = LabelStore.open(run / 'labels').fingerprint
    assert status_of(*command(video, run, official, 'labels', TINY[4:]), 'max_iters=2', 'batch_size=1') == 0
    assert LabelStore.open(run / 'labels').fingerprint == before
    assert json.loads((run / 'run.json').read_text())['finished'] is True


def test_corrupt_frames_become_no_label(video, tmp_path, capsys):
    clip = rendered(tmp_path, FRAMES)
    (clip / 'frame_0003.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    sentence = error_of(capsys, *command(clip, tmp_path / 'out', name='labels', options=TINY[4:]))
    assert ('frame_0003 (number 2: ' in sentence and '--skip-corrupt' in sentence
            and not (tmp_path / 'out/labels').exists())
    assert status_of(*command(clip, tmp_path / 'out', name='labels', options=['--skip-corrupt', *TINY[4:]])) == 0
    assert 'frame_0003 (number 2: ' in capsys.readouterr().out
    keys = LabelStore.open(tmp_path / 'out/labels').keys()
    assert keys and not [key for key in keys if 'frame_0003' in key] and f'{clip.name}/frame_0001__frame_0002' in keys


def test_quick_is_for_a_cpu_and_a_set_value_wins(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(training, 'refine',
                        lambda *args, **more: seen.update(more) or dict(groups={}, guard=dict(reason='fine')))
    assert status_of('refine', 'a.mp4', '--quick', '--amp', '--workers', '0', '--set', 'max_iters=50') == 0
    assert seen == {'resume': True, 'skip_corrupt': False, 'max_iters': 50, 'batch_size': 1, 'model.train_iters': 8,
                    'model.test_iters': 12, 'num_workers': 0, 'amp': 'on', 'rounds': None, 'labelled': None,
                    'points': None, 'recipe': None, 'teacher': None, 'teacher_checkpoint': None, 'labels': None,
                    'verify': False, 'max_error': None}
    others = ('resume', 'skip_corrupt', 'amp', 'rounds', 'labelled', 'points', 'recipe', 'teacher',
              'teacher_checkpoint', 'labels', 'verify', 'max_error')
    for name in ('raft_small', 'raft', 'raft_official'):
        config = own_config_root() / 'refine' / f'{name}_video.py'
        values = {key: value for key, value in seen.items() if key not in others}
        assert load_config(config, dict(values, video='a.mp4')).model.test_iters == 12
    for given, choice in ((['--amp', 'off'], 'off'), (['--amp', 'auto'], 'auto'), ([], 'auto')):
        assert status_of('refine', 'a.mp4', *given) == 0 and seen['amp'] == choice
    assert status_of('refine', 'a.mp4', '--quick', '--model', 'demo') == 0
    # asks for less
    assert [seen[key] for key in ('max_iters', 'batch_size', 'model.train_iters', 'model.test_iters')] == [200, 2, 4, 8]


@pytest.mark.parametrize('verdict, whose', [('student', 'refined network'), ('teacher', 'original network')])
def test_what_is_handed_back_is_called_what_it_is_and_the_verdict_is_not_said_again(monkeypatch, capsys, verdict,
                                                                                    whose):
    guard = dict(verdict=verdict, reason='The reason.')
    monkeypatch.setattr(training, 'refine', lambda *args, **more: dict(groups={}, guard=guard))
    assert status_of('refine', 'my cat.mp4', '--out', 'out') == 0
    text = capsys.readouterr().out
    assert text.startswith(f'{whose}: {Path("out", "refined.pth")}; report: ') and 'The reason.' not in text
    # as a shell reads it
    assert f"mmrefine flow 'my cat.mp4' --model raft_small --checkpoint {Path('out', 'refined.pth')}" in text


def test_a_model_for_each_scene_is_looked_for_where_it_is_be_it_one_scene(monkeypatch, capsys, video, tmp_path):
    monkeypatch.setattr(training, 'train', lambda cfg, brief: [dict(groups={})])
    assert status_of('refine', video, '--model', 'demo', '--out', tmp_path / 'out', '--set', 'scene=each') == 0
    assert capsys.readouterr().out.endswith(f'a network and a report for each scene are in {tmp_path / "out"}\n')


def test_what_is_wrong_is_one_sentence_before_anything_is_made(tmp_path, monkeypatch, capsys, video, official):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    nowhere = replace(NAMED_MODELS['raft_small'], address='http://127.0.0.1:9/small.pth')
    monkeypatch.setitem(NAMED_MODELS, 'raft_small', nowhere)
    small = error_of(capsys, 'refine', video)
    assert small.startswith('http://127.0.0.1:9/small.pth: cannot be downloaded (') and '--model demo' in small
    wrong = error_of(capsys, 'refine', video, '--model', 'raft', '--checkpoint', official)
    assert (wrong.startswith(f'{official}: holds the official Small RAFT (princeton names)')
            and wrong.endswith('add --model raft_small'))
    for name in ('refine', 'labels'):
        misspelt = error_of(capsys, name, video, '--model', 'demo', '--set', 'max_itrs=3')
        assert ('--set max_itrs: ' in misspelt and 'did you mean max_iters?' in misspelt
                and '--cfg-options' not in misspelt)
    assert error_of(capsys, 'refine', 'none.mp4', '--model',
                    'demo') == 'none.mp4: there is no such file or folder; check the path'
    with pytest.raises(ConfigError, match='sheets must be 0 or more labels of each scene, got -2'):
        mmrefine.label_video(video, 'demo', tmp_path / 'out', sheets=-2)
    assert "labeler.floor must be a number, such as 0.0, got 'abc'" in error_of(
        capsys, 'labels', video, '--model', 'demo', '--set', 'labeler.floor=abc')
    assert '--set labeler.view=dict(a=1,b=2): the value cannot be read' in error_of(
        capsys, 'labels', video, '--model', 'demo', '--set', 'labeler.view=dict(a=1,b=2)')
    sintel = error_of(capsys, 'refine', video, '--model', 'configs/refine/pwcnet_sintel.py')
    assert ('pwcnet_sintel.py: has no key video, so it cannot be run on your video' in sintel
            and 'datasets/video.py' in sintel)
    assert 'no such model' in error_of(capsys, 'refine', video, '--model', 'nothing.py')
    assert not [path for path in (tmp_path / 'work_dirs').rglob('*.pth')]


def test_a_run_can_be_prepared_from_a_config_object(video, tmp_path):
    cfg = load_config(own_config_root() / 'demo/raft_small_video.py')
    prepared, finished = training.prepare_run(video, cfg, tmp_path, DEMO_WEIGHTS)
    assert (prepared.video, prepared.work_dir, prepared.load_from,
            finished) == (str(video), str(tmp_path), str(DEMO_WEIGHTS), False)
    with pytest.raises(ConfigError, match='has no key .nothing.'):
        training.prepare_run(video, cfg, tmp_path, DEMO_WEIGHTS, dict(nothing=1))


def test_a_run_may_go_on_with_another_limit_for_decoded_frames(video, tmp_path):
    (tmp_path / 'teacher.pth').touch()  # it has begun to train
    for values in ({}, {'default_hooks.frame_cache.max_gb': 0}, {'default_hooks.frame_cache.max_gb': 9.5}):
        cfg = training.prepare_run(video, 'demo', tmp_path, DEMO_WEIGHTS, values, resume=True)[0]
    assert cfg.default_hooks.frame_cache.max_gb == 9.5
    with pytest.raises(ConfigError, match='holds a run of other settings .default_hooks.checkpoint.interval was'):
        training.prepare_run(video, 'demo', tmp_path, DEMO_WEIGHTS, {'default_hooks.checkpoint.interval': 7},
                             resume=True)


def test_a_run_that_failed_before_it_made_anything_may_begin_again_with_other_settings(tmp_path, capsys):
    short, out = rendered(tmp_path, 3), tmp_path / 'out'
    for values in (['held_out=2'], []):
        sentence = error_of(capsys, *command(short, out, options=[*TINY, *values]))
        assert 'holds a run' not in sentence and 'held_out' in sentence
    assert sentence.endswith('set held_out=0, which leaves the guard out')
    # the record is not in the way of the remedy, which is all that a run needs to begin
    cfg = training.prepare_run(short, 'demo', out, DEMO_WEIGHTS, dict(held_out=0), resume=True)[0]
    assert cfg.held_out == 0 and json.loads((out / 'run.json').read_text())['settings']['config']['held_out'] == 0
    (out / 'teacher.pth').touch()
    with pytest.raises(ConfigError, match='holds a run of other settings .held_out was 0, is 0.15'):
        training.prepare_run(short, 'demo', out, DEMO_WEIGHTS, resume=True)


@pytest.mark.parametrize('value, remedy', [
    ('video=a.mp4', 'as VIDEO'), ('config=a.py', '--model'), ('checkpoint=a.pth', '--checkpoint'),
    ('work_dir=a', '--out'),
    ('resume=True', 'the same command goes on'), ('skip_corrupt=True', '--skip-corrupt'), ('sheets=3', '--sheets N')])
def test_what_has_a_place_of_its_own_is_not_set(value, remedy, capsys):
    for name in ('refine', 'labels'):
        sentence = error_of(capsys, name, 'a.mp4', '--model', 'demo', '--set', 'max_iters=2', value)
        assert (sentence.startswith(f'--set {value.partition("=")[0]}=…: this key cannot be set here; ')
                and remedy in sentence)


def test_no_argument_of_the_function_is_a_key_to_set(capsys):
    """It would be given twice."""
    parameters = inspect.signature(training.refine).parameters
    for key in [name for name, one in parameters.items() if one.kind != one.VAR_KEYWORD]:
        assert f'--set {key}=…: this key cannot be set here; ' in error_of(
            capsys, 'refine', 'a.mp4', '--model', 'demo', '--set', f'{key}=1')


def test_results_do_not_go_where_a_file_is(tmp_path, capsys):
    clip, file = rendered(tmp_path, 3), tmp_path / 'file'
    file.touch()
    for name in ('refine', 'labels', 'flow'):
        for out in (file, file / 'below'):
            assert error_of(capsys, name, clip, '--model', 'demo', '--out', out) == (
                f'{file}: is a file, and results need a folder; choose another --out')


def test_results_do_not_go_into_the_folder_that_is_read(tmp_path, capsys, monkeypatch):
    clip = rendered(tmp_path, 3)
    before = sorted(clip.rglob('*'))
    monkeypatch.chdir(clip)
    for name in ('refine', 'labels', 'flow'):
        for video, out in ((clip, clip), (tmp_path, clip / 'results'), ('.', None)):
            said = error_of(capsys, name, video, '--model', 'demo', *(() if out is None else ('--out', out)))
            assert (f'lies in the folder of the video, {clip if video == "." else video}, where' in said
                    and 'an --out outside' in said)
    assert sorted(clip.rglob('*')) == before

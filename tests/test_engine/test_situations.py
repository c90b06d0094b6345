"""What goes wrong in a run: one sentence, and nothing half-written."""
import errno
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from mmengine.fileio import LocalBackend
from small_runs import KEYS, copy_run, files_of, run, small_config, start_weights

import mmrefine.fileio.atomic as atomic
import mmrefine.fileio.store.label_store as label_store
from mmrefine.engine import BFloat16OptimWrapper, WeightsHook
from mmrefine.errors import (CheckpointError, ConfigError, InputError, LabelStoreError, NoLabelsError, StaleLabelsError,
                             TeacherError)
from mmrefine.fileio.atomic import save_checkpoint, write_json
from mmrefine.fileio.store.index import seal_of

FULL = OSError(errno.ENOSPC, 'No space left on device')


def one_sentence(caught):
    text = str(caught.value)
    assert '\n' not in text and len(text) < 900, text
    return text


@pytest.fixture(scope='module')
def half_way(material, tmp_path_factory):
    """The work dir of a run of two steps whose last checkpoint is that of the first."""
    work_dir = tmp_path_factory.mktemp('half_way') / 'run'
    run(small_config(material, work_dir, max_iters=2, interval=1))
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_1.pth'))
    (work_dir / 'iter_2.pth').unlink()
    return work_dir


def test_nan_weights_are_refused_by_name(material, tmp_path):
    state = torch.load(material / 'start.pth', weights_only=True)
    next(iter(state['state_dict'].values()))[:] = float('nan')
    save_checkpoint(tmp_path / 'nan.pth', state)
    with pytest.raises(CheckpointError, match="nan.pth: 'encoder.conv1.weight' holds nan or infinite values"):
        run(small_config(material, tmp_path / 'run', load_from=str(tmp_path / 'nan.pth')))
    assert not (tmp_path / 'run/labels').exists()


def test_answers_of_nan_are_found_at_the_first_pair(material, tmp_path):
    state = torch.load(material / 'start.pth', weights_only=True)
    state['state_dict']['decoder.flow_pred.predict_layer.weight'] *= 1e38
    save_checkpoint(tmp_path / 'nan.pth', state)
    with pytest.raises(TeacherError) as caught:
        run(small_config(material, tmp_path / 'run', load_from=str(tmp_path / 'nan.pth')))
    assert one_sentence(caught).startswith(f'{KEYS[0]}, {KEYS[1]}: the teacher')
    assert files_of(tmp_path / 'run/labels').keys() == {'fingerprint.json', 'wanted.json'}
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_without_labels_no_step_is_made(material, tmp_path):
    cfg = small_config(material, tmp_path)
    cfg.custom_hooks[0].labeler.filters = [dict(type='ColorFilter', tolerance=0.)]
    with pytest.raises(NoLabelsError) as caught:
        run(cfg)
    assert '0.000%' in one_sentence(caught) and str(tmp_path / 'labels') in str(caught.value)
    assert not list(tmp_path.glob('*.pth'))


def test_labels_of_another_teacher_are_refused_and_its_files_kept(material, half_way, tmp_path):
    work_dir = copy_run(half_way, tmp_path / 'run')
    before = {path.name: path.read_bytes() for path in work_dir.glob('*.pth')}
    with pytest.raises(StaleLabelsError) as caught:
        run(small_config(material, work_dir, load_from=str(start_weights(tmp_path / 'other.pth', seed=4))))
    assert 'made with other teacher (found ' in one_sentence(caught)
    assert {path.name: path.read_bytes() for path in work_dir.glob('*.pth')} == before and 'teacher.pth' in before


def test_a_resumed_round_wants_the_labels_that_it_began_with(material, half_way, tmp_path):
    work_dir = copy_run(half_way, tmp_path / 'run')
    path = work_dir / 'labels/manifest.json'
    manifest = json.loads(path.read_text())
    manifest['fingerprint']['teacher'] = 'f' * 16
    write_json(path, {**manifest, 'digest': seal_of(manifest)})  # as a run with another teacher would have written it
    with pytest.raises(StaleLabelsError) as caught:
        run(small_config(material, work_dir, max_iters=2, resume=True))
    assert 'the run that is resumed learned from labels of teacher' in one_sentence(caught)


def test_a_checkpoint_of_another_network_is_refused_before_anything_is_made(material, tmp_path):
    state = torch.load(material / 'start.pth', weights_only=True)
    lost = list(state['state_dict'])[0]
    del state['state_dict'][lost]
    save_checkpoint(tmp_path / 'other.pth', state)
    with pytest.raises(CheckpointError) as caught:
        run(small_config(material, tmp_path / 'run', load_from=str(tmp_path / 'other.pth')))
    assert one_sentence(caught).startswith(f'{tmp_path}/other.pth: ') and f'missing {lost}' in str(caught.value)
    assert not (tmp_path / 'run/labels').exists()


def test_a_missing_folder_of_the_report_shows_before_the_labels(material, tmp_path):
    cfg = small_config(material, tmp_path, report=True)
    cfg.custom_hooks[1].groups.unseen.data_root = str(tmp_path / 'gone')
    with pytest.raises(InputError) as caught:
        run(cfg)
    assert str(tmp_path / 'gone') in one_sentence(caught) and not (tmp_path / 'labels').exists()


def test_a_resumed_run_without_its_teacher_stops_at_once(material, half_way, tmp_path):
    work_dir = copy_run(half_way, tmp_path / 'run')
    (work_dir / 'teacher.pth').unlink()
    with pytest.raises(CheckpointError) as caught:
        run(small_config(material, work_dir, max_iters=2, report=True, resume=True))
    assert one_sentence(caught).startswith(f'{work_dir}/teacher.pth: ')


@pytest.mark.parametrize('size, said', [(None, 'is not the original network that this run began with'), (500, '')])
def test_a_resumed_run_beside_another_teacher_stops_at_once(material, half_way, tmp_path, size, said):
    work_dir = copy_run(half_way, tmp_path / 'run')
    path = work_dir / 'teacher.pth'
    start_weights(path, seed=4)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError) as caught:
        run(small_config(material, work_dir, max_iters=2, resume=True))
    assert one_sentence(caught).startswith(f'{path}: ') and said in str(caught.value)


def test_pairs_that_would_get_no_label_show_before_the_labels(material, tmp_path):
    with pytest.raises(ConfigError) as caught:
        run(small_config(material, tmp_path, train_dataloader=dict(dataset=dict(directions='both'))))
    assert 'has 4 pairs that' in one_sentence(caught) and 'target_0001/frame_0002__frame_0001' in str(caught.value)
    assert not (tmp_path / 'labels').exists()


def fail_at_call(monkeypatch, owner, name, number, half_first=False):
    original, calls = getattr(owner, name), []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            if half_first:  # LocalBackend.put(self, data, path)
                Path(args[2]).write_bytes(args[1][:len(args[1]) // 2])
            raise FULL
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)


def test_a_full_disk_while_labelling(material, tmp_path, monkeypatch):
    fail_at_call(monkeypatch, label_store, 'write_bytes', 4)  # what is wanted, then a flow for each label
    with pytest.raises(LabelStoreError) as caught:
        run(small_config(material, tmp_path))
    assert one_sentence(caught).startswith(f'{tmp_path}/labels/{KEYS[2]}: no room left')
    assert len(label_store.LabelStore(tmp_path / 'labels', {}).keys()) == 2  # those before are whole
    assert not list(tmp_path.rglob('.mmrefine-*')) and not (tmp_path / 'labels/manifest.json').exists()


def test_a_full_disk_while_a_checkpoint_is_written(material, tmp_path, monkeypatch):
    fail_at_call(monkeypatch, LocalBackend, 'put', 2, half_first=True)
    with pytest.raises(CheckpointError) as caught:
        run(small_config(material, tmp_path, interval=1, max_iters=3))
    assert one_sentence(caught).startswith(f'{tmp_path}/iter_2.pth: no room left')
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_1.pth')
    torch.load(tmp_path / 'iter_1.pth', weights_only=True)
    assert not list(tmp_path.rglob('.mmrefine-*')) and not (tmp_path / 'iter_2.pth').exists()


def test_a_full_disk_while_refined_pth_is_written(material, half_way, tmp_path, monkeypatch):
    work_dir = copy_run(half_way, tmp_path / 'run')
    (work_dir / 'refined.pth').unlink()
    after_train, fsync = WeightsHook.after_train, atomic.os.fsync

    def fill_up(self, runner):
        fail_at_call(monkeypatch, atomic.os, 'fsync', 1)
        after_train(self, runner)

    monkeypatch.setattr(WeightsHook, 'after_train', fill_up)
    with pytest.raises(CheckpointError) as caught:
        run(small_config(material, work_dir, max_iters=2, resume=True))
    assert one_sentence(caught).startswith(f'{work_dir}/refined.pth: no room left')
    assert not (work_dir / 'refined.pth').exists() and not list(work_dir.rglob('.mmrefine-*'))
    monkeypatch.undo()
    assert atomic.os.fsync is fsync
    run(small_config(material, work_dir, max_iters=2, resume=True))
    assert (work_dir / 'refined.pth').read_bytes() == (half_way / 'refined.pth').read_bytes()


def first_loss(material, work_dir, kind, **more):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        runner = run(small_config(material, work_dir, max_iters=1, optim_wrapper=dict(type=kind, **more)))
    return runner.message_hub.get_scalar('train/loss').current(), runner


def test_bfloat16_trains_on_a_cpu_with_nearly_the_same_loss(material, tmp_path, monkeypatch):
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.has_fast_bfloat16', lambda device: True)
    exact, _ = first_loss(material, tmp_path / 'fp32', 'OptimWrapper')
    rounded, runner = first_loss(material, tmp_path / 'bf16', 'BFloat16OptimWrapper')
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.1)
    assert files_of(tmp_path / 'fp32/labels') == files_of(tmp_path / 'bf16/labels')  # the teacher keeps full precision
    assert {value.dtype for value in runner.model.estimator.state_dict().values()} == {torch.float32}


def test_a_cpu_that_is_slow_with_bfloat16_trains_in_float32_and_says_so(material, tmp_path, monkeypatch):
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.has_fast_bfloat16', lambda device: False)
    exact, _ = first_loss(material, tmp_path / 'fp32', 'OptimWrapper')
    slow, _ = first_loss(material, tmp_path / 'bf16', 'BFloat16OptimWrapper')
    assert slow == exact
    assert ''.join(path.read_text()
                   for path in (tmp_path / 'bf16').glob('*/*.log')).count('Training in float32: this CPU') == 1


def log_of(work_dir):
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


@pytest.mark.parametrize('times, precision', [(1.9, 'bfloat16'), (1.1, 'float32')])
def test_a_measurement_chooses_the_precision_and_a_resumed_run_keeps_it(material, tmp_path, monkeypatch, times,
                                                                        precision):
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.has_fast_bfloat16', lambda device: True)
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.bfloat16_speedup', lambda device: times)
    chosen, _ = first_loss(material, tmp_path / 'auto', 'BFloat16OptimWrapper', precision='auto')
    wanted, _ = first_loss(material, tmp_path / 'wanted', 'BFloat16OptimWrapper', precision=precision)
    assert chosen == wanted
    assert f'Training in {precision}: convolutions are {times} times as fast in bfloat16' in log_of(tmp_path / 'auto')
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.bfloat16_speedup', lambda device: 3 - times)  # another day
    run(small_config(material, tmp_path / 'auto', max_iters=2, resume=True,
                     optim_wrapper=dict(type='BFloat16OptimWrapper', precision='auto')))
    assert f'Training in {precision}: as it began' in log_of(tmp_path / 'auto')
    assert log_of(tmp_path / 'auto').count('times as fast in bfloat16') == 1
    other = 'float32' if precision == 'bfloat16' else 'bfloat16'
    run(small_config(material, tmp_path / 'auto', max_iters=3, resume=True,
                     optim_wrapper=dict(type='BFloat16OptimWrapper', precision=other)))
    assert f'This run began in {precision} and goes on in {other}' in log_of(tmp_path / 'auto')


def test_a_run_that_began_without_this_wrapper_goes_on_in_float32(material, tmp_path, monkeypatch):
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.has_fast_bfloat16', lambda device: True)
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.bfloat16_speedup', lambda device: 9.)
    first_loss(material, tmp_path, 'OptimWrapper')
    run(small_config(material, tmp_path, max_iters=2, resume=True,
                     optim_wrapper=dict(type='BFloat16OptimWrapper', precision='auto')))
    assert 'Training in float32: as it began' in log_of(tmp_path)


@pytest.mark.parametrize('began, goes_on, warned', [
    (dict(type='OptimWrapper'), dict(type='BFloat16OptimWrapper'), 'This run began in float32 and goes on in bfloat16'),
    (dict(type='BFloat16OptimWrapper'), dict(type='OptimWrapper'), 'This run began in bfloat16 and goes on as'),
    (dict(type='OptimWrapper'), dict(type='OptimWrapper'), ''),
    (dict(type='BFloat16OptimWrapper'), dict(type='BFloat16OptimWrapper'), ''),
])
def test_a_run_that_goes_on_in_another_precision_says_so(material, tmp_path, monkeypatch, began, goes_on, warned):
    monkeypatch.setattr('mmrefine.engine.optim.bfloat16.has_fast_bfloat16', lambda device: True)
    run(small_config(material, tmp_path, max_iters=1, optim_wrapper=began))
    run(small_config(material, tmp_path, max_iters=2, resume=True, optim_wrapper=goes_on))
    said = log_of(tmp_path)
    assert warned in said and ('This run began in' in said) == bool(warned)


def test_another_precision_is_refused():
    with pytest.raises(ConfigError, match=r'optim_wrapper\.precision must be one of .*, got 16'):
        BFloat16OptimWrapper(torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.), precision=16)


@pytest.mark.parametrize('original', ['moved', 'copied'])
def test_a_work_dir_that_was_moved_or_copied_goes_on_from_its_own_checkpoint(material, half_way, tmp_path, original):
    first, work_dir = copy_run(half_way, tmp_path / 'first'), tmp_path / 'elsewhere'
    if original == 'moved':
        first.rename(work_dir)
    else:
        shutil.copytree(first, work_dir)
        (first / 'iter_1.pth').write_bytes(b'of another run by now')
    assert (work_dir / 'last_checkpoint').read_text() == str(first / 'iter_1.pth')
    run(small_config(material, work_dir, max_iters=2, interval=1, resume=True))
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_2.pth')
    text = ''.join(path.read_text() for path in work_dir.glob('*/*.log'))
    assert f'Auto resumed from the latest checkpoint {work_dir}/iter_1.pth' in text
    assert first.exists() is (original == 'copied') and 'iter_2.pth' not in (files_of(first) if first.exists() else {})

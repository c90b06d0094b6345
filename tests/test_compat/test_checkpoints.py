"""Safe loading (F8): what mmengine writes comes back, what runs code does not."""
from __future__ import annotations

import collections
import os
import pickle
import re
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmrefine.compat import checkpoints
from mmrefine.compat.checkpoints import allow_checkpoint_classes, load_checkpoint_file, state_dict_of
from mmrefine.errors import CheckpointError

needs_safe_default = pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'), reason='this PyTorch has no allow-list')


class Line(BaseModel):
    """One weight, pulled to zero."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.layer(torch.stack(inputs)).square().mean())


class Numbers(torch.utils.data.Dataset):
    """Eight numbers."""

    metainfo = dict(names=('one', 'two'))

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(inputs=torch.full((1, ), float(index)))


def runner(work_dir, resume_from=None):
    numbers = Numbers()
    return Runner(
        Line(),
        str(work_dir),
        train_dataloader=dict(batch_size=2, num_workers=0, dataset=numbers,
                              sampler=DefaultSampler(numbers, shuffle=False),
                              collate_fn=dict(type='pseudo_collate')),
        train_cfg=dict(by_epoch=False, max_iters=6),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        # the schedule of mmflow's RAFT and GMA; it stores a function by name
        param_scheduler=dict(type='OneCycleLR', eta_max=0.1, total_steps=20, by_epoch=False),
        default_hooks=dict(
            checkpoint=CheckpointHook(by_epoch=False, interval=3), logger=dict(type='LoggerHook', interval=1)),
        log_processor=dict(by_epoch=False),
        experiment_name=f'{os.path.basename(work_dir)}_{resume_from is not None}',
        log_level='ERROR',
        load_from=resume_from and str(resume_from),
        resume=resume_from is not None)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work folder with the checkpoints of three and six steps, and the runner that wrote them."""
    folder = tmp_path_factory.mktemp('run')
    whole = runner(folder)
    whole.train()
    return folder, whole


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_a_run_resumed_half_way_ends_where_the_whole_run_ended(trained, tmp_path):
    folder, whole = trained
    half = runner(tmp_path, resume_from=folder / 'iter_3.pth')
    half.train()
    assert half.iter == whole.iter == 6
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(half.model.state_dict()[name], weight)
    losses = [run.message_hub.get_scalar('train/loss').data[0] for run in (half, whole)]
    np.testing.assert_array_equal(*losses)
    assert len(losses[0]) == 6
    assert half.optim_wrapper.get_lr() == whole.optim_wrapper.get_lr()


def test_a_training_checkpoint_holds_nothing_beyond_the_allow_list(trained):
    folder, whole = trained
    path = folder / 'iter_6.pth'
    loaded = load_checkpoint_file(path)
    assert torch.serialization.get_unsafe_globals_in_checkpoint(str(path)) == []
    assert isinstance(loaded['message_hub']['log_scalars']['train/loss'], HistoryBuffer)
    assert torch.equal(state_dict_of(loaded)['layer.weight'], whole.model.layer.weight)


@needs_safe_default
def test_mmengine_cannot_resume_without_the_allow_list(trained):
    known = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with pytest.raises(pickle.UnpicklingError, match='HistoryBuffer was not an allowed global'):
            torch.load(trained[0] / 'iter_3.pth')
    finally:
        torch.serialization.add_safe_globals(known)


@needs_safe_default
def test_numbers_of_numpy_1_come_back_under_numpy_2_names_and_the_other_way(tmp_path):
    path = tmp_path / 'log.pth'
    torch.save(dict(value=np.float32(1.5), array=np.arange(3)), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    old, new = b'numpy.core.multiarray', b'numpy._core.multiarray'
    other = {name: data.replace(new, old) if new in data else data.replace(old, new)
             for name, data in parts.items()}
    assert other != parts
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, data in other.items():
            archive.writestr(name, data)
    loaded = load_checkpoint_file(path)
    assert loaded['value'] == 1.5 and loaded['array'].tolist() == [0, 1, 2]


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('call, named', [
    (Calls(os.mkdir, 'made_by_a_checkpoint'), 'mkdir'),
    (Calls(getattr, HistoryBuffer.update, '__globals__'), 'getattr|update'),
    (Calls(getattr, HistoryBuffer, '__init__'), 'getattr'),
    (Calls(getattr, np.ndarray, 'tofile'), 'getattr'),
    (Calls(collections.Counter.__call__, 'x'), 'getattr|call'),
    (nn.Linear(1, 1), 'Linear'),
])
def test_code_is_refused_by_name_and_never_run(tmp_path, monkeypatch, call, named, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict=call), 'bad.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf'bad.pth: refused.*({named})'):
        load_checkpoint_file('bad.pth')
    assert os.listdir(tmp_path) == ['bad.pth']


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, 'update'), (dict, 'mean'), (os, 'system')])
def test_the_getattr_of_a_file_knows_six_names_only(owner, name):
    with pytest.raises(pickle.UnpicklingError, match=name):
        checkpoints._named_function(owner, name)
    assert checkpoints._named_function(HistoryBuffer, 'mean') is HistoryBuffer.mean
    assert sum(len(names) for names in checkpoints._NAMED_FUNCTIONS.values()) == 6


@pytest.mark.parametrize('kept', [0.1, 0.5, 0.99])
def test_a_cut_off_file_is_called_cut_off_with_its_size(tmp_path, kept):
    whole = tmp_path / 'whole.pth'
    torch.save(dict(w=torch.zeros(2000)), whole)
    data = whole.read_bytes()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(data[:int(len(data) * kept)])
    with pytest.raises(CheckpointError, match=rf'cut.pth: the checkpoint is cut off.*{int(len(data) * kept)} bytes'):
        load_checkpoint_file(cut)


@pytest.mark.parametrize('content, message', [
    (b'', r'is empty \(0 bytes\)'),
    (b'just some words\n', 'is not a PyTorch checkpoint'),
    (b'\x89PNG\r\n\x1a\n' + bytes(64), 'is not a PyTorch checkpoint'),
    (pickle.dumps({'a': 1}), 'is not a PyTorch checkpoint'),
])
def test_other_files_are_called_what_they_are(tmp_path, content, message):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f'x.pth: .*{message}'):
        load_checkpoint_file(path)


HEAVY = {
    'is expanded to (1000000000000,), more values than are stored': lambda: torch.zeros(1).expand(10**12),
    'is a sparse_coo tensor': lambda: torch.sparse_coo_tensor([[0]], [1.], (10**12, )),
    'is a sparse_csr tensor': lambda: torch.sparse_csr_tensor([0, 1], [0], [1.], (1, 10**12)),
    'is quantised': lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    'is a tensor of the device meta': lambda: torch.empty(10**12, device='meta'),
    'is a nested tensor': lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
}


@pytest.mark.filterwarnings('ignore::UserWarning')
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('fault', HEAVY)
def test_a_tensor_that_is_no_plain_array_is_refused_by_name_before_anything_is_allocated(tmp_path, fault):
    for where, content in (('state_dict.a.weight', lambda value: dict(state_dict={'a.weight': value})),
                           ('optimizer.state.0.exp_avg', lambda value: dict(
                               state_dict=dict(a=torch.ones(1)), optimizer=dict(state={0: dict(exp_avg=value)}))),
                           ('groups.1', lambda value: dict(groups=(1, value)))):
        torch.save(content(HEAVY[fault]()), tmp_path / 'heavy.pth')
        with pytest.raises(CheckpointError, match=re.escape(f'heavy.pth: refused, {where!r} {fault}')):
            load_checkpoint_file(tmp_path / 'heavy.pth')


def test_names_that_are_no_text_and_objects_that_hold_themselves_are_refused_or_read(tmp_path):
    torch.save(dict(state_dict={'a\ud800': torch.ones(1)}), tmp_path / 'name.pth')
    with pytest.raises(CheckpointError, match=r"name.pth: refused, the name 'a\\ud800' is not valid text"):
        load_checkpoint_file(tmp_path / 'name.pth')
    ring = [torch.ones(1)]
    ring.append(ring)
    torch.save(dict(ring=ring), tmp_path / 'ring.pth')
    assert load_checkpoint_file(tmp_path / 'ring.pth')['ring'][1][0].item() == 1
    deep = []
    for _ in range(200):
        deep = [deep]
    torch.save(dict(deep=deep), tmp_path / 'deep.pth')
    with pytest.raises(CheckpointError, match='deep.pth: refused, its objects lie in objects too deep'):
        load_checkpoint_file(tmp_path / 'deep.pth')


@pytest.mark.parametrize('value, fault', [
    (torch.ones(2, dtype=torch.int8), 'is of the type torch.int8'),
    (torch.ones(2, dtype=torch.bool), 'is of the type torch.bool'),
    (torch.ones(2, dtype=torch.complex64), 'is of the type torch.complex64'),
    (torch.tensor([1., float('nan')]), 'holds nan or infinite values'),
    (torch.tensor([1., -float('inf')]), 'holds nan or infinite values'),
])
def test_weights_that_are_no_finite_numbers_are_refused_by_name(value, fault):
    with pytest.raises(CheckpointError, match=rf"f.pth: 'a.weight' {fault}, wanted weights in floating point"):
        state_dict_of(dict(state_dict={'b': torch.ones(1), 'a.weight': value}), 'f.pth')


@pytest.mark.parametrize('content, message', [
    (b'<!DOCTYPE html>\n<html lang="en">', 'is a web page and not a checkpoint; download the file itself'),
    (b'\n  <html><body>404', 'is a web page'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3984814\n', 'is a Git LFS pointer'),
    (struct.pack('<Q', 60) + b'{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,4]}}', 'is a safetensors file'),
    (b'\x1f\x8b\x08' + bytes(60), 'is an archive; unpack it'),
    (bytes(5000), r'the checkpoint is cut off or damaged \(5000 bytes'),
])
def test_what_downloads_leave_instead_of_a_checkpoint_is_called_what_it_is(tmp_path, content, message):
    (tmp_path / 'x.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=f'x.pth: {message}'):
        load_checkpoint_file(tmp_path / 'x.pth')


@pytest.mark.parametrize('kept', [0.3, 0.9, 0.999])
def test_half_a_file_of_an_old_pytorch_is_called_cut_off(tmp_path, kept):
    torch.save(dict(w=torch.zeros(2000)), tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    data = (tmp_path / 'old.pth').read_bytes()
    (tmp_path / 'old.pth').write_bytes(data[:int(len(data) * kept)])
    with pytest.raises(CheckpointError, match='old.pth: the checkpoint is cut off or damaged'):
        load_checkpoint_file(tmp_path / 'old.pth')


def test_a_bit_that_flipped_in_a_weight_is_found_unless_the_file_has_no_checksums(tmp_path):
    numbers = torch.arange(1000.)
    torch.save(dict(w=numbers), tmp_path / 'w.pth')
    data = bytearray((tmp_path / 'w.pth').read_bytes())
    data[data.find(numbers.numpy().tobytes()) + 400] ^= 8
    (tmp_path / 'w.pth').write_bytes(data)
    with pytest.raises(CheckpointError, match='w.pth: the checkpoint is cut off or damaged'):
        load_checkpoint_file(tmp_path / 'w.pth')
    if hasattr(torch.serialization, 'set_crc32_options'):
        torch.serialization.set_crc32_options(False)
        try:
            torch.save(dict(w=numbers), tmp_path / 'w.pth')
        finally:
            torch.serialization.set_crc32_options(True)
        assert torch.equal(load_checkpoint_file(tmp_path / 'w.pth')['w'], numbers)


@pytest.mark.parametrize('zipped', [True, False])
def test_an_endless_name_of_a_class_is_refused_at_once(tmp_path, zipped):
    path, name = tmp_path / 'w.pth', b'cmmengine\n' + b'[' * 100_000 + b'\n.'
    torch.save(dict(w=torch.ones(2)), path, _use_new_zipfile_serialization=zipped)
    if zipped:
        with zipfile.ZipFile(path) as archive:
            parts = {one: archive.read(one) for one in archive.namelist()}
        with zipfile.ZipFile(path, 'w') as archive:
            for one, data in parts.items():
                archive.writestr(one, b'\x80\x02' + name if one.endswith('data.pkl') else data)
    else:
        data = path.read_bytes()
        path.write_bytes(data.replace(b'ctorch._utils\n_rebuild_tensor_v2\n', name))
    begun = time.process_time()
    with pytest.raises(CheckpointError, match='w.pth: the checkpoint is cut off or damaged'):
        load_checkpoint_file(path)
    assert time.process_time() - begun < 2


def test_a_damaged_table_of_contents_is_told(tmp_path):
    torch.save(dict(w=torch.ones(2)), tmp_path / 'w.pth')
    data = bytearray((tmp_path / 'w.pth').read_bytes())
    end = data.rfind(b'PK\x06\x07')  # where the locator of the 64-bit table is; 16 bytes on: the number of disks
    if end < 0:
        pytest.skip('this PyTorch writes no 64-bit table')
    data[end + 16:end + 20] = struct.pack('<I', 7)
    (tmp_path / 'w.pth').write_bytes(data)
    with pytest.raises(CheckpointError, match='w.pth: the checkpoint is cut off or damaged'):
        load_checkpoint_file(tmp_path / 'w.pth')


def test_an_archive_that_unpacks_to_much_more_than_its_size_is_not_unpacked(tmp_path):
    torch.save(dict(w=torch.zeros(10**6)), tmp_path / 'w.pth')
    with zipfile.ZipFile(tmp_path / 'w.pth') as whole, zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', 8) as bomb:
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))
    with pytest.raises(CheckpointError, match=r'bomb.pth: refused, because \d+ bytes would become 40\d{5} when'):
        load_checkpoint_file(tmp_path / 'bomb.pth')


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_a_torchscript_archive_is_called_so(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.ones(1)), str(tmp_path / 'script.pth'))
    with pytest.raises(CheckpointError, match='script.pth: is a TorchScript archive, which holds code'):
        load_checkpoint_file(tmp_path / 'script.pth')


def test_missing_files_folders_and_bare_tensors_are_told_apart(tmp_path):
    with pytest.raises(CheckpointError, match='none.pth: found nothing'):
        load_checkpoint_file(tmp_path / 'none.pth')
    with pytest.raises(CheckpointError, match='found a folder'):
        load_checkpoint_file(tmp_path)
    torch.save(torch.zeros(2), tmp_path / 'tensor.pth')
    with pytest.raises(CheckpointError, match='tensor.pth: holds a Tensor'):
        load_checkpoint_file(tmp_path / 'tensor.pth')


@pytest.mark.parametrize('wrap', [
    lambda w: w,
    lambda w: dict(state_dict=w, meta=dict(iter=3)),
    lambda w: dict(model_state_dict=w),
    lambda w: dict(model=w, epoch=1),
    lambda w: {'module.' + k: v for k, v in w.items()},
    lambda w: {'model.' + k: v for k, v in w.items()},
    lambda w: dict(state_dict={'model.module.' + k: v for k, v in w.items()}),
    lambda w: dict(state_dict={'module.' + k: v for k, v in w.items()}),
])
def test_weights_are_found_under_each_usual_key(wrap):
    weights = dict(a=torch.ones(1), b=torch.zeros(2))
    found = state_dict_of(wrap(weights))
    assert list(found) == ['a', 'b']
    assert all(found[key] is weights[key] for key in weights)


def test_a_parameter_of_a_submodule_named_module_keeps_its_name():
    weights = {'module.a': torch.ones(1), 'head.a': torch.ones(1)}
    assert list(state_dict_of(weights)) == list(weights)


@pytest.mark.parametrize('checkpoint, found', [
    (dict(meta=dict(), optimizer=dict()), "'meta': dict"), (dict(state_dict={}), 'found nothing'),
    (dict(state_dict=dict(a=3)), "'a': int")])
def test_a_checkpoint_without_weights_is_refused_with_what_it_holds(checkpoint, found):
    with pytest.raises(CheckpointError, match=f'f.pth: wanted parameter names with tensors.*{found}'):
        state_dict_of(checkpoint, 'f.pth')


@needs_safe_default
def test_allowing_twice_changes_nothing():
    before = set(map(str, torch.serialization.get_safe_globals()))
    allow_checkpoint_classes()
    assert set(map(str, torch.serialization.get_safe_globals())) == before

"""Safe loading (F8): what mmengine writes comes back, what runs code does not."""
from __future__ import annotations

import collections
import os
import pickle
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

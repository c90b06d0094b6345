"""Files that appear whole or not at all."""
from __future__ import annotations

import errno
import json
import os
import resource
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_fileio import in_child, tree

from mmrefine.errors import CheckpointError
from mmrefine.fileio import atomic_write, digest_of, save_checkpoint, write_bytes, write_json
from mmrefine.fileio.atomic import json_bytes
from mmrefine.fileio.store.packed import Packed


def full_disk(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / 'a', b'old')
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / 'a') as file:
        file.write(b'new')
        raise KeyboardInterrupt
    assert tree(tmp_path) == {'a': b'old'}


def test_the_name_does_not_exist_before_the_last_byte(tmp_path: Path) -> None:
    with atomic_write(tmp_path / 'deep' / 'a') as file:
        file.write(b'half')
        file.flush()
        assert not (tmp_path / 'deep' / 'a').exists()
    assert (tmp_path / 'deep' / 'a').read_bytes() == b'half'


def test_the_bytes_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda fd: (order.append(os.fstat(fd).st_size), fsync(fd)))
    monkeypatch.setattr(os, 'replace', lambda *names: (order.append('replace'), replace(*names)))
    write_bytes(tmp_path / 'a', b'12345')
    assert order == [5, 'replace']


def test_others_may_read_the_file_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_bytes(tmp_path / 'a', b'')
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / 'a').stat().st_mode) == 0o644


def test_the_longest_file_name_can_be_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / ('n' * 255), b'x')
    assert tree(tmp_path) == {'n' * 255: b'x'}


def test_json_is_strict_and_the_same_twice(tmp_path: Path) -> None:
    record = {'path': Path('a/b'), 'ü': (np.float32(0.5), np.arange(2), torch.tensor([3])), 'gone': float('nan'),
              'far': [float('-inf')], 'flag': True}
    write_json(tmp_path / 'a.json', record)
    write_json(tmp_path / 'b.json', record)
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()
    assert json.loads((tmp_path / 'a.json').read_text()) == {
        'path': 'a/b', 'ü': [0.5, [0, 1], [3]], 'gone': None, 'far': [None], 'flag': True}


LAYOUTS = [{}, [], 3, 'a\nb', {'ü': {}}, {'a': {'b': {'c': [1, {'d': 'x\ny'}]}, 'e': []}, 'f': None}, [{'a': {'b': 1}}],
           {'': {'': {'': {}}}}]


@pytest.mark.parametrize('obj', LAYOUTS)
def test_json_that_comes_bit_by_bit_is_that_of_one_piece(obj: object) -> None:
    assert json_bytes(obj) == (json.dumps(obj, indent=1) + '\n').encode()
    packed = Packed()
    packed['x'] = obj
    assert json_bytes({'rows': packed, 'none': Packed()}) == json_bytes({'rows': {'x': obj}, 'none': {}})
    assert digest_of([1, packed]) == digest_of([1, {'x': obj}]) and packed['x'] == obj and len(packed) == 1


def test_json_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match='set'):
        write_json(tmp_path / 'a.json', {'a': {1, 2}})
    assert tree(tmp_path) == {}


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'refined.pth'
    save_checkpoint(path, {'w': torch.arange(3)})
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full_disk)
        with pytest.raises(CheckpointError, match=r'refined\.pth: no room left on the disk .*free some space'):
            save_checkpoint(path, {'w': torch.zeros(3)})
    assert list(tree(tmp_path)) == ['refined.pth']
    assert torch.equal(torch.load(path, weights_only=True)['w'], torch.arange(3))


def test_a_disk_that_fills_in_the_middle_of_a_file_leaves_nothing_of_it(tmp_path: Path) -> None:

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        with pytest.raises(CheckpointError, match='no room left'):
            save_checkpoint(tmp_path / 'refined.pth', {'w': torch.zeros(1 << 16)})

    assert in_child(work) == 0
    assert tree(tmp_path) == {}


def test_a_folder_that_is_a_file_is_named_as_the_reason(tmp_path: Path) -> None:
    write_bytes(tmp_path / 'out', b'')
    with pytest.raises(CheckpointError, match=r'out/refined\.pth: cannot be written \(.*check the folder'):
        save_checkpoint(tmp_path / 'out' / 'refined.pth', {})

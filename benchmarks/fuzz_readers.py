"""What is damaged by ``benchmarks/fuzz.py``, who reads it, and how it is damaged."""
from __future__ import annotations

import json
import os
import random
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import cv2
import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmrefine.compat.checkpoints import load_checkpoint_file, state_dict_of
from mmrefine.config.load import load_config
from mmrefine.engine.runtime.resume_point import find_resume_point
from mmrefine.fileio import LabelStore, read_badja, read_flow, read_ids, read_image, read_mask, write_flow
from mmrefine.fileio.digest import digest_of_state
from mmrefine.fileio.records import read_record
from mmrefine.fileio.store.layout import wanted_of
from mmrefine.fileio.store.merge import merge_stores
from mmrefine.report import group_record, read_report, write_report
from mmrefine.structures import FlowLabel

FINGERPRINT = {'teacher': 'aaaa', 'frames': 'cccc'}
KEYS = ('cat/0__1', 'cat/1__2', 'dog/run/0__1')


class Reader(NamedTuple):
    """A kind of input.

    Args:
        make: puts a whole one below a folder, and gives the files of which one is damaged at a time.
        read: what it says, in a form that can be compared.
        sealed: whether checksums tell a changed one from a whole one, so that it must be refused or mended.
    """
    make: Callable[[Path], List[Path]]
    read: Callable[[Path], Any]
    sealed: bool = False


def readers() -> Dict[str, Reader]:
    """All readers of files by name."""
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8), (0, 0), 2.)
    flow = np.random.default_rng(1).normal(0, 5, (12, 16, 2)).astype(np.float32)
    found: Dict[str, Reader] = {}
    for suffix in ('.png', '.jpg', '.bmp', '.ppm', '.webp'):
        data = cv2.imencode(suffix, picture)[1].tobytes()
        found[f'picture {suffix}'] = Reader(_one_file(f'a{suffix}', data), lambda root: _read(root, read_image))
    grey = cv2.imencode('.png', picture[..., 0])[1].tobytes()
    found['mask'] = Reader(_one_file('a.png', grey), lambda root: _read(root, read_mask))
    ids = cv2.imencode('.png', picture[..., 0] // 128 + 2 * (picture[..., 1] // 128))[1].tobytes()
    found['object ids'] = Reader(_one_file('a.png', ids), lambda root: _read(root, read_ids))
    for suffix in ('.flo', '.pfm', '.png'):
        found[f'flow {suffix}'] = Reader(_flow_file(suffix, flow), lambda root: _read(root, read_flow))
    joints = [dict(image_path=f'{n:05d}.jpg', joints=[[1, 2], [3, 4]], visibility=[1, 0]) for n in range(3)]
    found['joints'] = Reader(_one_file('a.json', json.dumps(joints).encode()), lambda root: _read(root, read_badja))
    settings = json.dumps(dict(settings=dict(video='a', config={}), finished=False), indent=1).encode()
    found['record of a run'] = Reader(_one_file('run.json', settings), _read_run)
    found['report'] = Reader(_make_report, lambda root: read_report(root))
    found['complete store'] = Reader(_make_store, _read_store, sealed=True)
    found['half-made store'] = Reader(_make_half, _finish_store, sealed=True)
    found['merged store'] = Reader(_make_half, _merge_store, sealed=True)
    found['checkpoint'] = Reader(lambda root: _make_checkpoint(root, True), _read_checkpoint, sealed=True)
    found['checkpoint of an old PyTorch'] = Reader(lambda root: _make_checkpoint(root, False), _read_checkpoint)
    found['resume'] = Reader(_make_run, _read_run_dir, sealed=True)
    found['config'] = Reader(_one_file('a.py', b"_base_ = 'mmrefine::refine/raft_small_video.py'\nmax_iters = 50\n"
                                               b"batch_size = 3\noptim_wrapper = dict(optimizer=dict(lr=1e-4))\n"),
                             lambda root: load_config(root / 'a.py').to_dict())
    return found


def damaged(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    """The bytes with one to three damages, each of a kind that is drawn."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data = draw.choice(_DAMAGES)(data, draw, others)
    return data


def plain(value: Any) -> Any:
    """A value that can be compared with ``==``, nan with itself, too."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        array = np.asarray(value)
        return [str(array.dtype), array.shape, array.tobytes()]
    return value


def _one_file(name: str, data: bytes) -> Callable[[Path], List[Path]]:
    def make(root: Path) -> List[Path]:
        (root / name).write_bytes(data)
        return [root / name]

    return make


def _flow_file(suffix: str, flow: np.ndarray) -> Callable[[Path], List[Path]]:
    def make(root: Path) -> List[Path]:
        write_flow(root / f'a{suffix}', flow)
        return [root / f'a{suffix}']

    return make


def _read(root: Path, read: Callable[[Path], Any]) -> Any:
    path, = root.iterdir()
    return read(path)


def _read_run(root: Path) -> Any:
    return read_record(root / 'run.json', 'a record', dict(settings=dict, finished=bool), 'choose another folder')


def _make_report(root: Path) -> List[Path]:
    scores = {'EPE': 2., 'scene/a/EPE': 1., 'cycle_median': .4, 'pairs': 3}
    write_report(root, dict(groups=dict(refined=group_record(scores, {**scores, 'EPE': 1.5}))))
    (root / 'report.html').unlink()
    return [root / 'report.json']


def _go_on(root: Path, count: int = len(KEYS)) -> LabelStore:
    store = LabelStore(root, FINGERPRINT)
    store.create()
    store.expect(wanted_of(KEYS))
    for seed, key in enumerate(KEYS[:count]):
        if not store.has(key):
            draw = torch.Generator().manual_seed(seed)
            weight = torch.rand(1, 6, 8, generator=draw)
            label = FlowLabel(torch.randn(2, 6, 8, generator=draw), weight if seed == 0 else (weight > .5).float())
            store.write(key, label, {'kept': .25 + seed}, {'weight': 3.5})
    return store


def _files(root: Path) -> List[Path]:
    return sorted(path for path in root.rglob('*') if path.is_file() and not path.name.startswith('.'))


def _contents(root: Path) -> Dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in _files(root)}


def _make_store(root: Path) -> List[Path]:
    _go_on(root).finish(KEYS)
    return _files(root)


def _read_store(root: Path) -> Any:
    store = LabelStore.open(root)
    return [(key, store.stats(key), store.read(key).flow, store.read(key).weight) for key in store.keys()]


def _make_half(root: Path) -> List[Path]:
    _go_on(root / 'labels', 2)
    return _files(root / 'labels')


def _finish_store(root: Path) -> Any:
    _go_on(root / 'labels').finish(KEYS)
    return _contents(root / 'labels')


def _merge_store(root: Path) -> Any:
    merge_stores(root / 'out', [root / 'labels'])
    _go_on(root / 'out').finish(KEYS)
    return _contents(root / 'out')


def _training(step: int) -> Dict[str, Any]:
    """A checkpoint as MMEngine writes it, of a tiny network."""
    weights = {'a.weight': torch.full((2, 3), float(step)), 'a.bias': torch.arange(3.)}
    hub = dict(log_scalars={'train/loss': HistoryBuffer([1., 2.], [1, 1])}, runtime_info=dict(iter=step),
               resumed_keys={'train/loss': True})
    optimizer = dict(state={0: dict(step=torch.tensor(float(step)), exp_avg=torch.ones(2, 3))},
                     param_groups=[dict(lr=1e-4, params=[0, 1])])
    return dict(meta=dict(epoch=0, iter=step), state_dict=weights, message_hub=hub, optimizer=optimizer,
                param_schedulers=[dict(last_step=step)])


def _make_checkpoint(root: Path, zipped: bool) -> List[Path]:
    torch.save(_training(1), root / 'a.pth', _use_new_zipfile_serialization=zipped)
    return [root / 'a.pth']


def _read_checkpoint(root: Path) -> Any:
    return state_dict_of(load_checkpoint_file(root / 'a.pth'), 'a.pth')


def _make_run(root: Path) -> List[Path]:
    for step in (1, 2):
        torch.save(_training(step), root / f'iter_{step}.pth')
    (root / 'last_checkpoint').write_text(str(root / 'iter_2.pth'))
    return _files(root)


def _read_run_dir(root: Path) -> Any:
    """Whether the weights are those of the step that the checkpoint says."""
    path = find_resume_point(root, log=lambda line: None)
    if path is None:
        return None
    found = load_checkpoint_file(path)
    return digest_of_state(found['state_dict']) == digest_of_state(_training(found['meta']['iter'])['state_dict'])


def _flip(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 8))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    return data[:draw.randrange(len(data) + 1)]


def _part(data: bytes, draw: random.Random) -> Tuple[int, int]:
    at = draw.randrange(len(data) + 1)
    return at, min(len(data), at + draw.choice((1, 2, 4, 16, 200)))


def _remove(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    at, end = _part(data, draw)
    return data[:at] + data[end:]


def _repeat(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    at, end = _part(data, draw)
    return data[:at] + data[at:end] * draw.choice((2, 3, 500)) + data[end:]


def _insert(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    at = draw.randrange(len(data) + 1)
    what = draw.choice((draw.randbytes(draw.choice((1, 4, 40))), b' ' * 40, b'9' * 5000, b'[' * 20_000, b'{"a":' * 5000,
                        b'NaN', b'-1', b'1e999', b'\0' * 64, b'\xff\xfe', b'\\ud800', b'null', b'# \n'))
    return data[:at] + what + data[at:]


def _number(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    at = draw.randrange(len(data) + 1)
    value = draw.choice((0, 1, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff))
    return data[:at] + struct.pack(draw.choice(('<I', '>I')), value) + data[at + 4:]


def _header(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    """A PNG that says another size, with the right checksum; the first bytes of anything else."""
    side = draw.choice((0, 1, 7, 65535, 2**20, 2**31))
    if data[12:16] == b'IHDR' and len(data) > 33:
        head = struct.pack('>II', side, draw.choice((1, 20, side))) + data[24:29]
        return data[:16] + head + struct.pack('>I', zlib.crc32(b'IHDR' + head)) + data[33:]
    return draw.randbytes(min(len(data), 16)) + data[16:]


def _other(data: bytes, draw: random.Random, others: List[bytes]) -> bytes:
    return draw.choice((*others, b'', b'<!DOCTYPE html><html>', b'version https://git-lfs.github.com/spec/v1\n',
                        b'P6' + b' ' * 40, b'{}', b'[]', b'null', draw.randbytes(300)))


_DAMAGES = (_flip, _flip, _cut, _remove, _repeat, _insert, _number, _header, _other)


def copy_into(whole: Path, place: Path) -> None:
    """Make ``place`` a copy of ``whole``; ``last_checkpoint`` then names the copy."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    note = place / 'last_checkpoint'
    if note.exists():
        note.write_bytes(os.fsencode(place / 'iter_2.pth'))

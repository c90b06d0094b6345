"""Tracks as files: rounded as promised, the same bytes again, and a crafted file is a sentence that costs nothing."""
from __future__ import annotations

import dataclasses
import io
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
import pytest
import torch

from mmrefine.errors import InputError, LabelStoreError
from mmrefine.fileio import LabelStore, read_tracks, verify_store, write_tracks
from mmrefine.fileio.codecs import codec_of
from mmrefine.fileio.codecs.tracks import MEMBERS, TracksCodec
from mmrefine.fileio.store.layout import fingerprint_of
from mmrefine.structures import Tracks

CODEC = TracksCodec()


def tracks(count: int = 5, frames: int = 7, seed: int = 0) -> Tracks:
    """Points that drift, each unknown before its query's frame."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-20, 120, (count, 1, 2)) + rng.normal(0, 2, (count, frames, 2)).cumsum(axis=1)
    starts = rng.integers(0, frames, count)
    before = np.arange(frames) < starts[:, None]
    points[before] = np.nan
    visible = np.where(before, 0, rng.uniform(size=(count, frames)))
    queries = np.stack([starts, *points[np.arange(count), starts].T[::-1]], axis=1)
    return Tracks(*(torch.from_numpy(part.astype(np.float32)) for part in (points, visible, queries)), (64, 96))


def assert_same(one: Tracks, other: Tracks) -> None:
    for name in ('points', 'visible', 'queries'):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype == torch.float32
        assert torch.equal(first.isnan(), second.isnan()) and torch.equal(first.nan_to_num(), second.nan_to_num())
    assert one.size == other.size


def test_points_come_back_to_half_a_step_and_nan_as_nan() -> None:
    label = tracks()
    found = CODEC.decode(CODEC.encode(label), 'cat/0')
    known = ~label.points.isnan()
    assert torch.equal(known, ~found.points.isnan()) and 0 < known.float().mean() < 1
    assert (found.points - label.points)[known].abs().max() <= 1 / 128
    assert torch.equal(found.points[known] * 64, (found.points[known] * 64).round())
    assert torch.equal(found.visible, (label.visible > 0.5).float()) and 0 < found.visible.mean() < 1
    assert torch.equal(found.queries, label.queries) and found.size == (64, 96)


@pytest.mark.parametrize('points, wanted', [
    (1 / 128, 0.), (3 / 128, 2 / 64), (1 / 127, 1 / 64), (-1 / 130, 0.),  # halves go to the even step
    (1e30, float(np.float32(1e30)))])
def test_a_point_goes_to_the_nearest_step(points: float, wanted: float) -> None:
    label = Tracks(torch.full((1, 1, 2), points), torch.ones(1, 1), torch.zeros(1, 3), (9, 9))
    assert CODEC.decode(CODEC.encode(label), '').points.tolist() == [[[wanted, wanted]]]


@pytest.mark.parametrize('count, frames', [(5, 7), (0, 7), (1, 1), (0, 0)])
def test_as_stored_is_what_decode_gives_and_storing_it_again_changes_nothing(count: int, frames: int) -> None:
    label = tracks(count, frames) if frames else Tracks(torch.zeros(0, 0, 2), torch.zeros(0, 0), torch.zeros(0, 3),
                                                        (4, 5))
    stored = CODEC.as_stored(label)
    assert_same(stored, CODEC.decode(CODEC.encode(label), ''))
    assert_same(stored, CODEC.as_stored(stored))
    assert CODEC.encode(stored) == CODEC.encode(label) and CODEC.damage(CODEC.encode(label)['.npz']) is None
    assert stored.points.shape == (count, frames, 2)


def test_equal_labels_give_equal_bytes() -> None:
    label = tracks()
    points = torch.where(label.points.isnan(), -label.points, label.points)  # a nan with another sign
    other = dataclasses.replace(label, points=points.clone().transpose(0, 1).contiguous().transpose(0, 1))
    assert CODEC.encode(other) == CODEC.encode(label)
    zero = Tracks(torch.zeros(1, 1, 2), torch.ones(1, 1), torch.zeros(1, 3), (9, 9))
    minus = Tracks(torch.full((1, 1, 2), -0.), torch.ones(1, 1), torch.full((1, 3), -0.), (9, 9))
    assert CODEC.encode(zero) == CODEC.encode(minus) != CODEC.encode(label)


def test_numpy_alone_reads_it() -> None:
    label = tracks()
    data = CODEC.encode(label)['.npz']
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        assert list(found) == list(MEMBERS)
        assert [found[name].dtype.str for name in found] == ['<f4', '|b1', '<f4', '<i4']
        np.testing.assert_array_equal(found['tracks'], CODEC.as_stored(label).points.numpy())
        assert found['size'].tolist() == [64, 96]
    many = tracks(256, 48)
    assert len(CODEC.encode(many)['.npz']) < 0.7 * sum(len(archived) for archived in members(many).values())


def members(label: Tracks) -> Dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(CODEC.encode(label)['.npz'])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_numpy_writes_is_read_whatever_the_order_of_the_numbers(tmp_path: Path) -> None:
    label = CODEC.as_stored(tracks())
    np.savez(tmp_path / 'a.npz', size=np.int32(label.size), visible=label.visible.bool().numpy(),
             tracks=np.asfortranarray(label.points.numpy()), queries=label.queries.numpy())
    assert_same(read_tracks(tmp_path / 'a.npz'), label)


def test_tracks_outside_of_a_store_are_written_whole_and_read_again(tmp_path: Path) -> None:
    label = tracks()
    write_tracks(tmp_path / 'deep/a.npz', label)
    assert_same(read_tracks(tmp_path / 'deep/a.npz'), CODEC.as_stored(label))
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['a.npz']
    with pytest.raises(InputError, match='b.npz: cannot be opened'):
        read_tracks(tmp_path / 'b.npz')
    (tmp_path / 'c.npz').write_bytes(b'PK')
    with pytest.raises(InputError, match='c.npz: cannot be read as tracks .its 2 bytes do not end as a zip does.; '):
        read_tracks(tmp_path / 'c.npz')


def test_a_store_holds_tracks(tmp_path: Path) -> None:
    assert codec_of('tracks').suffixes == ('.npz', )
    store = LabelStore(tmp_path, fingerprint_of({'teacher': 'aaaa'}, 'tracks'))
    store.create()
    store.write('cat/0__6@1', tracks(), {'kept': 0.5})
    store.finish(['cat/0__6@1'], {})
    store = LabelStore.open(tmp_path)
    assert store.manifest['kind'] == 'tracks' and not verify_store(tmp_path).faults
    assert_same(store.read('cat/0__6@1'), CODEC.as_stored(tracks()))
    file = tmp_path / 'cat/0__6@1.npz'
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    fault, = verify_store(tmp_path).faults
    assert 'damaged: ' in str(fault)


def test_an_error_that_is_known_comes_back_to_the_bit() -> None:
    label = tracks()
    error = torch.rand(label.visible.shape).masked_fill(label.points.isnan().any(dim=2), float('nan'))
    known = dataclasses.replace(label, error=error)
    found = CODEC.decode(CODEC.encode(known), 'cat/0')
    assert_same(found, CODEC.decode(CODEC.encode(label), 'cat/0'))
    assert torch.equal(found.error.nan_to_num(-1), error.nan_to_num(-1))
    assert CODEC.damage(CODEC.encode(known)['.npz']) is None
    with np.load(io.BytesIO(CODEC.encode(known)['.npz']), allow_pickle=False) as arrays:
        assert list(arrays) == [*MEMBERS, 'error'] and arrays['error'].dtype == np.float32
    assert CODEC.decode(CODEC.encode(label), 'cat/0').error is None


def test_the_codec_comes_without_torch() -> None:
    code = ('import sys; from mmrefine.fileio.codecs import codec_of; codec_of("tracks"); '
            'sys.exit("torch" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0


# ---- what is not tracks

def changed(replace: Optional[Dict[str, Any]] = None, drop: str = '', pack: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A sound file with other members: arrays, or bytes as they are."""
    with zipfile.ZipFile(buffer := io.BytesIO(), 'w', pack) as archive:
        for name, data in {**{key[:-4]: value for key, value in members(tracks()).items()}, **(replace or {})}.items():
            if name != drop:
                with archive.open(name if '.' in name else f'{name}.npy', 'w') as file:
                    if isinstance(data, bytes):
                        file.write(data)
                    else:
                        np.lib.format.write_array(file, np.asarray(data), allow_pickle=True)
    return buffer.getvalue()


def npy(header: str, body: bytes = b'') -> bytes:
    return b'\x93NUMPY\1\0' + struct.pack('<H', len(header)) + header.encode() + body


def promising(shape: str, kind: str = '<f4') -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n", bytes(280))


def resized(data: bytes, size: int) -> bytes:
    """The zip whose first member claims to expand to ``size`` bytes."""
    data = bytearray(data)
    struct.pack_into('<I', data, 22, size)
    struct.pack_into('<I', data, data.index(b'PK\1\2') + 24, size)
    return bytes(data)


FLAT = np.zeros((5, 7, 2), np.float32)
CRAFTED = {
    'empty': (b'', 'its 0 bytes do not end as a zip does'),
    'a picture': (b'\x89PNG\r\n\x1a\n' + bytes(99), 'its 107 bytes do not end as a zip does'),
    'cut': (changed()[:-30], 'do not end as a zip does'),
    'without its beginning': (changed()[90:], '.'),
    'a comment': (changed()[:-2] + b'\1\0x', 'do not end as a zip does'),
    'missing': (changed(drop='size'), "its arrays are 'tracks', 'visible', 'queries', those of tracks are"),
    'no arrays': (b'PK\5\6' + bytes(18), 'its arrays are none'),
    'extra': (changed({'more': FLAT}), "'more'"),
    'a program': (changed({'a.pkl': b'cos\nsystem\n'}), "'a.pkl' is not an array of numpy"),
    'error of other shape': (changed({'error': FLAT}), r"its 'error' is float32 \(5, 7, 2\), and that of 5 tracks"),
    'error of other type': (changed({'error': FLAT[..., 0] > 0}), "its 'error' is bool"),
    'error below 0': (changed({'tracks': FLAT, 'error': FLAT[..., 0] - 1}), 'track 0 of 5 has an expected error that'),
    'no error': (changed({'tracks': FLAT, 'error': FLAT[..., 0] * np.nan}), 'track 0 of 5 has an expected error that'),
    'other type': (changed({'tracks': FLAT.astype(np.float64)}), r"'tracks' is float64 \(5, 7, 2\), and .*float32"),
    'bytes for bools': (changed({'visible': np.zeros((5, 7), np.uint8)}), "'visible' is uint8"),
    'big-endian': (changed({'tracks': FLAT.astype('>f4')}), "'tracks' is >f4"),
    'other shape': (changed({'queries': np.zeros((4, 3), np.float32)}), r"'queries' is float32 \(4, 3\).*of 5 tracks"),
    'one axis': (changed({'tracks': np.zeros(5, np.float32)}), r"'tracks' is float32 \(5,\)"),
    'no axis': (changed({'tracks': np.float32(5)}), r"'tracks' is float32 \(\)"),
    'objects': (changed({'tracks': np.array([[print]], object)}), r"'tracks' is not an array .*'[|]O'"),
    'records': (changed({'size': np.zeros(2, [('a', '<i4')])}), "'size' is not an array of numbers or bools[)]"),
    'texts': (changed({'size': np.array(['64', '96'])}), "'size' is not an array .*'<U2'"),
    'complex': (changed({'queries': np.zeros((5, 3), np.complex64)}), "'queries' is not an array .*'<c8'"),
    'a promise': (changed({'tracks': promising('(999999, 999999, 2)')}), "header of 'tracks' does not fit its"),
    'no elements': (changed({'tracks': promising('(0, 99999999999, 2)')[:-280]}), "header of 'tracks' does not fit"),
    'a negative side': (changed({'tracks': promising('(-5, 7, 2)')}), "header of 'tracks' does not fit"),
    'a long number': (changed({'tracks': promising(f'({"9" * 4000},)')}), "header of 'tracks' does not fit"),
    'a long header': (changed({'tracks': npy(' ' * 60000)}), "header of 'tracks' has 60000 bytes, at most 4096"),
    'a deep header': (changed({'tracks': npy('(' * 4000)}), "'tracks' is not an array of numbers"),
    'another version': (changed({'tracks': b'\x93NUMPY\x03\0' + bytes(99)}), "'tracks' is not an array of numpy"),
    'a size that is not true': (resized(changed(), 2**31), 'promises 2147483648 bytes'),
    'too short': (resized(changed(pack=zipfile.ZIP_STORED), 300), '.'),
    'another packing': (changed(pack=zipfile.ZIP_LZMA), "'tracks' is packed in another way"),
    'too many': (changed({f'a{at}': FLAT for at in range(40)}), 'has 44 members, at most 32'),
    'far too many': (changed({f'a{at}': FLAT for at in range(1500)}), 'too many members'),
    'infinite': (changed({'tracks': np.full_like(FLAT, np.inf)}), 'track 0 of 5 has an infinite point'),
    'seen nowhere': (changed({'tracks': np.full_like(FLAT, np.nan), 'visible': np.arange(35).reshape(5, 7) == 8}),
                     'track 1 of 5 is seen where it has no point'),
    'nan query': (changed({'queries': np.float32([[0, 0, 0]] * 4 + [[0, np.nan, 0]])}), 'track 4 of 5 has a query t'),
    'late query': (changed({'queries': np.float32([[6, 0, 0]] * 2 + [[7, 0, 0]] * 3)}), 'track 2 of 5 .*outside'),
    'no size': (changed({'size': np.int32([0, 96])}), r'size of the frames is \[0, 96\]'),
}


@pytest.mark.parametrize('name', CRAFTED)
def test_a_file_that_is_not_tracks_is_refused_in_a_sentence(name: str) -> None:
    data, story = CRAFTED[name]
    with pytest.raises(LabelStoreError, match=f'cat/0.npz: the label cannot be read [(].*{story}') as caught:
        CODEC.decode({'.npz': data}, 'cat/0')
    assert len(str(caught.value)) < 500 and '\n' not in str(caught.value)


def test_a_bomb_is_refused_before_it_expands() -> None:
    side = 2**12
    body = npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({side}, {side}, 4), }}\n", bytes(4 * side * side))
    small = changed({'tracks': body})
    size = 16 * side * side + len(body) - 4 * side * side  # as if it held all that it promises
    tracemalloc.start()
    try:
        for data, story in ((small, 'does not fit its'), (resized(small, size), 'promises'),
                            (changed({'tracks': bytes(2**26)}), 'not an array')):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(LabelStoreError, match=story):
                CODEC.decode({'.npz': data}, '')
            assert tracemalloc.get_traced_memory()[1] - before < 2**21
    finally:
        tracemalloc.stop()


def test_every_cut_and_every_changed_byte_is_read_as_before_or_refused() -> None:
    data = CODEC.encode(tracks())['.npz']
    wanted = CODEC.as_stored(tracks())
    rng = np.random.default_rng(0)
    refused = 0
    for at in [*range(0, len(data), 3), *rng.integers(0, len(data), 600)]:
        broken = bytearray(data)
        broken[at] = (broken[at] + rng.integers(1, 256)) % 256
        for bytes_ in (bytes(broken), data[:at]):
            damage = CODEC.damage(bytes_)
            try:
                assert_same(CODEC.decode({'.npz': bytes_}, ''), wanted)
            except LabelStoreError:
                refused += 1
            else:
                assert damage is None and bytes_ != data[:at]
    assert refused > 1000


@pytest.mark.parametrize('change, story', [
    (dict(points=torch.full((5, 7, 2), float('inf'))), 'track 0 of 5 has an infinite point'),
    (dict(queries=torch.full((5, 3), 7.)), 'track 0 of 5 has a query outside the 7 frames'),
    (dict(queries=torch.full((5, 3), float('nan'))), 'track 0 of 5 has a query that is not a number'),
    (dict(size=(0, 4)), r'the size of the frames is \[0, 4\]')])
def test_tracks_that_could_not_be_read_again_are_not_written(tmp_path: Path, change: Dict[str, Any],
                                                             story: str) -> None:
    label = dataclasses.replace(tracks(), **change)
    for store in (CODEC.encode, CODEC.as_stored):
        with pytest.raises(LabelStoreError, match=story):
            store(label)
    with pytest.raises(InputError, match='a.npz: these tracks cannot be written: ' + story):
        write_tracks(tmp_path / 'a.npz', label)
    assert not list(tmp_path.iterdir()) and re.match(r'damaged: its \d', CODEC.damage(b'x') or '')

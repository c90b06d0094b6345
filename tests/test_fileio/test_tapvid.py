"""Files of TAP-Vid: half a pixel apart from ours, and a pickle that is read without running it."""
from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
import pytest
import torch

from mmrefine.errors import InputError
from mmrefine.fileio import TapVidVideo, read_any_tracks, read_tapvid, read_tracks, write_tapvid, write_tracks
from mmrefine.fileio.array_pickle import load_pickle
from mmrefine.structures import Tracks


def parts(count: int = 4, frames: int = 5, size: Tuple[int, int] = (12, 16), seed: int = 0) -> Dict[str, np.ndarray]:
    """What TAP-Vid has of a video; all points are seen somewhere."""
    rng = np.random.default_rng(seed)
    occluded = rng.uniform(size=(count, frames)) < 0.5
    occluded[:, frames // 2] = False
    return dict(video=rng.integers(0, 255, (frames, *size, 3), np.uint8), points=rng.uniform(size=(count, frames, 2)),
                occluded=occluded)


def saved(path: Path, obj: Any, **changes: Any) -> Path:
    """An ``.npz`` of parts, or a pickle of anything else."""
    if path.suffix == '.npz':
        np.savez(path, **{**obj, **changes})
    else:
        path.write_bytes(obj if isinstance(obj, bytes) else pickle.dumps(obj, **changes))
    return path


def test_the_centre_of_the_first_pixel_is_half_a_pixel_from_the_edge_both_ways(tmp_path: Path) -> None:
    points = np.array([[[0.5 / 16, 0.5 / 12]], [[0., 0.]], [[1., 1.]], [[0.5, 0.5]]])
    wanted = [[[0., 0.]], [[-0.5, -0.5]], [[15.5, 11.5]], [[7.5, 5.5]]]
    path = saved(tmp_path / 'a.npz', dict(points=points, occluded=np.zeros((4, 1), bool)))
    tracks = read_any_tracks(path, size=(12, 16))
    assert tracks.points.tolist() == wanted and tracks.size == (12, 16)
    assert tracks.queries.tolist() == [[0, y, x] for [[x, y]] in wanted]
    write_tapvid(tmp_path / 'b.npz', tracks)
    with np.load(tmp_path / 'b.npz', allow_pickle=False) as found:
        np.testing.assert_allclose(found['points'], points, rtol=0, atol=1e-9)
        assert sorted(found) == ['occluded', 'points'] and not found['occluded'].any()


@pytest.mark.parametrize('size', [(480, 854), (1080, 1920), (1, 1)])
def test_tracks_come_back_to_a_ten_thousandth_of_a_pixel(tmp_path: Path, size: Tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-0.5, np.array(size[::-1]) - 0.5, (50, 6, 2)).astype(np.float32)
    visible = rng.uniform(size=(50, 6))
    visible[:, 0] = 0.75
    pixels[3, 4] = np.nan
    tracks = Tracks(torch.from_numpy(pixels), torch.from_numpy(visible).float(), torch.zeros(50, 3), size)
    write_tapvid(tmp_path / 'a.npz', tracks)
    found = read_any_tracks(tmp_path / 'a.npz', size)
    np.testing.assert_allclose(found.points, pixels, rtol=0, atol=1e-4)
    seen = (visible > 0.5) & ~np.isnan(pixels[..., 0])
    np.testing.assert_array_equal(found.visible, seen)
    np.testing.assert_allclose(found.queries, np.concatenate([0 * pixels[:, 0, :1], pixels[:, 0, ::-1]], axis=1),
                               rtol=0, atol=1e-4)


def test_a_track_begins_where_its_point_is_first_seen_and_points_never_seen_are_counted(tmp_path: Path) -> None:
    one = parts(3, 4)
    one['occluded'] = np.array([[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 0]], bool)
    found, = read_tapvid(saved(tmp_path / 'goat.npz', one)).values()
    assert found.left_out == 1 and found.tracks.queries[:, 0].tolist() == [2, 0]
    assert torch.equal(found.tracks.queries[:, 1:], found.tracks.points[[0, 1], [2, 0]].flip(-1))
    assert found.tracks.visible.tolist() == [[0, 0, 1, 0], [1, 0, 0, 1]]
    assert found.video is not None and np.array_equal(found.video, one['video']) and found.tracks.size == (12, 16)
    one['occluded'][:] = True
    found, = read_tapvid(saved(tmp_path / 'goat.npz', one)).values()
    assert found.left_out == 3 and found.tracks.points.shape == (0, 4, 2) and found.tracks.queries.shape == (0, 3)


def assert_videos(found: Any, wanted: Dict[str, Dict[str, np.ndarray]]) -> None:
    assert list(found) == list(wanted)
    for name, one in found.items():
        assert isinstance(one, TapVidVideo) and np.array_equal(one.video, wanted[name]['video']) and not one.left_out
        pixels = wanted[name]['points'].astype(np.float64) * [16, 12] - 0.5
        np.testing.assert_allclose(one.tracks.points, pixels, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(one.tracks.visible, ~wanted[name]['occluded'])


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize('change', [
    lambda array: array, np.asfortranarray, lambda array: array.astype(array.dtype.newbyteorder()),
    lambda array: array.astype(np.float32) if array.dtype == float else array], ids=['', 'fortran', 'swapped', 'f4'])
def test_a_pickle_of_videos_is_what_pickle_would_load(tmp_path: Path, protocol: int,
                                                      change: Callable[[np.ndarray], np.ndarray]) -> None:
    wanted = {name: {key: change(value) for key, value in parts(seed=seed).items()}
              for seed, name in enumerate(('goat', 'dog'))}
    path = saved(tmp_path / 'tapvid_davis.pkl', wanted, protocol=protocol)
    assert_videos(read_tapvid(path), wanted)
    data = path.read_bytes()
    for module in (b'multiarray', b'numeric'):
        old, new = b'numpy._core.' + module, b'numpy.core.' + module
        data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new).replace(old, new)
    assert b'_core' not in data  # as NumPy 1 writes it
    assert_videos(read_tapvid(saved(path, data)), wanted)


def test_plain_data_of_a_pickle_is_what_pickle_would_load() -> None:
    plain = {'a': [1, -2, 2**40, -2**70, 0.5, True, None], b'b': (), 'c': ('x', [], {}, (1, 2), (1, 2, 3, 4), [[3]]),
             7: np.float64(0.25), 'e': np.int16(-3), 'f': np.bool_(True), 'g': 'ö' * 300, 'h': b'\xff' * 300}
    for protocol in (2, 3, 4, 5):
        assert load_pickle(io.BytesIO(pickle.dumps(plain, protocol))) == plain


def test_both_layouts_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    tracks, = (one.tracks for one in read_tapvid(saved(tmp_path / 'theirs.npz', parts())).values())
    write_tracks(tmp_path / 'ours.npz', tracks)
    assert torch.equal(read_any_tracks(tmp_path / 'ours.npz').points, read_tracks(tmp_path / 'ours.npz').points)
    theirs = read_any_tracks(tmp_path / 'theirs.npz')
    assert torch.equal(theirs.points, tracks.points) and theirs.size == (12, 16)
    write_tapvid(tmp_path / 'again.npz', tracks, parts()['video'])
    assert_videos(read_tapvid(tmp_path / 'again.npz'), dict(again=parts()))
    with pytest.raises(ValueError, match=r'again.npz: the video of these tracks is uint8 \(5, 12, 16, 3\), got uint8 '
                                         r'\(4, 12, 16, 3\)'):
        write_tapvid(tmp_path / 'again.npz', tracks, parts()['video'][1:])
    with pytest.raises(InputError, match='a.pkl: .*a pickle of many videos, which read_tapvid reads'):
        read_any_tracks(saved(tmp_path / 'a.pkl', dict(goat=parts())))


NAN, INF = (np.full((4, 5, 2), value) for value in (np.nan, np.inf))


@pytest.mark.parametrize('change, drop, story', [
    ({}, 'video', r'no video, so the size of the frames is not known: give size=\(height, width\)'),
    ({}, 'points', "no array 'points', but 'video', 'occluded'"),
    (dict(points=np.zeros((4, 5, 3))), '', r"its 'points' are float64 \(4, 5, 3\), they must be float \(N, T, 2\)"),
    (dict(points=np.zeros((4, 5, 2), int)), '', "its 'points' are int64"),
    (dict(points=np.zeros((4, 0, 2)), occluded=np.zeros((4, 0), bool)), '', "its 'points' are"),
    (dict(occluded=np.zeros((4, 6), bool)), '', r"its 'occluded' is bool \(4, 6\), it must be bool \(4, 5\)"),
    (dict(occluded=np.zeros((4, 5))), '', "its 'occluded' is float64"),
    (dict(video=np.zeros((4, 12, 16, 3), np.uint8)), '', r"'video' is uint8 \(4, .*must be uint8 \(5, H, W, 3\)"),
    (dict(video=np.zeros((5, 12, 16, 3))), '', "its 'video' is float64"),
    (dict(video=np.zeros((5, 0, 16, 3), np.uint8)), '', r'size of its frames is \(0, 16\)'),
    (dict(points=NAN), '', 'points that are seen and are not numbers'),
    (dict(points=INF, occluded=np.ones((4, 5), bool)), '', 'or infinite ones'),
    (dict(points=np.full((4, 5, 2), 1e60), occluded=np.ones((4, 5), bool)), '', 'or infinite ones'),
    (dict(points=np.full((4, 5, 2), 7.5)), '', 'seen is at 7.5; .* are fractions of the frame, 0 to 1, not px'),
])
@pytest.mark.parametrize('suffix', ['.npz', '.pkl'])
def test_arrays_that_are_no_tracks_are_named(tmp_path: Path, suffix: str, change: Dict[str, np.ndarray], drop: str,
                                             story: str) -> None:
    one = {name: value for name, value in {**parts(), **change}.items() if name != drop}
    path = saved(tmp_path / f'goat{suffix}', one if suffix == '.npz' else dict(goat=one))
    name = '' if suffix == '.npz' else "video 'goat': "
    with pytest.raises(InputError, match=f'goat{suffix}: cannot be read as tracks of TAP-Vid [(]{name}.*{story}'):
        read_tapvid(path)


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    for name, content, story in (
            ('a.pkl', {}, 'holds no video, not a dict'), ('b.pkl', [parts()], 'holds a list, not a dict of videos'),
            ('c.pkl', {1: parts()}, 'a dict under a int, not videos under names'),
            ('d.pkl', {'goat': parts()['video']}, 'a PickledArray under a str'),
            ('e.pkl', {'goat': dict(parts(), video=[b'jpeg'])}, "video 'goat': it has no video, so the size"),
            ('f.pkl', b'(dp0\n.', 'neither an .npz nor a pickle of protocol 2'), ('g.pkl', b'', 'the file is empty'),
            ('h.npz', {'points': np.array([print], object)}, "'points' is not an array of numbers .*'.O'"),
            ('i.npz', {'tracks': np.zeros(3)}, 'those of tracks are')):
        with pytest.raises(InputError, match=f'{name}: .*{story}'):
            (read_any_tracks if name == 'i.npz' else read_tapvid)(saved(tmp_path / name, content))
    saved(tmp_path / 'j.npz', dict(a=np.zeros(3)))
    (tmp_path / 'k.npz').write_bytes(b'PK')
    for name, story in (('j', "it has neither 'tracks', as ours have, nor 'points', .*, but 'a'"),
                        ('k', 'its 2 bytes do not end as a zip does')):
        with pytest.raises(InputError, match=f'{name}.npz: cannot be read as tracks [(]{story}'):  # of either kind
            read_any_tracks(tmp_path / f'{name}.npz')
    with pytest.raises(InputError, match='no.npz: cannot be opened'):
        read_tapvid(tmp_path / 'no.npz')
    with pytest.raises(InputError, match='cannot be opened'):
        read_any_tracks(tmp_path)


# ---- pickles that would do harm if they were run

class Calls:
    """Pickled as a call."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


def text(value: str) -> bytes:
    return b'X' + struct.pack('<I', len(value)) + value.encode()


RECONSTRUCT = b'cnumpy.core.multiarray\n_reconstruct\n'
ARRAY = RECONSTRUCT + b'cnumpy\nndarray\n' + b'K\0\x85C\x01b\x87R'
DTYPE = b'cnumpy\ndtype\n' + text('f4') + b'\x89\x88\x87R'
BIG = b'\x8a\x06' + (2**40).to_bytes(6, 'little')
ALSO = dict(goat=parts())
LAUGHS = b')' + b'q\0h\0\x86' * 60
BOMBS: Dict[str, Tuple[Any, str]] = {
    'a shell': (Calls(os.system, 'touch harm'), "names '(posix|nt).system', which neither plain data nor arrays need"),
    'behind a video': ({**ALSO, 'x': Calls(os.system, 'touch harm')}, "names 'posix.system'"),
    'eval': (Calls(eval, "open('harm', 'w')"), "names 'builtins.eval'"),
    'getattr': (Calls(getattr, Calls(__import__, 'os'), 'system'), "names 'builtins.getattr'"),
    'import': (Calls(__import__, 'os'), "names 'builtins.__import__'"),
    'a name with dots': (b'\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.', "names 'numpy.ndarray.__class__'"),
    'numpy load': (Calls(np.load, 'harm.npy'), "names 'numpy"),
    'numpy zeros': (Calls(np.zeros, 10**12), "names 'numpy"),
    'old opcodes': (b'\x80\x02(S"touch harm"\nios\nsystem\n.', "step STRING of 'touch harm'"),
    'inst': (b'\x80\x02(ios\nsystem\n.', "step INST of 'os system'"),
    'an instance': (Path('a'), "names 'pathlib"),
    'a persistent id': (b'\x80\x02X\x01\0\0\0aQ.', 'a step BINPERSID'),
    'an extension': (b'\x80\x02\x82\x01.', 'a step EXT1'),
    'a class': (b'\x80\x02cnumpy\nndarray\n)\x81.', 'a step NEWOBJ'),
    'a call of an array': (b'\x80\x02cnumpy\nndarray\n)R.', 'steps do not fit together'),
    'huge bytes': (Calls(bytearray, 10**12), "names 'builtins.bytearray'"),
    'objects': (dict(goat=dict(parts(), points=np.array([[None]]))), "an array of 'O8', not of numbers"),
    'records': (dict(goat=dict(parts(), points=np.zeros(2, 'f4,f4'))), "an array of 'V8'"),
    'dates': (dict(goat=dict(parts(), points=np.zeros(2, 'M8[s]'))), "an array of 'M8'"),
    'a shape beyond its bytes': (b'\x80\x03' + ARRAY + b'(K\x01' + BIG + b'K\x02\x86' + DTYPE + b'\x89C\x04abcdtb.',
                                 'shape does not fit its 4 bytes'),
    'many empty rows': (b'\x80\x03' + ARRAY + b'(K\x01' + BIG + b'K\0\x86' + DTYPE + b'\x89C\0tb.',
                        'shape does not fit its 0 bytes'),
    'a shape without bytes': (b'\x80\x03}' + text('goat') + b'}' + text('points') + RECONSTRUCT + b'cnumpy\nndarray\n'
                              + BIG + b'\x85C\x01b\x87Rsss.', "steps do not fit"),
    'bytes beyond its end': (b'\x80\x04\x8e' + struct.pack('<Q', 2**40) + b'abc.', 'cut off: 1099511627776 bytes'),
    'a number beyond its end': (b'\x80\x04\x8b' + struct.pack('<i', 2**31 - 1) + b'abc.', 'cut off'),
    'a frame beyond its end': (b'\x80\x04\x95' + struct.pack('<Q', 2**60) + b'}.', 'holds no video'),
    'a far memo': (b'\x80\x02}r\xff\xff\xff\xff.', 'holds no video'),
    'deep lists': (b'\x80\x02' + b']' * 400000 + b'a' * 399999 + b'.', 'holds a list'),
    'deep marks': (b'\x80\x02' + b'(' * 400000 + b'.', 'do not fit together'),
    'laughs': (b'\x80\x02' + LAUGHS + b'.', 'holds a tuple'),
    'laughs as a key': (b'\x80\x02}' + LAUGHS + b'Ns.', 'a key of the type tuple'),
    'laughs as a shape': (b'\x80\x03' + ARRAY + b'(K\x01' + LAUGHS + DTYPE + b'\x89C\0tb.', 'shape does not fit'),
    'a list in itself': (b'\x80\x02]q\0h\0a.', 'holds a list'),
    'texts encoded again and again': (
        b'\x80\x02' + text('a' * 10**5) + b'q\0c_codecs\nencode\nq\x01' + text('latin1') + b'q\x02'
        + b'h\x01h\0h\x02\x86R' * 10**4 + b'.', 'steps make more bytes than it has'),
    'too many steps': (b'\x80\x02' + b'N' * (10**6 + 9) + b'.', 'more than 1000000 steps'),
    'nothing': (b'\x80\x02.', 'do not fit together'),
    'an unknown step': (b'\x80\x02\xfe.', 'opcode'),
    'a step of texts': (b'\x80\x02I1\n.', 'a step INT'),
}


@pytest.mark.parametrize('name', BOMBS)
def test_a_pickle_that_is_more_than_data_is_refused_in_a_sentence_and_does_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    content, story = BOMBS[name]
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path / 'a.pkl', content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f'a.pkl: cannot be read as tracks of TAP-Vid [(].*{story}') as caught:
            read_tapvid(path)
        assert tracemalloc.get_traced_memory()[1] < 2**21 + 200 * path.stat().st_size
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 600 and '\n' not in str(caught.value) and os.listdir(tmp_path) == ['a.pkl']


def test_the_same_arrays_under_many_names_are_refused_before_they_are_tracks(tmp_path: Path) -> None:
    one = parts(2000, 20)
    with pytest.raises(InputError, match="video '1': the arrays up to here have more bytes than the file"):
        read_tapvid(saved(tmp_path / 'a.pkl', {str(number): one for number in range(100)}))


def test_every_cut_and_every_changed_byte_is_read_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / 'a.pkl'
    for protocol in (2, 4, 5):
        data = pickle.dumps(dict(goat=parts(2, 3, (2, 2)), dog=parts(1, 1, (1, 2))), protocol)
        refused = 0
        for at in range(len(data)):
            broken = bytearray(data)
            broken[at] = (broken[at] + rng.integers(1, 256)) % 256
            for content in (bytes(broken), data[:at]):
                found: Optional[Any] = None
                try:
                    found = read_tapvid(saved(path, content), (2, 2))
                except InputError as error:
                    refused += 1
                    assert '\n' not in str(error)
                assert found is None or content != data[:at]
        assert refused > len(data)

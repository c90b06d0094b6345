"""Flow files, against hand-made bytes and against mmflow's own readers."""
from __future__ import annotations

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_fileio import huge_png, tree

from mmrefine.errors import InputError
from mmrefine.fileio import decode_kitti, encode_kitti, read_flow, write_flow


def random_flow(height: int = 20, width: int = 30, size: float = 60.) -> np.ndarray:
    return np.random.default_rng(0).normal(0, size, (height, width, 2)).astype(np.float32)


def raw_kitti(flow: list) -> list:
    """(R, G, B) of the pixels of one row."""
    bgr = cv2.imdecode(np.frombuffer(encode_kitti(np.float32([flow])), np.uint8), cv2.IMREAD_UNCHANGED)
    return bgr[0, :, ::-1].tolist()


def test_a_flo_file_is_tag_width_height_and_rows(tmp_path: Path) -> None:
    data = b'PIEH' + struct.pack('<ii12f', 3, 2, *range(12))
    (tmp_path / 'hand.flo').write_bytes(data)
    flow, valid = read_flow(tmp_path / 'hand.flo')
    assert flow.dtype == np.float32 and valid.all()
    assert flow[1, 2].tolist() == [10, 11] and flow[0, 1].tolist() == [2, 3]
    write_flow(tmp_path / 'ours.flo', flow)
    assert (tmp_path / 'ours.flo').read_bytes() == data


def test_a_pfm_file_starts_with_its_last_row_and_says_its_byte_order(tmp_path: Path) -> None:
    rows = [6., 7., 0., 8., 9., 0.], [1., 2., 0., 3., 4., 0.]  # below, above
    wanted = [[[1, 2], [3, 4]], [[6, 7], [8, 9]]]
    for scale, order in (('-1.0', '<'), ('1', '>')):
        (tmp_path / 'hand.pfm').write_bytes(f'PF\n2 2\n{scale}\n'.encode()
                                            + struct.pack(f'{order}12f', *rows[0], *rows[1]))
        assert read_flow(tmp_path / 'hand.pfm')[0].tolist() == wanted
    write_flow(tmp_path / 'ours.pfm', np.float32(wanted))
    assert (tmp_path / 'ours.pfm').read_bytes() == b'PF\n2 2\n-1.0\n' + struct.pack('<12f', *rows[0], *rows[1])


@pytest.mark.parametrize('motion, raw', [
    (0., 2**15), (1., 2**15 + 64), (-1., 2**15 - 64), (511., 2**15 + 511 * 64), (-511., 2**15 - 511 * 64),
    (0.6 / 64, 2**15 + 1),    # cutting off would give 2^15
    (0.4 / 64, 2**15),
    (-0.4 / 64, 2**15),       # cutting off would give 2^15 - 1
    (-0.6 / 64, 2**15 - 1),
])
def test_kitti_stores_64ths_of_a_pixel_rounded_to_the_nearest(motion: float, raw: int) -> None:
    assert raw_kitti([[motion, 2.], [3., motion]]) == [[raw, 2**15 + 128, 1], [2**15 + 192, raw, 1]]


@pytest.mark.parametrize('beyond', [511.01, -511.01, 600., 1e6, np.inf, -np.inf, np.nan])
def test_kitti_makes_what_it_cannot_say_invalid_and_zero(beyond: float) -> None:
    assert raw_kitti([[beyond, 1.], [1., beyond], [1., 1.]])[:2] == [[0, 0, 0], [0, 0, 0]]
    flow, valid = decode_kitti(encode_kitti(np.float32([[[beyond, 1.], [1., 1.]]])))
    assert valid.tolist() == [[False, True]] and flow.tolist() == [[[0, 0], [1, 1]]]


def test_kitti_keeps_every_motion_to_half_a_step_and_every_mask() -> None:
    flow, valid = random_flow(), np.random.default_rng(1).random((20, 30)) > 0.4
    back, back_valid = decode_kitti(encode_kitti(flow, valid))
    assert np.array_equal(back_valid, valid) and 0 < valid.sum() < valid.size
    assert np.abs(back - flow)[valid].max() <= 1 / 128
    assert not back[~valid].any()
    assert encode_kitti(back, valid) == encode_kitti(flow, valid)


def test_rounding_has_no_bias() -> None:
    flow = np.random.default_rng(0).uniform(-50, 50, (200, 200, 2)).astype(np.float32)
    error = decode_kitti(encode_kitti(flow))[0] - flow
    assert abs(error.mean()) < 1e-4  # cutting off would give -1/128


def test_mmflow_reads_our_kitti_file_and_our_flo_file(tmp_path: Path) -> None:
    pytest.importorskip('mmflow', reason='mmflow is not installed')
    import warnings

    import mmrefine  # noqa: F401  stands in for mmcv's compiled operators
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from mmflow.datasets.transforms import LoadAnnotations
        from mmflow.datasets.utils.flow_io import read_flow as mmflow_read_flow
        from mmflow.datasets.utils.flow_io import read_flow_kitti
        loader = LoadAnnotations(sparse=True)
        flow, valid = random_flow(), np.random.default_rng(1).random((20, 30)) > 0.4
        write_flow(tmp_path / 'a.png', flow, valid)
        loaded = loader(dict(flow_fw_path=str(tmp_path / 'a.png')))
    ours, _ = read_flow(tmp_path / 'a.png')
    for theirs, their_valid in ((loaded['gt_flow_fw'], loaded['gt_valid_fw']),
                                read_flow_kitti(str(tmp_path / 'a.png'))):
        assert np.array_equal(np.asarray(their_valid) > 0, valid)
        assert np.array_equal(theirs[valid], ours[valid])
        assert np.abs(theirs - flow)[valid].max() <= 1 / 128
    write_flow(tmp_path / 'a.flo', flow)
    assert np.array_equal(mmflow_read_flow(str(tmp_path / 'a.flo')), flow)


def test_a_published_flo_file_is_read_as_mmflow_reads_it(shared_data: Path) -> None:
    path = shared_data / 'flow_pairs' / 'rubberwhale' / 'flow10.flo'
    if not path.exists():
        pytest.skip(f'{path} is absent')
    data = path.read_bytes()
    width, height = struct.unpack_from('<ii', data, 4)
    raw = np.frombuffer(data, '<f4', offset=12).reshape(height, width, 2)
    flow, valid = read_flow(path)
    assert 0 < (~valid).sum() < 0.1 * valid.size  # Middlebury marks a few pixels as unknown
    assert np.array_equal(valid, (np.abs(raw) < 1e9).all(axis=2))
    assert np.array_equal(flow[valid], raw[valid]) and not flow[~valid].any()


@pytest.mark.parametrize('suffix', ['.flo', '.pfm', '.png'])
def test_unknown_motion_stays_unknown_in_every_format(tmp_path: Path, suffix: str) -> None:
    flow = np.round(random_flow() * 64) / 64
    flow[0, 0] = np.nan, 1
    flow[1, 1] = 1, -2e9
    valid = np.ones((20, 30), bool)
    valid[2, 2] = False
    write_flow(tmp_path / f'a{suffix}', flow, valid)
    back, back_valid = read_flow(tmp_path / f'a{suffix}')
    assert np.argwhere(~back_valid).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert np.array_equal(back[back_valid], flow[back_valid]) and not back[~back_valid].any()
    write_flow(tmp_path / f'b{suffix}', flow)
    assert np.argwhere(~read_flow(tmp_path / f'b{suffix}')[1]).tolist() == [[0, 0], [1, 1]]


def test_flo5_survives_a_round_trip_with_its_unknown_pixels(tmp_path: Path) -> None:
    h5py = pytest.importorskip('h5py', reason='h5py (for .flo5 files) is not installed')
    flow = random_flow()
    flow[3, 4] = np.nan
    write_flow(tmp_path / 'a.flo5', flow)
    with h5py.File(tmp_path / 'a.flo5') as file:
        assert np.array_equal(file['flow'][()], flow, equal_nan=True)
    back, valid = read_flow(tmp_path / 'a.flo5')
    assert np.argwhere(~valid).tolist() == [[3, 4]] and np.array_equal(back[valid], flow[valid])
    with h5py.File(tmp_path / 'b.flo5', 'w') as file:
        file['disparity'] = flow
    with pytest.raises(InputError, match=r'b\.flo5: not a readable \.flo5 flow .*flow'):
        read_flow(tmp_path / 'b.flo5')


def test_flo5_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'h5py', None)
    for work in (lambda: read_flow(tmp_path / 'a.flo5'), lambda: write_flow(tmp_path / 'a.flo5', random_flow())):
        with pytest.raises(InputError, match=r'a\.flo5: .*needs h5py.*pip install h5py'):
            work()


@pytest.mark.parametrize('name, data, message', [
    ('a.flo', b'PIEX' + bytes(20), r"a\.flo: .*b'PIEX' instead of PIEH"),
    ('a.flo', b'PIEH' + struct.pack('<ii', 100, 50) + bytes(99), r'99 of 40000 bytes for 100 x 50'),
    ('a.flo', b'PIEH' + struct.pack('<ii', -1, 50), r'promises -1 x 50 pixels'),
    ('a.flo', b'PIEH' + struct.pack('<ii', 2**31 - 1, 2**31 - 1), r'promises 2147483647 x 2147483647 pixels'),
    ('a.flo', b'PIEH' + struct.pack('<ii', 2, 3) + bytes(49), r'too long: 49 of 48 bytes for 2 x 3'),
    ('a.flo', b'PI', r"b'PI' instead"),
    ('a.pfm', b'P6\n2 2\n255\n' + bytes(12), r'a\.pfm: .*its header is not'),
    ('a.pfm', b'Pf\n2 2\n-1\n' + bytes(16), r'one channel'),
    ('a.pfm', b'PF\n2 2\nx\n' + bytes(48), r"scale is b'x'"),
    ('a.pfm', b'PF\n2 2\nnan\n' + bytes(48), r"scale is b'nan' instead of a number"),
    ('a.pfm', b'PF\n2 2\n0\n' + bytes(48), r"scale is b'0' instead of a number that is not 0"),
    ('a.pfm', b'PF\n' + b'9' * 5000 + b' 2\n-1\n' + bytes(48), r'its header is not'),
    ('a.pfm', b'PF\n99999 99999\n-1\n' + bytes(48), r'promises 99999 x 99999 pixels'),
    ('a.pfm', b'PF\n2 2\n-1\n' + bytes(47), r'47 of 48 bytes'),
    ('a.png', huge_png(65535, 65535), r'promises 65535 x 65535 pixels'),
    ('a.png', huge_png(2**31, 1), r'promises 2147483648 x 1 pixels'),
    ('a.png', huge_png(9999, 9999), r'promises 9999 x 9999 pixels, which \d+ bytes cannot hold'),
    ('a.png', encode_kitti(random_flow())[:-9], r'a\.png: .*truncated'),
    ('a.png', cv2.imencode('.png', np.zeros((4, 4, 3), np.uint8))[1].tobytes(),
     r'16 bits, this one is \(4, 4, 3\) uint8'),
    ('a.png', b'no picture', r'a\.png: .*unknown format'),
    ('a.flo', b'', r'a\.flo: the file is empty'),
])
def test_a_damaged_flow_file_is_refused_by_name_and_reason(tmp_path: Path, name: str, data: bytes,
                                                           message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_flow(tmp_path / name)


def test_a_missing_file_and_an_unknown_suffix_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'gone\.flo: cannot be opened'):
        read_flow(tmp_path / 'gone.flo')
    with pytest.raises(InputError, match=r"a\.npy: .*\.flo, \.png, \.pfm, \.flo5, got '\.npy'"):
        read_flow(tmp_path / 'a.npy')


@pytest.mark.parametrize('flow, valid, message', [
    (np.zeros((2, 4, 5)), None, r'\(H, W, 2\), got \(2, 4, 5\)'),
    (np.zeros((4, 5, 2)), np.ones((5, 4)), r'valid must be \(4, 5\).*got \(5, 4\)'),
])
def test_a_flow_of_another_shape_is_not_written(tmp_path: Path, flow: np.ndarray, valid: np.ndarray,
                                                message: str) -> None:
    for suffix in ('.flo', '.png', '.pfm'):
        with pytest.raises(ValueError, match=message):
            write_flow(tmp_path / f'a{suffix}', flow, valid)
    assert tree(tmp_path) == {}

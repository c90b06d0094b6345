"""Pictures of more than 8 bits are the 8-bit pictures that they were made of, by one scale for a scene."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, List

import av
import cv2
import numpy as np
import pytest
from helpers_fileio import moving_texture

from mmrefine.fileio import FolderFrames, VideoFrames, open_frames, read_image
from mmrefine.fileio.grey_levels import choose_levels, to_8_bits


def spread(frames: List[np.ndarray]) -> List[np.ndarray]:
    """The frames in grey, with 0 and 255 among their levels."""
    grey = np.stack([frame[..., 0].astype(float) for frame in frames])
    return list(np.rint(255 * (grey - grey.min()) / (grey.max() - grey.min())).astype(np.uint8))


def write_deep(folder: Path, frames: List[np.ndarray], deepen: Callable, suffix: str = '.png') -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for at, frame in enumerate(frames):
        ok, data = cv2.imencode(suffix, deepen(frame))
        assert ok
        (folder / f'{at}{suffix}').write_bytes(data.tobytes())
    return folder


DEEP = {
    '12 bits': lambda frame: frame.astype(np.uint16) * 16,
    '14 bits and an offset': lambda frame: frame.astype(np.uint16) * 50 + 3000,
    'thermal': lambda frame: frame.astype(np.uint16) * 2 + 29315,
    'float': lambda frame: frame.astype(np.float32) / 1000 - 0.1,
}


@pytest.mark.parametrize('kind, suffix', [
    ('12 bits', '.png'), ('12 bits', '.tif'), ('12 bits', '.jp2'), ('14 bits and an offset', '.png'),
    ('14 bits and an offset', '.tif'), ('thermal', '.png'), ('thermal', '.tif'), ('float', '.tif')])
def test_a_scene_of_more_bits_is_the_8_bit_scene_that_it_was_made_of(tmp_path: Path, kind: str, suffix: str) -> None:
    frames = spread(moving_texture(5))
    source = open_frames(write_deep(tmp_path, frames, DEEP[kind], suffix))
    most = 8 if suffix == '.jp2' else 0
    for at, frame in enumerate(frames):
        assert np.abs(source[at].astype(int) - frame[..., None]).max() <= most


def test_all_frames_of_a_scene_have_one_scale_so_a_dark_frame_stays_dark(tmp_path: Path) -> None:
    bright, dark = np.uint8([[0, 100], [200, 255]]), np.uint8([[0, 10], [20, 30]])
    source = open_frames(write_deep(tmp_path, [bright, dark, bright], DEEP['12 bits']))
    assert np.array_equal(source[1][..., 0], dark) and np.array_equal(source[2][..., 0], bright)


@pytest.mark.parametrize('scale', [257, 200, 129])
def test_pictures_that_use_most_of_16_bits_keep_their_upper_8(tmp_path: Path, scale: int) -> None:
    frames = spread(moving_texture(3))
    source = open_frames(write_deep(tmp_path, frames, lambda frame: frame.astype(np.uint16) * scale))
    for at, frame in enumerate(frames):
        assert np.array_equal(source[at][..., 0], frame.astype(int) * scale >> 8)
        assert np.array_equal(source[at], read_image(tmp_path / f'{at}.png'))


def test_hot_pixels_do_not_decide_the_scale() -> None:
    frame = np.arange(1000, 2000, dtype=np.uint16).repeat(100).reshape(250, 400)
    hot = frame.copy()
    hot[0, :5], hot[1, :5] = 60000, 0
    assert choose_levels([frame]) == (1000, 1999) == choose_levels([hot])


@pytest.mark.parametrize('frames, levels', [
    ([np.zeros((4, 5), np.uint8)], None),
    ([np.full((4, 5), 700, np.uint16)], None),
    ([np.uint16([[100, 140]])], (100, 355)),  # noise is not stretched
    ([np.float32([[0.5, np.nan, np.inf, 1.5]])], (0.5, 1.5)),
])
def test_frames_without_a_range_of_their_own(frames: list, levels: object) -> None:
    assert choose_levels(frames) == levels


def test_levels_are_spread_evenly_and_cut_off_at_the_ends() -> None:
    levels = np.uint16([0, 100, 151, 202, 355, 9999])
    assert to_8_bits(levels, (100, 355)).tolist() == [0, 0, 51, 102, 255, 255]
    assert to_8_bits(levels.astype(np.float64), (100, 355)).tolist() == [0, 0, 51, 102, 255, 255]
    assert to_8_bits(np.float32([np.nan, np.inf, -np.inf]), (1., 2.)).tolist() == [0, 255, 0]


def test_the_digest_sees_the_levels_and_8_bit_pictures_keep_theirs(tmp_path: Path) -> None:
    deep = write_deep(tmp_path / 'deep', spread(moving_texture(3)), DEEP['12 bits'])
    plain = write_deep(tmp_path / 'plain', spread(moving_texture(3)), np.copy)
    digests = {FolderFrames(deep).digest(), FolderFrames(deep, levels=(0, 100)).digest(),
               FolderFrames(deep, levels=(0, 200)).digest()}
    assert len(digests) == 3 and FolderFrames(deep, levels=(0, 4080)).digest() in digests
    assert FolderFrames(plain).levels is None


@pytest.mark.parametrize('pixels', ['gray16le', 'rgb48le'])
def test_a_video_of_16_bits_of_which_12_are_used_is_the_8_bit_video_in_any_order(tmp_path: Path, pixels: str) -> None:
    frames = spread(moving_texture(6))
    with av.open(str(tmp_path / 'a.mkv'), 'w') as container:
        stream = container.add_stream('ffv1', rate=10)
        (stream.height, stream.width), stream.pix_fmt = frames[0].shape, pixels
        for frame in frames:
            deep = DEEP['12 bits'](frame)
            deep = deep if pixels.startswith('gray') else deep[..., None].repeat(3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(deep), format=pixels)))
        container.mux(stream.encode(None))
    source = open_frames(tmp_path / 'a.mkv')
    for at in (0, 4, 2, 5, 1):
        assert np.array_equal(source[at], frames[at][..., None].repeat(3, axis=2))
    assert source.digest() != VideoFrames(tmp_path / 'a.mkv', levels=(0, 65535)).digest()

"""Videos give the same frames in any order, and say when they cannot."""
from __future__ import annotations

import pickle
import random
import struct
import tracemalloc
import warnings
from pathlib import Path
from typing import List

import cv2
import numpy as np
import pytest
from helpers_fileio import in_child, write_video

from mmrefine.errors import InputError
from mmrefine.fileio import VideoFrames, open_frames

CAPTURE = cv2.VideoCapture


def decode(path: Path) -> List[np.ndarray]:
    """All frames in order, straight from OpenCV, RGB."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame[..., ::-1])


def equal_in(source: VideoFrames, frames: List[np.ndarray], order: List[int]) -> bool:
    return all(np.array_equal(source[at], frames[at]) for at in order)


def orders(count: int) -> List[List[int]]:
    """Backwards, jumping, at random, and reversed neighbours."""
    return [list(range(count))[::-1], [0, count - 1, 1, count // 2, count - 2],
            random.Random(0).choices(range(count), k=12), [at for i in range(20, 26) for at in (i + 1, i)]]


def test_any_order_gives_the_frames_of_reading_in_order(clip: Path) -> None:
    frames = decode(clip)
    assert len({frame.tobytes() for frame in frames}) == 40
    for order in [list(range(40)), *orders(40)]:
        source = open_frames(clip)
        assert len(source) == 40 and source.size == (48, 64)
        assert equal_in(source, frames, order)


@pytest.mark.parametrize('name', ['cat.mp4', 'demo.mp4'])
def test_real_videos_give_the_same_frames_in_any_order(shared_data: Path, name: str) -> None:
    path = shared_data / 'video' / name
    if not path.exists():
        pytest.skip(f'{path} is absent')
    frames = decode(path)
    source = open_frames(path)
    assert len(source) == len(frames) > 40
    for order in orders(len(frames)):
        assert equal_in(source, frames, order)


@pytest.mark.parametrize('error', [-2, -1, 1, 5])
def test_a_decoder_that_jumps_to_the_wrong_frame_is_corrected(
        clip: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    jumps = []

    class Careless:
        """OpenCV's capture, whose jumps land beside their target."""

        def __init__(self, *args: object) -> None:
            self.capture = CAPTURE(*args)

        def set(self, what: int, value: float) -> bool:
            jumps.append(value)
            return self.capture.set(what, value + error)

        def __getattr__(self, name: str) -> object:
            return getattr(self.capture, name)

    frames = decode(clip)
    with monkeypatch.context() as patch:
        patch.setattr(cv2, 'VideoCapture', Careless)
        source = open_frames(clip)
        assert equal_in(source, frames, [30, 31, 25, 39, 2, 20])
    assert jumps == [29]  # noticed at the first one, and never tried again


def test_a_long_video_takes_no_more_memory_than_a_few_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'long.avi', 60, 96, 128)
    tracemalloc.start()
    try:
        source = open_frames(path)
        for at in range(60):
            frame = source[at]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert frame.nbytes < peak < 10 * frame.nbytes  # the lower bound: frames are counted at all
    assert len(source._cache) == 3


def test_names_count_from_zero_and_sort_as_the_frames(clip: Path) -> None:
    source = open_frames(clip)
    assert [source.name(0), source.name(12), source.name(-1)] == ['frame_000000', 'frame_000012', 'frame_000039']
    with pytest.raises(IndexError):
        source.name(40)


def test_the_digest_is_that_of_the_file(clip: Path, tmp_path: Path) -> None:
    (tmp_path / f'other{clip.suffix}').write_bytes(clip.read_bytes())
    (tmp_path / f'tail{clip.suffix}').write_bytes(clip.read_bytes() + b'\0')
    digests = [open_frames(path).digest() for path in (clip, tmp_path / f'other{clip.suffix}', tmp_path / f'tail{clip.suffix}')]
    assert digests[0] == digests[1] != digests[2]


def test_a_pickled_video_opens_its_own_file(clip: Path) -> None:
    frames, source = decode(clip), open_frames(clip)
    assert equal_in(source, frames, [20])
    assert equal_in(pickle.loads(pickle.dumps(source)), frames, [30, 3])
    assert equal_in(source, frames, [21])


def test_a_forked_worker_and_its_parent_do_not_disturb_one_another(clip: Path) -> None:
    frames, source = decode(clip), open_frames(clip)
    assert equal_in(source, frames, [5])  # the parent holds an open file now

    def work() -> None:
        assert equal_in(source, frames, [6, 30, 2])

    assert in_child(work) == 0
    assert equal_in(source, frames, [6, 31])


@pytest.mark.parametrize('promised, warned', [(3, False), (90, True)])
def test_a_container_that_lies_about_its_frames_is_counted(tmp_path: Path, promised: int, warned: bool) -> None:
    path = write_video(tmp_path / 'liar.avi', 20)
    data = bytearray(path.read_bytes())
    struct.pack_into('<I', data, 48, promised)  # dwTotalFrames of the main header
    struct.pack_into('<I', data, data.index(b'strh') + 40, promised)  # dwLength of the stream
    path.write_bytes(data)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == promised
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        source = open_frames(path)
    assert len(source) == 20 and np.array_equal(source[19], decode(path)[19])
    assert [str(warning.message).split(': ')[1] for warning in caught] == warned * [
        f'promises {promised} frames, 20 can be decoded; these are used']


def test_a_phone_video_is_turned_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'flat.mp4', 3)
    flat = list(open_frames(path))
    data = bytearray(path.read_bytes())
    matrix = (0, 1 << 16, 0, -1 << 16 & 0xffffffff, 0, 0, 48 << 16, 0, 1 << 30)  # a quarter turn clockwise
    struct.pack_into('>9I', data, data.index(b'tkhd') + 44, *matrix)
    (tmp_path / 'phone.mp4').write_bytes(data)
    source = open_frames(tmp_path / 'phone.mp4')
    assert source.size == (64, 48)
    assert all(np.array_equal(frame, np.rot90(upright, -1)) for frame, upright in zip(source, flat))


@pytest.mark.parametrize('share', [0.3, 0.9])
def test_a_cut_video_is_refused_with_the_number_of_frames_left(clip: Path, tmp_path: Path, share: float) -> None:
    data = clip.read_bytes()
    path = tmp_path / f'cut{clip.suffix}'
    path.write_bytes(data[:int(share * len(data))])
    left = len(decode(path))
    assert (left > 0) == (clip.suffix == '.avi')  # an mp4 keeps its index at the end
    with pytest.raises(InputError, match=rf'cut\{clip.suffix}: the video cannot be used \(truncated: its .* part ends at '
                       rf'byte \d+, the file at {int(share * len(data))}\), {left} frames can be decoded;'):
        open_frames(path)


@pytest.mark.parametrize('content', [b'', b'no video at all' * 99, bytes(5000)], ids=['empty', 'text', 'zeros'])
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.mp4').write_bytes(content)
    with pytest.raises(InputError, match=r'a\.mp4: the video cannot be used .*, 0 frames can be decoded;'):
        open_frames(tmp_path / 'a.mp4')


def test_a_video_of_one_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'one\.avi: .*too short.*1 frame can be decoded; motion needs at least 2'):
        open_frames(write_video(tmp_path / 'one.avi', 1))


def test_a_video_that_changes_under_the_reader_is_noticed(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.avi', 20)
    source = open_frames(path)
    write_video(path, 20, 48, 65)
    with pytest.raises(InputError, match=r'a\.avi: frame 3 is not what it was'):
        source[4]

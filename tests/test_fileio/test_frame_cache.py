"""A cache of decoded frames gives the frames of the video to the bit, within its limit, whatever interrupts it."""
from __future__ import annotations

import copy
import errno
import os
import pickle
import signal
from pathlib import Path
from typing import Iterable, List, Optional

import av
import numpy as np
import pytest
from helpers_fileio import encode_video, in_child, moving_texture, write_video
from test_video import CODECS, orders

from mmrefine.fileio import VideoFrames, open_frames, write_image
from mmrefine.fileio.video import frame_cache
from mmrefine.fileio.video.frame_cache import FrameCache, FrameSource, pack_frame, unpack_frame


def fail(text: str) -> None:
    raise AssertionError(text)


def cache_of(root: Path, *videos: FrameSource, max_bytes: float = 1e9, numbers: Optional[Iterable[int]] = None,
             fill: bool = True) -> FrameCache:
    """A cache of the frames of some videos."""
    cache = FrameCache(root, max_bytes)
    for video in videos:
        cache.add(video, range(len(video)) if numbers is None else numbers)
    cache.plan()
    if fill:
        cache.fill(fail)
    return cache


def files(root: Path) -> List[Path]:
    return sorted(path for path in root.rglob('*') if path.is_file())


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (3, 5), (17, 15), (48, 64), (63, 47), (33, 1023)])
@pytest.mark.parametrize('kind', ['noise', 'flat', 'smooth'])
def test_a_packed_frame_comes_back_to_the_bit(size, kind: str) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    if kind != 'noise':
        frame = np.zeros_like(frame) if kind == 'flat' else np.cumsum(frame % 3, axis=1).astype(np.uint8)
    data = pack_frame(frame)
    np.testing.assert_array_equal(unpack_frame(data, size), frame)
    assert unpack_frame(data, (size[0] + 1, size[1])) is None
    # upside down, transposed or sliced memory is the same frame
    np.testing.assert_array_equal(unpack_frame(pack_frame(frame[::-1, ::-1]), size), frame[::-1, ::-1])


def test_a_file_that_is_cut_or_changed_is_no_frame() -> None:
    frame = moving_texture(1)[0]
    data = pack_frame(frame)
    assert not any(unpack_frame(data[:cut], frame.shape[:2]) is not None for cut in (0, 3, 4, 5, 100, len(data) - 1))
    for at in range(0, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 1
        assert unpack_frame(bytes(changed), frame.shape[:2]) is None


@pytest.mark.parametrize('name', CODECS)
def test_frames_of_every_codec_are_the_same_to_the_bit_with_a_cache(
        tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, options = CODECS[name]
    if codec not in av.codecs_available:
        pytest.skip(f'this FFmpeg has no {codec}')
    path = encode_video(tmp_path / name, moving_texture(30), codec, dict(options))
    frames = list(open_frames(path))
    cached = cache_of(tmp_path / 'cache', open_frames(path)).wrap(open_frames(path))
    assert len(files(tmp_path / 'cache')) == 30
    monkeypatch.setattr(VideoFrames, '_load', lambda *args: pytest.fail('decoded the video'))
    assert len(cached) == 30 and cached.size == frames[0].shape[:2]
    for order in [list(range(30)), *orders(30)]:
        assert all(np.array_equal(cached[at], frames[at]) for at in order)


def test_a_cached_video_has_the_names_and_the_digest_of_the_video(clip: Path, tmp_path: Path) -> None:
    source = open_frames(clip)
    cached = cache_of(tmp_path, source).wrap(source)
    assert cached.digest() == source.digest()
    assert [cached.name(at) for at in (0, 7, -1)] == [source.name(at) for at in (0, 7, -1)]
    with pytest.raises(IndexError):
        cached[40]


@pytest.mark.parametrize('share', [0., 0.01, 0.3, 0.999, 1.])
def test_the_files_never_take_more_than_the_limit(clip: Path, tmp_path: Path, share: float) -> None:
    source = open_frames(clip)
    cache_of(tmp_path / 'all', source)
    whole = sum(path.stat().st_size for path in files(tmp_path / 'all'))
    limit = share * whole
    cache = FrameCache(tmp_path / 'part', limit)
    cache.add(source, range(40))
    plan = cache.plan()
    count, size = cache.fill(fail)
    found = files(tmp_path / 'part')
    assert (count, size) == (len(found), sum(path.stat().st_size for path in found))
    assert size <= limit and plan.size <= plan.limit == limit and plan.wanted == 40
    assert abs(len(found) - 40 * share) <= 3  # the sizes of frames differ by a few percent
    cached, frames = cache.wrap(open_frames(clip)), list(source)
    assert all(np.array_equal(cached[at], frames[at]) for order in orders(40) for at in order)


def test_what_does_not_fit_is_what_is_decoded_fastest(tmp_path: Path) -> None:
    source = open_frames(encode_video(tmp_path / 'a.mp4', moving_texture(36), 'libx264', {'x264-params': 'bframes=0'}))
    assert [source.distance(at) for at in range(36)] == 3 * list(range(12))  # a key frame each 12
    cache = cache_of(tmp_path / 'all', source)
    whole = cache.fill(fail)[1]
    cache_of(tmp_path / 'half', source, max_bytes=whole / 2)
    kept = [int(path.stem[-6:]) % 12 for path in files(tmp_path / 'half')]
    assert 14 <= len(kept) <= 18 and min(kept) >= 6


def test_a_lower_limit_removes_frames_and_a_higher_one_adds_them(clip: Path, tmp_path: Path) -> None:
    source = open_frames(clip)
    whole = cache_of(tmp_path, source).fill(fail)[1]
    counts = []
    for share in (0.4, 0.7, 0.):
        cache_of(tmp_path, source, max_bytes=share * whole)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= share * whole
        counts.append(len(files(tmp_path)))
    assert 0 == counts[2] < counts[0] < counts[1] < 40


def test_a_lower_limit_holds_even_if_the_estimate_is_far_off(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8))
    flat = [np.full((48, 64, 3), 9, np.uint8)] * 2
    source = open_frames(encode_video(tmp_path / 'a.avi', [*noise[:6], *flat, *noise[6:]], 'rawvideo',
                                      {'pix_fmt': 'bgr24'}))
    whole = cache_of(tmp_path / 'cache', source).fill(fail)[1]
    assert whole > 1.5 * 14 * files(tmp_path / 'cache')[7].stat().st_size  # the one in the middle is small
    for share in (0.8, 0.3):
        cache_of(tmp_path / 'cache', source, max_bytes=share * whole)
        assert 0 < sum(path.stat().st_size for path in files(tmp_path / 'cache')) <= share * whole


def test_folders_of_pictures_are_left_alone(tmp_path: Path) -> None:
    for at, frame in enumerate(moving_texture(3)):
        write_image(tmp_path / 'pictures' / f'{at}.png', frame)
    source = open_frames(tmp_path / 'pictures')
    cache = cache_of(tmp_path / 'cache', source)
    assert cache.plan().wanted == 0 and cache.wrap(source) is source and not (tmp_path / 'cache').exists()


def test_a_video_that_is_read_out_of_a_cache_may_be_added_again(clip: Path, tmp_path: Path) -> None:
    cached = cache_of(tmp_path, open_frames(clip)).wrap(open_frames(clip))
    cache = cache_of(tmp_path, cached)
    assert cache.plan().wanted == 40 and cache.wrap(cached) is cached


def test_only_the_frames_that_are_asked_for_are_kept_and_others_still_come(clip: Path, tmp_path: Path) -> None:
    source, frames = open_frames(clip), list(open_frames(clip))
    cache = cache_of(tmp_path, source, numbers=[3, 4, 30])
    assert [path.stem for path in files(tmp_path)] == ['frame_000003', 'frame_000004', 'frame_000030']
    cached = cache.wrap(source)
    assert all(np.array_equal(cached[at], frames[at]) for at in range(40))


def test_another_video_of_the_same_name_is_never_taken_and_its_files_go(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.avi', 20)
    cache_of(tmp_path / 'cache', open_frames(path))
    before = files(tmp_path / 'cache')
    encode_video(tmp_path / 'b.avi', moving_texture(20)[::-1], 'mjpeg', {'pix_fmt': 'yuvj420p'})
    os.replace(tmp_path / 'b.avi', path)
    frames = list(open_frames(path))
    cached = cache_of(tmp_path / 'cache', open_frames(path), fill=False).wrap(open_frames(path))
    assert all(np.array_equal(one, two) for one, two in zip(cached, frames))
    cache_of(tmp_path / 'cache', open_frames(path))
    assert len(files(tmp_path / 'cache')) == 20 and not {*before} & {*files(tmp_path / 'cache')}
    assert len(list((tmp_path / 'cache').iterdir())) == 1


def test_two_copies_of_a_video_share_their_frames(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / f'other{clip.suffix}'
    other.write_bytes(clip.read_bytes())
    cache = FrameCache(tmp_path / 'cache', 1e9)
    for path, numbers in ((clip, [1, 2]), (other, [2, 3])):
        cache.add(open_frames(path), numbers)
    assert cache.plan().wanted == 3 and cache.fill(fail)[0] == 3
    assert all(type(cache.wrap(open_frames(path))).__name__ == 'CachedFrames' for path in (clip, other))


def test_a_killed_writer_leaves_whole_frames_only_and_the_next_one_goes_on(clip: Path, tmp_path: Path) -> None:
    source, frames = open_frames(clip), list(open_frames(clip))

    def dying() -> None:
        true, left = os.replace, [7]

        def deadly(*args: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            true(*args)  # type: ignore[arg-type]

        os.replace = deadly  # type: ignore[assignment]
        cache_of(tmp_path, source)

    assert in_child(dying) == -signal.SIGKILL
    whole = [path for path in files(tmp_path) if not path.name.startswith('.')]
    assert len(whole) == 7 and len(files(tmp_path)) == 8  # and one that never got its name
    for path in whole:
        assert np.array_equal(unpack_frame(path.read_bytes(), (48, 64)), frames[int(path.stem[-6:])])
    stamps = {path: path.stat().st_mtime_ns for path in whole}
    cache_of(tmp_path, source)
    assert len(files(tmp_path)) == 40 and all(path.stat().st_mtime_ns == stamps[path] for path in whole)


def test_a_damaged_file_is_not_a_frame_and_the_video_is_decoded(clip: Path, tmp_path: Path) -> None:
    source, frames = open_frames(clip), list(open_frames(clip))
    cached = cache_of(tmp_path, source).wrap(source)
    for path, size in zip(files(tmp_path), (0, 3, 100, 1000)):
        path.write_bytes(path.read_bytes()[:size])
    assert all(np.array_equal(one, two) for one, two in zip(cached, frames))


def test_a_damaged_file_does_not_spoil_the_estimate(clip: Path, tmp_path: Path) -> None:
    source = open_frames(clip)
    whole = cache_of(tmp_path, source).fill(fail)[1]
    for path in files(tmp_path):
        path.write_bytes(b'')
    cache = FrameCache(tmp_path, whole / 2)
    cache.add(source, range(40))
    assert abs(cache.plan().chosen - 20) <= 3


def test_a_full_disk_is_a_warning_and_the_frames_still_come(
        clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, left, said = frame_cache.write_bytes, [5], []

    def write(path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, 'No space left on device')
        true(path, data)

    monkeypatch.setattr(frame_cache, 'write_bytes', write)
    source, frames = open_frames(clip), list(open_frames(clip))
    cache = cache_of(tmp_path, source, fill=False)
    assert cache.fill(said.append) == (0, 0) and not files(tmp_path)  # checkpoints need the room more
    assert len(said) == 1 and 'the disk is full, so the decoded frames were removed again' in said[0]
    assert all(np.array_equal(one, two) for one, two in zip(cache.wrap(source), frames))


def test_a_cache_takes_at_most_half_of_the_free_disk(
        clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_frames(clip)
    whole = cache_of(tmp_path / 'all', source).fill(fail)[1]
    monkeypatch.setattr(frame_cache.shutil, 'disk_usage', lambda path: type('Usage', (), dict(free=whole)))
    cache = cache_of(tmp_path / 'part', source)
    assert sum(path.stat().st_size for path in files(tmp_path / 'part')) <= whole / 2
    assert cache.plan().limit <= whole


def test_removing_takes_the_files_of_the_cache_and_no_others(clip: Path, tmp_path: Path) -> None:
    cache = cache_of(tmp_path / 'cache', open_frames(clip))
    cache.remove()
    assert not (tmp_path / 'cache').exists()
    cache_of(tmp_path / 'cache', open_frames(clip))
    (tmp_path / 'cache' / 'mine.txt').write_text('kept')
    cache.remove()
    assert files(tmp_path) == [tmp_path / 'cache' / 'mine.txt']
    cache.remove()  # once more


def test_processes_read_one_cache_while_another_fills_and_removes_it(clip: Path, tmp_path: Path) -> None:
    source, frames = open_frames(clip), list(open_frames(clip))
    cached = cache_of(tmp_path, source, fill=False).wrap(source)
    assert np.array_equal(cached[5], frames[5])  # the parent holds an open video

    def read() -> None:
        for _ in range(3):
            assert all(np.array_equal(cached[at], frames[at]) for order in orders(40) for at in order)

    def write() -> None:
        for _ in range(3):
            cache_of(tmp_path, source).remove()

    children = []
    for work in (read, read, write):
        pid = os.fork()
        if pid == 0:
            os._exit(in_child(work))
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]


def test_a_copy_for_a_worker_has_neither_frames_nor_open_files(clip: Path, tmp_path: Path) -> None:
    source, frames = open_frames(clip), list(open_frames(clip))
    cached = cache_of(tmp_path, source, numbers=[1]).wrap(source)
    assert np.array_equal(cached[20], frames[20])  # decoded
    for other in (copy.copy(cached), pickle.loads(pickle.dumps(cached))):
        assert not other._cache and other.source._stream is None
        assert all(np.array_equal(other[at], frames[at]) for at in (30, 1, 3))
    assert np.array_equal(cached[21], frames[21])

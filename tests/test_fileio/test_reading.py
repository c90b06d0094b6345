"""Some frames of a scene, at another size, are those frames in any order; TIFFs of several pages are videos."""
from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path
from typing import Any, List

import cv2
import numpy as np
import pytest
from helpers_fileio import encode_video, moving_texture, texture

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import FrameCache, Reading, check_frames, list_scenes, open_frames, write_image


@pytest.fixture(scope='module')
def video(tmp_path_factory) -> Path:
    """30 frames at 10 a second, a key frame each 12."""
    return encode_video(tmp_path_factory.mktemp('video') / 'a.mkv', moving_texture(30), 'libx264', {})


def numbers(source: Any) -> List[int]:
    return [int(source.name(at).rpartition('_')[2]) for at in range(len(source))]


@pytest.mark.parametrize('values, wanted', [
    (dict(start='5f'), range(5, 30)),
    (dict(start=0.5, end='1.2'), range(5, 12)),  # the end is exclusive
    (dict(start='0:01', end='0:00:02.5'), range(10, 25)),
    (dict(start=0.41), range(5, 30)),  # the first frame at or after the moment
    (dict(stride=7), [0, 7, 14, 21, 28]),
    (dict(start='3f', end='99f', stride=4, max_frames=3), [3, 7, 11]),
])
def test_the_chosen_frames_are_those_of_the_whole_video_in_any_order(video: Path, values: dict, wanted: Any) -> None:
    whole, chosen = open_frames(video), open_frames(video, reading=Reading(**values))
    assert numbers(chosen) == list(wanted)
    for at in (*reversed(range(len(chosen))), *range(len(chosen))):
        assert np.array_equal(chosen[at], whole[wanted[at]])
    check = check_frames(video, reading=Reading(**values))
    assert check.frames == len(wanted) and check.times == pytest.approx([number / 10 for number in wanted])


def test_pictures_are_chosen_by_number_and_gaps_stay_gaps(tmp_path: Path) -> None:
    for at in (1, 2, 3, 4, 5, 6, 60, 61, 62, 63):
        write_image(tmp_path / f'{at}.png', texture(16, 24, at))
    reading = Reading(start='1f', stride=2)
    source, check = open_frames(tmp_path, reading=reading), check_frames(tmp_path, reading=reading)
    assert [source.name(at) for at in range(len(source))] == ['2', '4', '6', '61', '63']
    assert list(check.gaps) == [3] and check.frames == 5
    assert np.array_equal(source[3], texture(16, 24, 61))
    with pytest.raises(ConfigError, match='start=1.5: pictures have no times; give the number of a frame'):
        open_frames(tmp_path, reading=Reading(start=1.5))


def test_what_is_broken_outside_the_choice_does_not_matter(tmp_path: Path) -> None:
    for at in range(6):
        write_image(tmp_path / f'{at}.png', texture(16, 24, at))
    (tmp_path / '0.png').write_bytes(b'x')
    reading = Reading(start='1f')
    assert not check_frames(tmp_path, reading=reading).corrupt and len(open_frames(tmp_path, reading=reading)) == 5
    check = check_frames(tmp_path, reading=Reading(end='4f'))
    assert [(frame.number, frame.name) for frame in check.corrupt] == [(0, '0')]


def test_a_resized_frame_is_the_mean_of_the_area_it_covers(tmp_path: Path) -> None:
    for at in range(2):
        write_image(tmp_path / f'{at}.png', texture(64, 96, at))
    source = open_frames(tmp_path, reading=Reading(resize=(32, 48)))
    assert source.size == (32, 48) == check_frames(tmp_path, reading=Reading(resize=(32, 48))).size
    mean = texture(64, 96, 1).reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(source[1] - mean).max() <= 0.5
    assert source.digest() != open_frames(tmp_path).digest()
    assert np.array_equal(pickle.loads(pickle.dumps(source))[1], source[1])


def test_chosen_frames_come_out_of_the_cache_equal(video: Path, tmp_path: Path) -> None:
    source = open_frames(video, reading=Reading(stride=3, resize=(24, 32)))
    cache = FrameCache(tmp_path / 'cache', 1e8)
    cache.add(source, range(len(source)))
    assert cache.plan().wanted == 10 and cache.fill(print)[0] == 10
    cached = cache.wrap(source)
    assert {path.stem for path in (tmp_path / 'cache').glob('*/*')} == {f'frame_{at:06d}' for at in range(0, 30, 3)}
    assert all(np.array_equal(cached[at], source[at]) for at in (9, 0, 5)) and len(cached) == 10


@pytest.mark.parametrize('values, message', [
    (dict(start='later'), "start must be seconds such as 90 or 90.5, h:mm:ss such as 0:01:30, .* got 'later'"),
    (dict(end=-1), 'end must be seconds .* got -1'),
    (dict(stride=0), 'stride must be a whole number, at least 1, got 0'),
    (dict(max_frames=1), 'max_frames must be a whole number, at least 2, got 1'),
    *((dict(resize=size), r'resize must be \(height, width\) in px, each from 16 to 65535, and at most 268435456 '
       f'pixels in all, got {re.escape(str(size))}')
      for size in [(8, 64), 64, (16, 1000000), (30000, 30000), (64, True), ('64', '64')]),
    (dict(range=(9, 9)), r'range must be two grey levels, the lower one first, got \(9, 9\)'),
    (dict(range=(0, float('nan'))), 'range must be two grey levels'),
    (dict(size=3), "reading has no key 'size'; it has start, end, stride"),
])
def test_an_invalid_choice_is_refused_by_name(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Reading.of(values)


def test_a_choice_that_leaves_no_motion_is_refused_with_what_it_leaves(video: Path) -> None:
    with pytest.raises(ConfigError, match='start=29f leaves 1 of 30 frames'):
        open_frames(video, reading=Reading(start='29f'))
    with pytest.raises(ConfigError, match='start=9, end=5 leaves 0 of 30'):
        check_frames(video, reading=Reading(start=9, end=5))


def test_pages_that_are_read_on_are_the_same_as_any_others_and_come_in_few_reads(tmp_path: Path, monkeypatch) -> None:
    frames = [np.random.default_rng(number).integers(0, 256, (8, 9, 3), dtype=np.uint8) for number in range(70)]
    ok, data = cv2.imencodemulti('.tif', frames)
    (tmp_path / 'cells.tif').write_bytes(data.tobytes())
    wanted = [frame[..., ::-1] for frame in frames]
    reads = []

    def read(*args, plain=cv2.imreadmulti, **values):
        reads.append(values['count'])
        return plain(*args, **values)

    source = open_frames(tmp_path / 'cells.tif')
    monkeypatch.setattr(cv2, 'imreadmulti', read)
    assert all(np.array_equal(source[number], frame) for number, frame in enumerate(wanted))
    assert len(reads) < 7 and max(reads) == 32
    reads.clear()
    for number in (3, 50, 7, 69, 8):
        assert np.array_equal(source[number], wanted[number])
    assert set(reads) == {1}
    copied = pickle.loads(pickle.dumps(source))
    assert np.array_equal(copied[9], wanted[9]) and len(pickle.dumps(source)) < 20_000


def test_the_pages_of_a_tiff_are_frames_by_one_scale(tmp_path: Path) -> None:
    frames = [frame[..., 0] for frame in moving_texture(5)]
    low, high = int(np.min(frames)), int(np.max(frames))
    ok, data = cv2.imencodemulti('.tif', [frame.astype(np.uint16) * 16 + 512 for frame in frames])
    (tmp_path / 'cells.tif').write_bytes(data.tobytes())
    assert list_scenes(tmp_path) == {'cells': tmp_path / 'cells.tif'}
    source = open_frames(tmp_path / 'cells.tif')
    assert numbers(source) == [0, 1, 2, 3, 4] and source.size == frames[0].shape
    for at in (3, 0, 4):
        wanted = np.rint((frames[at].astype(float) - low) * 255 / (high - low))
        assert np.array_equal(source[at], wanted[..., None].repeat(3, axis=2))
    check = check_frames(tmp_path / 'cells.tif')
    assert check.frames == 5 and check.levels == (16 * low + 512, 16 * high + 512)
    (tmp_path / 'cells.tif').write_bytes(data.tobytes()[:-500])
    with pytest.raises(InputError, match='cells.tif'):
        open_frames(tmp_path / 'cells.tif')


def test_a_tiff_of_coloured_pages_keeps_its_colours(tmp_path: Path) -> None:
    frames = moving_texture(3)
    ok, data = cv2.imencodemulti('.tif', [frame[..., ::-1] for frame in frames])
    (tmp_path / 'a.tiff').write_bytes(data.tobytes())
    assert all(np.array_equal(one, two) for one, two in zip(open_frames(tmp_path / 'a.tiff'), frames))


def test_a_thumbnail_in_a_tiff_is_no_frame(tmp_path: Path) -> None:
    """A TIFF with a second, smaller page is a picture; the tag NewSubfileType (254) of 1 says that it is a copy."""
    pages = [texture(24, 32), texture(6, 8)]
    for at in range(2):
        data = bytearray(cv2.imencodemulti('.tif', pages)[1].tobytes())
        place, = struct.unpack_from('<I', data, 4)
        count, = struct.unpack_from('<H', data, place)
        second, = struct.unpack_from('<I', data, place + 2 + 12 * count)
        entries, = struct.unpack_from('<H', data, second)
        tags = {struct.unpack_from('<H', data, second + 2 + 12 * entry)[0]: second + 2 + 12 * entry
                for entry in range(entries)}
        struct.pack_into('<I', data, tags[254] + 8, 1)
        (tmp_path / f'{at}.tif').write_bytes(data)
    assert list_scenes(tmp_path) == {tmp_path.name: tmp_path}
    assert np.array_equal(open_frames(tmp_path)[0], pages[0][..., ::-1])

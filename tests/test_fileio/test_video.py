"""Videos give the same frames in any order, and say when they cannot."""
from __future__ import annotations

import os
import pickle
import random
import struct
import tracemalloc
import warnings
from pathlib import Path
from typing import Iterator, List, Optional

import av
import cv2
import numpy as np
import pytest
from helpers_fileio import encode_video, in_child, moving_texture, write_video

from mmrefine.errors import InputError
from mmrefine.fileio import VideoFrames, check_frames, open_frames
from mmrefine.fileio.video.stream import Decoded, VideoStream


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


@pytest.mark.parametrize('error', [-2, -1, 1, 5, 30])
def test_a_jump_that_lands_beside_its_target_still_gives_the_frame(
        clip: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    frames, source = decode(clip), open_frames(clip)
    stamps, true_seek, jumps = source.index.stamps, VideoStream.seek, []

    def seek(stream: VideoStream, timestamp: int) -> None:
        jumps.append(timestamp)
        true_seek(stream, timestamp + error * (stamps[1] - stamps[0]))

    monkeypatch.setattr(VideoStream, 'seek', seek)
    assert equal_in(source, frames, [30, 31, 25, 39, 2, 20]) and jumps


@pytest.mark.parametrize('error', [30, 70, 130])
def test_a_jump_that_lands_late_is_made_again_from_further_ahead_and_not_from_the_start(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    # a key frame each 12
    source = open_frames(encode_video(tmp_path / 'a.mp4', moving_texture(360), 'libx264', {'x264-params': 'bframes=0'}))
    frames, stamps, true_seek, decoded, starts = list(source), source.index.stamps, VideoStream.seek, [], []
    true_decoded, true_jump = VideoStream._decoded, VideoFrames._jump

    def seek(stream: VideoStream, timestamp: int) -> None:
        true_seek(stream, timestamp + error * (stamps[1] - stamps[0]))

    def counted(stream: VideoStream, after_seek: bool) -> Iterator[av.VideoFrame]:
        for frame in true_decoded(stream, after_seek):
            decoded.append(frame.pts)
            yield frame

    def jump(video: VideoFrames, index: int, ahead: Optional[int]) -> bool:
        starts.append(ahead)
        return true_jump(video, index, ahead)

    monkeypatch.setattr(VideoStream, 'seek', seek)
    monkeypatch.setattr(VideoStream, '_decoded', counted)
    monkeypatch.setattr(VideoFrames, '_jump', jump)
    order = [350, 5, 340, 310, 355, 6, 320, 345]  # 5 and 6 come from the start of the file alone
    assert equal_in(open_frames(source.path), frames, order)
    assert None not in starts and len(decoded) < sum(order) / 3


def test_a_frame_that_only_the_start_of_the_file_gives_says_nothing_about_the_next_one(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_frames(encode_video(tmp_path / 'a.mp4', moving_texture(360), 'libx264', {'x264-params': 'bframes=0'}))
    frames, stamps, true_frames, starts = list(source), source.index.stamps, VideoStream.frames, []
    true_jump = VideoFrames._jump

    def hiding(stream: VideoStream, deinterlace: bool, after_seek: bool) -> Iterator[Decoded]:
        return (one for one in true_frames(stream, deinterlace, after_seek)
                if not after_seek or one.raw.pts != stamps[300])

    def jump(video: VideoFrames, index: int, ahead: Optional[int]) -> bool:
        starts.append((index, ahead))
        return true_jump(video, index, ahead)

    monkeypatch.setattr(VideoStream, 'frames', hiding)
    monkeypatch.setattr(VideoFrames, '_jump', jump)
    assert equal_in(open_frames(source.path), frames, [300, 350, 100])
    assert starts[-3:] == [(300, None), (350, 0), (100, 0)]


def test_a_frame_that_comes_out_otherwise_after_a_jump_is_read_from_further_ahead(
        clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, source = decode(clip), open_frames(clip)
    true_frames = VideoStream.frames

    def careless(stream: VideoStream, deinterlace: bool, after_seek: bool) -> Iterator[Decoded]:
        for decoded in true_frames(stream, deinterlace, after_seek):
            if after_seek:  # every frame right after a jump is the one before
                neighbour = next(iter(true_frames(VideoStream(clip), False, False)))
                neighbour.raw.pts = decoded.raw.pts
                decoded = neighbour
            yield decoded

    monkeypatch.setattr(VideoStream, 'frames', careless)
    assert equal_in(source, frames, [30, 31, 25, 39, 2, 20])


def test_reading_in_order_never_jumps(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoStream, 'seek', lambda *args: pytest.fail('jumped'))
    assert equal_in(open_frames(clip), decode(clip), list(range(40)))


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
    copies = [tmp_path / f'{name}{clip.suffix}' for name in ('other', 'tail')]
    digests = [open_frames(path).digest() for path in (clip, *copies)]
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
        f'should have {promised} frames, 20 can be decoded; these are used']


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
    with pytest.raises(InputError,
                       match=rf'cut\{clip.suffix}: the video cannot be used \(truncated: .*\), {left} frames '
                       'can be decoded;'):
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
    with pytest.raises(InputError, match=r'a\.avi: frame 4 is not what it was'):
        source[4]


# container, encoder, its options: key frames each 12; frames in another order than shown, half pictures, 10 bits, no
# timestamps (B-frames in AVI), jumps that land late (transport streams), frames that refer to what is before their key
# frame (open GOP)
CODECS = {
    'h264.mp4': ('libx264', {}), 'h264.mkv': ('libx264', {}), 'h264.ts': ('libx264', {}), 'h264.flv': ('libx264', {}),
    'unstamped.avi': ('libx264', {}), 'open.ts': ('libx264', {'x264-params': 'open-gop=1:keyint=12:bframes=3'}),
    'refresh.mp4': ('libx264', {'x264-params': 'intra-refresh=1:keyint=12'}), 'vp9.webm': ('libvpx-vp9', {}),
    'mpeg2.mpg': ('mpeg2video', {}),
    'av1.mp4': ('libsvtav1', {'svtav1-params': 'lp=1'}), 'ten.mkv': ('libx264', {'pix_fmt': 'yuv420p10le'}),
    'raw.avi': ('rawvideo', {'pix_fmt': 'bgr24'}), 'fields.ts': ('libx264', {'x264-params': 'interlaced=1:tff=1'}),
    'fields.mpg': ('mpeg2video', {'flags': '+ilme+ildct', 'field_order': 'tt'}),
}


@pytest.mark.parametrize('name', CODECS)
def test_every_container_and_codec_gives_the_frames_in_any_order_and_the_colours_that_went_in(
        tmp_path: Path, name: str) -> None:
    codec, options = CODECS[name]
    if codec not in av.codecs_available:
        pytest.skip(f'this FFmpeg has no {codec}')
    frames = moving_texture(30)
    source = open_frames(encode_video(tmp_path / name, frames, codec, dict(options)))
    assert len(source) == 30 and source.size == frames[0].shape[:2]
    assert source.index.interlaced == name.startswith('fields')
    read = list(source)
    rows = slice(None, None, 2) if source.index.interlaced else slice(None)  # the lines that deinterlacing keeps
    assert max(np.abs(one[rows].astype(int) - two[rows]).mean() for one, two in zip(read, frames)) < 4
    for order in orders(30):
        assert equal_in(open_frames(source.path), read, order)
    assert not check_frames(source.path).corrupt


def test_colours_are_those_of_the_flagged_matrix_and_range(tmp_path: Path) -> None:
    levels = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128), (250, 250, 10)]
    frames = [np.tile(np.uint8(level), (48, 64, 1)) for level in levels]
    for matrix, full_range in ((1, False), (5, False), (1, True), (5, True)):
        path = encode_video(tmp_path / f'{matrix}{full_range}.mp4', frames, 'libx264', {'crf': '1'}, matrix, full_range)
        read = [frame.reshape(-1, 3).mean(0) for frame in open_frames(path)]
        assert np.abs(np.array(read) - levels).max() < 3.5


def test_what_was_filmed_between_lines_is_filled_in_and_the_rest_left_alone(tmp_path: Path) -> None:
    frames = moving_texture(24)
    woven = [frame.copy() for frame in frames[::2]]
    for at, frame in enumerate(woven):
        frame[1::2] = frames[2 * at + 1][1::2]  # the second half picture is a moment later
    options = {'crf': '1', 'x264-params': 'interlaced=1:tff=1'}
    source = open_frames(encode_video(tmp_path / 'fields.mp4', woven, 'libx264', options))
    assert check_frames(source.path).interlaced and len(source) == 12

    def combing(frame: np.ndarray) -> float:
        """How far a line is from the mean of its neighbours."""
        grey = frame.astype(float).mean(-1)
        return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())

    for at in range(1, 11):
        assert combing(source[at]) < 0.6 * combing(woven[at])
        assert np.abs(source[at][::2].astype(int) - woven[at][::2]).mean() < 3


def test_frames_of_a_variable_rate_keep_their_times_and_none_is_invented(tmp_path: Path) -> None:
    frames, times = moving_texture(6), [0, 1, 5, 6, 20, 21]
    path = encode_video(tmp_path / 'a.mkv', frames, 'libx264', {}, times=times)
    check = check_frames(path)
    assert check.frames == 6 and check.times == pytest.approx([t / 10 for t in times], abs=1e-3)
    assert all(np.abs(one.astype(int) - two).mean() < 4 for one, two in zip(open_frames(path), frames))


def test_a_file_with_sound_only_is_said_to_have_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / 'song.mp4'), 'w') as container:
        stream = container.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r'song\.mp4: holds no video stream, only audio; name a video'):
        open_frames(tmp_path / 'song.mp4')


def test_a_playlist_in_the_clothes_of_a_video_opens_no_other_file(clip: Path, tmp_path: Path) -> None:
    (tmp_path / 'a.mp4').write_text(f'#EXTM3U\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n')
    with pytest.raises(InputError, match='0 frames can be decoded'):
        open_frames(tmp_path / 'a.mp4')


@pytest.mark.parametrize('name', [b'12:30.mp4', b'\xff\xfe.mp4', b'a %03d.mp4'])
def test_any_file_name_will_do(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(write_video(tmp_path / 'plain.mp4', 5).read_bytes())
    assert len(open_frames(path)) == 5

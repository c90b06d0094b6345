"""Every corrupt frame is found and named, and no sound one."""
from __future__ import annotations

from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers_fileio import encode_video, moving_texture, write_video

from mmrefine.datasets import FramePairs
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import CorruptFrame, check_frames, name_ranges, open_frames, write_image
from mmrefine.fileio.video.writer import write_video as write
from mmrefine.labeling import FlowLabeler

KEY_EVERY = 12  # frames, of OpenCV's MPEG-4 writer


def folder_of(path: Path, count: int = 5) -> Path:
    for i in range(count):
        write_image(path / f'f{i}.png', np.random.default_rng(i).integers(0, 255, (24, 32, 3), dtype=np.uint8))
    return path


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def textured_video(path: Path, code: str, count: int = 30) -> Path:
    """A video that moves 3 px a frame."""
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    base = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, (320, 240))
    for t in range(count):
        writer.write(np.roll(base, 3 * t, axis=1))
    writer.release()
    return path


def spoil(path: Path, size: int = 400) -> Path:
    """Wipe out some bytes in the middle of a video."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2:len(data) // 2 + size] = bytes(size)
    path.write_bytes(data)
    return path


def test_sound_frames_are_counted_and_none_is_named(tmp_path: Path) -> None:
    seen = []
    check = check_frames(folder_of(tmp_path / 'folder'), seen.append)
    assert (check.frames, check.corrupt, check.times, check.rate) == (5, [], [], None) and seen == [1, 2, 3, 4, 5]
    check = check_frames(write_video(tmp_path / 'clip.avi', 7))
    assert check.frames == len(check.times) == 7 and not check.corrupt and check.rate > 0
    assert check.times == pytest.approx([i / check.rate for i in range(7)], abs=2e-3)


def test_broken_pictures_are_named_with_number_and_reason(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'folder', 12)
    cut(folder / 'f3.png')
    (folder / 'f10.png').write_bytes(b'')
    found = check_frames(folder).corrupt
    assert [(frame.number, frame.name) for frame in found] == [(3, 'f3'), (10, 'f10')]
    assert 'truncated: the PNG stops' in found[0].reason
    assert 'empty' in found[1].reason and str(folder) not in found[1].reason


def test_the_reason_of_a_broken_picture_holds_no_part_of_its_path(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'my (copy) a')
    cut(folder / 'f2.png')
    (found, ) = check_frames(folder).corrupt
    assert 'copy' not in found.reason and '.png' not in found.reason and found.reason


def test_every_frame_of_motion_jpeg_stands_for_itself(tmp_path: Path) -> None:
    check = check_frames(spoil(textured_video(tmp_path / 'a.avi', 'MJPG')))
    assert check.frames == 30 and len(check.corrupt) == 1
    assert check.corrupt[0].name == f'frame_{check.corrupt[0].number:06d}' and 10 <= check.corrupt[0].number <= 20


def test_what_is_predicted_from_a_damaged_frame_is_named_up_to_the_next_key_frame(tmp_path: Path) -> None:
    video = textured_video(tmp_path / 'a.mp4', 'mp4v')
    sound = [open_frames(video)[i] for i in range(30)]
    spoil(video)
    source = open_frames(video)
    differs = {i for i in range(30) if not np.array_equal(source[i], sound[i])}
    check = check_frames(video)
    numbers = [frame.number for frame in check.corrupt]
    assert differs and set(numbers) >= differs  # the oracle: what came out otherwise than it went in
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) and (numbers[-1] + 1) % KEY_EVERY == 0
    assert check.corrupt[0].reason != check.corrupt[-1].reason == 'predicted from a damaged frame'


def test_a_damaged_frame_is_mended_the_same_way_every_time(tmp_path: Path) -> None:
    video = spoil(textured_video(tmp_path / 'a.mp4', 'mp4v'))
    frames = [open_frames(video)[i] for i in range(30)]
    for _ in range(5):
        source = open_frames(video)
        assert all(np.array_equal(source[i], frames[i]) for i in range(30))


@pytest.mark.parametrize('name', ['a.mp4', 'a.ts', 'a.mkv'])
def test_what_was_predicted_from_damage_is_named_also_where_frames_are_stored_in_another_order(
        tmp_path: Path, name: str) -> None:
    video = encode_video(tmp_path / name, moving_texture(60, 240, 320), 'libx264', {'bf': '2'})
    sound = dict(zip(check_frames(video).times, open_frames(video)))
    data = bytearray(video.read_bytes())
    data[len(data) // 2:len(data) // 2 + 1200] = np.random.default_rng(0).bytes(1200)
    video.write_bytes(data)
    check, source = check_frames(video), open_frames(video)
    lost = {number for number, checksum in enumerate(source.index.checksums) if checksum is None}
    named = {frame.number for frame in check.corrupt}
    differs = {number for number, time in enumerate(check.times)
               if number not in lost and not np.array_equal(source[number], sound[time])}
    assert differs and differs | lost <= named and len(named) <= 24


def test_a_frame_that_cannot_be_decoded_keeps_its_number_and_is_named(tmp_path: Path) -> None:
    if 'libsvtav1' not in av.codecs_available:
        pytest.skip('this FFmpeg has no libsvtav1')
    video = encode_video(tmp_path / 'a.mp4', moving_texture(36, 96, 128), 'libsvtav1', {'svtav1-params': 'lp=1'})
    sound = list(open_frames(video))
    data = bytearray(video.read_bytes())
    second_key = [packet for packet in packets_of(video) if packet.is_keyframe][1]
    data[second_key.pos:second_key.pos + second_key.size] = bytes(second_key.size)
    video.write_bytes(data)
    check, source = check_frames(video), open_frames(video)
    lost = [frame.number for frame in check.corrupt]
    assert check.frames == len(source) == 36 and lost and check.corrupt[0].name == f'frame_{lost[0]:06d}'
    for number in range(36):
        if number not in lost:
            assert np.array_equal(source[number], sound[number])
    with pytest.raises(InputError, match=rf'a.mp4: frame {lost[0]} \(frame_{lost[0]:06d}\) cannot be decoded'):
        source[lost[0]]


def packets_of(video: Path) -> list:
    with av.open(str(video)) as container:
        return list(container.demux(video=0))


def test_a_list_of_names_is_short_and_says_how_many_more(tmp_path: Path) -> None:
    frames = [CorruptFrame(i, f'f{i}', 'cut') for i in (2, 5, 6, 7, 9, 11)]
    assert name_ranges(frames, 2) == 'f2 (number 2: cut), f5 to f7 (numbers 5 to 7: cut) and 2 more'
    assert name_ranges(frames[:1]) == 'f2 (number 2: cut)'


def test_nothing_to_see_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'folder', 3)
    for i in (0, 2):
        cut(folder / f'f{i}.png')
    with pytest.raises(InputError, match=r'folder: 2 of 3 frames are corrupt \(f0: truncated.*at least 2 good ones'):
        check_frames(folder)
    with pytest.raises(InputError, match='none.mp4: there is no such file'):
        check_frames(tmp_path / 'none.mp4')
    with pytest.raises(InputError, match='one: holds 1 frame, and motion needs at least 2; add the others'):
        check_frames(folder_of(tmp_path / 'one', 1))


@pytest.mark.parametrize('content, '
                         'found', [(b'', 'the file is empty'), (b'no video' * 100, 'damaged, or of an unknown kind')])
def test_what_is_no_video_is_refused_as_such(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / 'a.mp4').write_bytes(content)
    with pytest.raises(InputError, match=rf'a.mp4: the video cannot be used \({found}\), 0 frames .*copy it again$'):
        check_frames(tmp_path / 'a.mp4')


@pytest.mark.parametrize('name, code', [('a.mp4', 'mp4v'), ('a.avi', 'MJPG'), ('a.mkv', 'MJPG')])
def test_a_cut_video_is_refused_as_cut_and_not_as_corrupt(tmp_path: Path, name: str, code: str) -> None:
    video = textured_video(tmp_path / name, code)
    assert check_frames(video).frames == 30
    video.write_bytes(video.read_bytes()[:video.stat().st_size * 2 // 3])
    left = 0 if name == 'a.mp4' else 20  # an mp4 keeps its index at the end
    with pytest.raises(InputError, match=rf'{name}: the video cannot be used \(truncated: .*\), {left} frames can be '
                       rf'decoded; copy it again{", or convert what is left" * (left > 0)}'):
        check_frames(video)


def test_a_cut_video_with_its_index_in_front_is_refused_as_cut(tmp_path: Path) -> None:
    with write(tmp_path / 'a.mp4', 10) as add:
        for frame in moving_texture(30):
            add(frame)
    data = (tmp_path / 'a.mp4').read_bytes()
    (tmp_path / 'a.mp4').write_bytes(data[:len(data) * 3 // 4])
    with pytest.raises(InputError, match=r'truncated: .*partial file\), \d+ frames can be decoded; copy it again, or'):
        check_frames(tmp_path / 'a.mp4')


def test_a_matroska_file_whose_writer_left_its_length_open_is_taken_as_it_is(tmp_path: Path) -> None:
    video = textured_video(tmp_path / 'a.mkv', 'MJPG')
    data = bytearray(video.read_bytes())
    at = data.index(b'\x18\x53\x80\x67') + 4
    data[at:at + 8] = b'\x01' + 7 * b'\xff'
    at = data.index(b'\x44\x89\x88')  # nor does such a writer know how long the video will be
    data[at:at + 2] = b'\xec\x89'
    video.write_bytes(data[:len(data) * 2 // 3])
    assert check_frames(video).frames == 20


def test_a_folder_opens_without_the_frames_to_skip_which_keep_their_numbers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'folder')
    wanted = open_frames(folder)[3]
    cut(folder / 'f0.png')
    (folder / 'f2.png').write_bytes(b'nothing')
    with pytest.raises(InputError, match='f0.png'):
        open_frames(folder)
    source = open_frames(folder, ['f0', 'f2'])
    assert len(source) == 5 and source.name(3) == 'f3' and np.array_equal(source[3], wanted)
    with pytest.raises(InputError, match='only 1 of 5 frames are left without those to skip'):
        open_frames(folder, ['f0', 'f1', 'f2', 'f3'])


def test_no_pair_has_a_frame_to_skip_and_no_third_frame_is_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'scene', 8)
    everything = FramePairs(folder)
    cut(folder / 'f3.png')
    pairs = FramePairs(folder, skip={'scene': ['f3'], 'other': ['f1']}, directions='both')
    keys = [pair['key'] for pair in pairs.pairs if not pair['reverse']]
    assert keys == [pair['key'] for pair in everything.pairs if 'f3' not in pair['key']] and len(keys) == 5
    assert len(pairs) == 10 and np.array_equal(pairs[-2]['frame1'], everything[6]['frame1'])
    labeler = FlowLabeler(view=dict(type='CascadeView'), filters=[dict(type='CompositeFilter')])
    units = {unit.key: unit for unit in pairs.units}
    thirds = {key: labeler.extra_frames(unit, partial(pairs.usable, 'scene')) for key, unit in units.items()}
    assert thirds['scene/f1__f2'] == [0] and thirds['scene/f4__f5'] == [6]  # of the first the next one is corrupt
    assert [number for number in range(-1, 9) if not pairs.usable('scene', number)] == [-1, 3, 8]
    two = FramePairs(folder, skip={'scene': ['f3']}, step=2)
    assert [pair['key'] for pair in two.pairs] == ['scene/f0__f2', 'scene/f2__f4', 'scene/f4__f6', 'scene/f5__f7']
    with pytest.raises(ConfigError):
        FramePairs(folder, scenes='none', skip={'scene': ['f3']})


def encode(path: Path, streams: int = 1, drop: int = 0) -> Path:
    """A video of 12 frames with a key frame every fourth, in several streams; the first packets dropped."""
    with av.open(str(path), 'w') as container:
        tracks = [container.add_stream('libx264', rate=25, options=dict(g='4', bf='0', sc_threshold='0'))
                  for _ in range(streams)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 64, 48, 'yuv420p'
        packets = []
        for pixels in moving_texture(12):
            frame = av.VideoFrame.from_ndarray(pixels)
            packets += [packet for track in tracks for packet in track.encode(frame)]
        packets += [packet for track in tracks for packet in track.encode()]
        for packet in packets[drop:]:
            container.mux(packet)
    return path


@pytest.mark.skipif('libx264' not in av.codecs_available, reason='this FFmpeg has no H.264 encoder')
@pytest.mark.parametrize('streams, drop, frames, notes', [
    (1, 0, 12, []),
    (2, 0, 12, ['has 2 video streams, of which the first is read']),
    (1, 1, 8, ['begins in the middle of a group of frames: the key frame before its first 3 frames is missing, so they '
               'are left out'])])
def test_what_is_not_read_of_a_video_is_told(tmp_path: Path, streams: int, drop: int, frames: int, notes: list) -> None:
    found = check_frames(encode(tmp_path / 'a.mkv', streams, drop))
    assert found.frames == frames and list(found.notes) == notes and not found.corrupt

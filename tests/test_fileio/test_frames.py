"""Folders of frames, and what a data root holds."""
from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_fileio import texture, write_video

from mmrefine.errors import InputError
from mmrefine.fileio import FolderFrames, list_scenes, open_frames, write_image


def write_frames(folder: Path, *names: str, height: int = 12, width: int = 16) -> Path:
    for seed, name in enumerate(names):
        write_image(folder / name, texture(height, width, seed))
    return folder


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_frames(tmp_path, 'f10.png', 'f9.png', 'f1.png', 'a2b10.png', 'a2b9.png', 'a10b1.png', 'f01.png')
    source = open_frames(tmp_path)
    assert [source.name(at) for at in range(len(source))] == ['a2b9', 'a2b10', 'a10b1', 'f01', 'f1', 'f9', 'f10']
    assert np.array_equal(source[5], texture(12, 16, 1)) and np.array_equal(source[-1], texture(12, 16, 0))


def test_hidden_files_and_other_files_are_no_frames(tmp_path: Path) -> None:
    write_frames(tmp_path, 'a.png', 'b.JPG', 'c.webp', '.hidden.png')
    (tmp_path / 'notes.txt').write_text('x')
    (tmp_path / 'folder.png').mkdir()
    source = FolderFrames(tmp_path)
    assert [file.name for file in source.files] == ['a.png', 'b.JPG', 'c.webp'] and source.size == (12, 16)


def test_a_caller_may_draw_on_a_frame_without_changing_the_next_read(tmp_path: Path) -> None:
    source = open_frames(write_frames(tmp_path, 'a.png', 'b.png'))
    before = source[0].copy()
    source[0][:] = 0
    assert np.array_equal(source[0], before)


def test_only_a_few_frames_are_held_and_none_are_pickled(tmp_path: Path) -> None:
    source = open_frames(write_frames(tmp_path, *(f'{at}.png' for at in range(9)), height=100, width=100))
    frames = list(source)
    assert len(frames) == 9 and len(source._cache) == 3
    pickled = pickle.dumps(source)
    assert len(pickled) < frames[0].nbytes
    assert all(np.array_equal(one, other) for one, other in zip(pickle.loads(pickled), frames))


@pytest.mark.parametrize('at', [4, -5, 99])
def test_a_frame_that_does_not_exist_is_an_index_error(tmp_path: Path, at: int) -> None:
    source = open_frames(write_frames(tmp_path, 'a.png', 'b.png', 'c.png', 'd.png'))
    with pytest.raises(IndexError, match=f'frame {at} of 4'):
        source[at]


def test_the_digest_sees_pixels_names_and_order_but_not_the_place(tmp_path: Path) -> None:
    one = write_frames(tmp_path / 'one', 'a.png', 'b.png')
    digests = [open_frames(folder).digest() for folder in (
        one, write_frames(tmp_path / 'moved', 'a.png', 'b.png'), write_frames(tmp_path / 'renamed', 'a.png', 'c.png'),
        write_frames(tmp_path / 'swapped', 'b.png', 'a.png'),
        write_frames(tmp_path / 'more', 'a.png', 'b.png', 'c.png'))]
    assert digests[0] == digests[1] and len(set(digests)) == 4 and all(len(digest) == 16 for digest in digests)


def test_frames_of_two_sizes_are_refused_at_once_with_both_names_and_sizes(tmp_path: Path) -> None:
    write_frames(tmp_path, 'a.png', 'b.png', 'c.png')
    write_image(tmp_path / 'd.jpg', texture(16, 20))
    with pytest.raises(InputError, match=r'a\.png is 16 x 12 and d\.jpg is 20 x 16'):
        open_frames(tmp_path)


def test_formats_may_be_mixed_when_the_pixels_agree_in_size(tmp_path: Path) -> None:
    write_frames(tmp_path, 'a.png', 'b.jpg', 'c.bmp', 'd.ppm', 'e.webp')
    assert [frame.shape for frame in open_frames(tmp_path)] == [(12, 16, 3)] * 5


def test_a_frame_that_breaks_later_is_named_when_it_is_read(tmp_path: Path) -> None:
    source = open_frames(write_frames(tmp_path, 'a.png', 'b.png'))
    (tmp_path / 'b.png').write_bytes((tmp_path / 'b.png').read_bytes()[:99])
    with pytest.raises(InputError, match=r'b\.png: cannot be read as a picture \(truncated'):
        source[1]


@pytest.mark.parametrize('names, message', [
    ([], r'holds no pictures, motion needs at least 2'),
    (['only.png'], r'holds only only\.png, motion needs at least 2'),
    (['a.png', 'a.jpg'], r'a\.(jpg and a\.png|png and a\.jpg) are two frames of one name'),
])
def test_a_folder_without_motion_is_refused(tmp_path: Path, names: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FolderFrames(write_frames(tmp_path, *names))


def test_what_is_not_there_and_what_is_no_video_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='gone: there is no such file'):
        open_frames(tmp_path / 'gone')
    write_frames(tmp_path, 'a.png')
    with pytest.raises(InputError, match=r'a\.png: neither a folder of frames nor a video'):
        open_frames(tmp_path / 'a.png')


def test_a_video_or_a_folder_of_frames_is_one_scene(tmp_path: Path) -> None:
    video = write_video(tmp_path / 'my clip.avi', 2)
    assert list_scenes(video) == {'my clip': video}
    frames = write_frames(tmp_path / 'frames', 'a.png', 'b.png')
    assert list_scenes(frames) == {'frames': frames}


def test_every_folder_of_frames_and_every_video_below_is_a_scene(tmp_path: Path) -> None:
    wanted = {
        'b scene': write_frames(tmp_path / 'b scene', 'a.png', 'b.png'),
        'clip': write_video(tmp_path / 'clip.avi', 2),
        'day1/ünder': write_frames(tmp_path / 'day1' / 'ünder', 'a.png', 'b.png'),
        'day1/v': write_video(tmp_path / 'day1' / 'v.avi', 2),
    }
    write_frames(tmp_path / '.thumbnails', 'a.png', 'b.png')
    write_image(tmp_path / 'poster.png', texture())
    (tmp_path / 'empty').mkdir()
    assert list(list_scenes(tmp_path).items()) == sorted(wanted.items())
    assert all(len(open_frames(path)) == 2 for path in list_scenes(str(tmp_path)).values())


def test_two_scenes_of_one_name_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path / 'clip', 'a.png', 'b.png')
    write_video(tmp_path / 'clip.avi', 2)
    with pytest.raises(InputError, match=r'clip\.avi and .*clip are two scenes of one name \(clip\)'):
        list_scenes(tmp_path)


def test_a_folder_that_mixes_frames_and_videos_is_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, 'a.png', 'b.png')
    write_video(tmp_path / 'clip.avi', 2)
    with pytest.raises(InputError, match=r'holds frames \(a\.png, …\) beside videos \(clip\.avi'):
        list_scenes(tmp_path)


def test_a_root_without_scenes_is_refused(tmp_path: Path) -> None:
    for root, message in ((tmp_path, 'holds neither frames nor videos'), (tmp_path / 'gone', 'there is no such file')):
        with pytest.raises(InputError, match=message):
            list_scenes(root)
    (tmp_path / 'a.txt').touch()
    with pytest.raises(InputError, match=r'a\.txt: not a video'):
        list_scenes(tmp_path / 'a.txt')


def test_a_turned_phone_picture_fits_among_upright_ones(tmp_path: Path) -> None:
    from test_images import with_orientation
    write_frames(tmp_path, 'a.png', 'b.png', height=24, width=16)
    (tmp_path / 'c.jpg').write_bytes(with_orientation(cv2.imencode('.jpg', texture(16, 24))[1].tobytes(), 6))
    assert [frame.shape for frame in open_frames(tmp_path)] == [(24, 16, 3)] * 3

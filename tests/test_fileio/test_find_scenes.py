"""What a data root holds: scenes, series of pictures, labels, links, and what is left out and why."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence

import av
import cv2
import numpy as np
import pytest
from helpers_fileio import encode_video, moving_texture, texture, write_video

from mmrefine.errors import InputError
from mmrefine.fileio import check_frames, find_scenes, list_scenes, open_frames, read_image, write_flow, write_image
from mmrefine.fileio.video.label_like import names_labels
from mmrefine.fileio.video.numbering import find_gaps, split_series


def write_frames(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        write_image(folder / f'{name}.png', texture(12, 16, seed))
    return folder


def frames_of(root: Path) -> Dict[str, List[str]]:
    """The names of the frames of each scene."""
    sources = {name: open_frames(place) for name, place in list_scenes(root).items()}
    return {name: [source.name(at) for at in range(len(source))] for name, source in sources.items()}


def reasons(root: Path) -> Dict[str, str]:
    """Path below the root -> why it is left out."""
    return {one.path.relative_to(root).as_posix(): one.reason for one in find_scenes(root).left_out}


@pytest.mark.parametrize('names, series, strays', [
    (['left_1', 'left_2', 'right_1', 'right_2'], {'left': ['left_1', 'left_2'], 'right': ['right_1', 'right_2']}, []),
    (['1_left', '1_right', '2_left', '2_right'], {'left': ['1_left', '2_left'], 'right': ['1_right', '2_right']}, []),
    (['000000_10', '000000_11', '000001_10', '000001_11'],
     {'000000': ['000000_10', '000000_11'], '000001': ['000001_10', '000001_11']}, []),
    (['01_cam2', '01_cam3', '02_cam2', '02_cam3'],
     {'cam2': ['01_cam2', '02_cam2'], 'cam3': ['01_cam3', '02_cam3']}, []),
    (['cam_1', 'cam_2', 'poster'], {'cam': ['cam_1', 'cam_2']}, ['poster']),
    (['frame1', 'flow_noc', 'frame2'], {'frame': ['frame1', 'frame2']}, ['flow_noc']),
    (['f1_v2', 'f2_v2'], {'f_v2': ['f1_v2', 'f2_v2']}, []),
    (['a', 'b', 'c'], {'': ['a', 'b', 'c']}, []),
    (['1305031102.175304', '1305031103.211214'], {'': ['1305031102.175304', '1305031103.211214']}, []),
    (['2024-01-01_11-59-59', '2024-01-01_12-00-00'], {'': ['2024-01-01_11-59-59', '2024-01-01_12-00-00']}, []),
])
def test_pictures_that_one_number_counts_are_one_series(names: list, series: dict, strays: list) -> None:
    found, left = split_series([Path(f'{name}.png') for name in names])
    assert {one.name: [file.stem for file in one.files] for one in found} == series
    assert [file.stem for file in left] == strays


@pytest.mark.parametrize('names, gaps', [
    ('1 2 3 4 5 6 60 61 62', {6}),
    ('f01 f02 f04 f05', {2}),  # one is missing
    ('0 5 10 15 25 30', {4}),
    ('0 5 10 15 20', set()),
    ('0.100 0.133 0.165 0.199 0.320 0.353', {4}),  # times with jitter: 0.12 after steps of 0.033
    ('0.100 0.133 0.165 0.199 0.274 0.307', set()),  # twice the usual step may be the camera
    ('2024-01-01_11-59-58 2024-01-01_11-59-59 2024-01-01_12-00-00 2024-01-01_12-00-30 2024-01-01_12-00-31', {3}),
    ('a b c', set()),
    ('1 7', set()),  # two frames have no usual step
    ('1_a 2_b 9_c', set()),
])
def test_a_gap_is_a_step_that_is_longer_than_usual(names: str, gaps: set) -> None:
    assert find_gaps(names.split()) == sorted(gaps)


def test_two_cameras_in_one_folder_are_two_scenes(tmp_path: Path) -> None:
    write_frames(tmp_path / 'day', 'left_1', 'left_2', 'left_3', 'right_1', 'right_2')
    assert frames_of(tmp_path) == {'day/left': ['left_1', 'left_2', 'left_3'], 'day/right': ['right_1', 'right_2']}
    assert frames_of(tmp_path / 'day') == {'left': ['left_1', 'left_2', 'left_3'], 'right': ['right_1', 'right_2']}
    assert check_frames(list_scenes(tmp_path)['day/right']).frames == 2


def test_the_pictures_of_a_series_are_those_of_its_files(tmp_path: Path) -> None:
    write_frames(tmp_path, 'left_1', 'left_2', 'right_1', 'right_2')
    right = open_frames(list_scenes(tmp_path)['right'])
    assert np.array_equal(right[0], texture(12, 16, 2)) and np.array_equal(right[1], texture(12, 16, 3))
    assert right.digest() != open_frames(list_scenes(tmp_path)['left']).digest()


def test_masks_and_strays_beside_the_frames_are_left_out_by_name(tmp_path: Path) -> None:
    write_frames(tmp_path / 'a', '1', '2', '1_mask', '2_mask', 'poster')
    assert frames_of(tmp_path) == {'a': ['1', '2']}
    assert reasons(tmp_path) == {
        **{f'a/{at}_mask.png': 'holds labels such as masks, depth or flow, by its name' for at in (1, 2)},
        'a/poster.png': 'does not belong to the numbered pictures beside it'}


@pytest.mark.parametrize('name', ['ground_truth_{}', '{}_ground-truth', 'left ground truth {}', 'obj_map_{}'])
def test_a_word_for_labels_may_be_two(tmp_path: Path, name: str) -> None:
    labels = [name.format(at) for at in (1, 2)]
    write_frames(tmp_path / 'a', 'frame_1', 'frame_2', *labels)
    assert frames_of(tmp_path) == {'a': ['frame_1', 'frame_2']}
    assert reasons(tmp_path) == {f'a/{label}.png': 'holds labels such as masks, depth or flow, by its name'
                                 for label in labels}
    write_frames(tmp_path / 'b', *labels)
    assert frames_of(tmp_path / 'b') == {'b': labels}  # the user says that these are frames


def test_a_word_for_ground_is_none_for_labels(tmp_path: Path) -> None:
    write_frames(tmp_path, *(f'{name}_{at}' for name in ('ground', 'truth_ground', 'map') for at in (1, 2)))
    assert len(list_scenes(tmp_path)) == 3


def test_label_folders_of_a_data_set_are_left_out(tmp_path: Path) -> None:
    for folder in ('clean/alley', 'final/alley', 'water/flow_of_lava'):
        write_frames(tmp_path / folder, '1', '2')
    labels = ['Annotations/480p', 'flow', 'flow_viz', 'occlusions', 'masks', 'flow_occ', 'disp_noc_0', 'depth']
    for folder in labels:
        write_frames(tmp_path / folder, '1', '2')
    wanted = {folder.partition('/')[0]: 'holds labels such as masks, depth or flow, by its name' for folder in labels}
    # a name below the root is what counts, and a root of that name is what the user wants
    assert set(list_scenes(tmp_path)) == {'clean/alley', 'final/alley', 'water/flow_of_lava'}
    assert reasons(tmp_path) == wanted
    assert set(list_scenes(tmp_path / 'masks')) == {'masks'}


def test_pictures_of_masks_and_flow_are_known_whatever_their_folder(tmp_path: Path) -> None:
    write_frames(tmp_path / 'frames', '1', '2')
    ids = np.zeros((12, 16), np.uint8)
    ids[3:6] = 255
    for name in ('1', '2'):
        write_image(tmp_path / 'truth' / f'{name}.png', ids)
        write_flow(tmp_path / 'other' / f'{name}.png', np.full((12, 16, 2), 1.5, np.float32))
    assert set(list_scenes(tmp_path)) == {'frames'}
    assert reasons(tmp_path) == dict.fromkeys(['truth', 'other'], 'holds labels such as masks or flow, by its pictures')
    assert set(list_scenes(tmp_path / 'truth')) == {'truth'}  # the user says that these are frames
    with pytest.raises(InputError, match='neither frames nor videos.*such as masks or flow, by its pictures'):
        list_scenes(tmp_path / 'other')


def test_the_root_of_kitti_holds_its_frames_and_no_truth(tmp_path: Path) -> None:
    for folder in ('image_2', 'image_3', 'flow_occ', 'flow_noc', 'disp_occ_0', 'disp_noc_1', 'obj_map', 'viz_flow_occ'):
        write_frames(tmp_path / 'training' / folder, '000000_10', '000000_11', '000001_10', '000001_11')
    assert frames_of(tmp_path) == {
        f'training/image_{camera}/00000{scene}': [f'00000{scene}_10', f'00000{scene}_11']
        for camera in (2, 3) for scene in (0, 1)}
    assert len(reasons(tmp_path)) == 6


@pytest.mark.parametrize('name, is_label', [
    ('Annotations', True), ('flow_FW_left', True), ('disp_occ_0', True), ('optical_flow', True), ('object_masks', True),
    ('depth_maps', True), ('viz_flow_occ', True), ('flow_pairs', False), ('lava_flow', False), ('masked_ball', False),
    ('depth_of_field', False), ('image_2', False), ('clean', False), ('gt86_race', False),
    ('labelled_bottles', False), ('white_label', False),
    *((name, True) for name in 'gt GT gtFine gtCoarse gt_color ground_truth GroundTruth label Labels labelIds '
      'labelTrainIds label_colors train_labels SegmentationClass SegmentationObject'.split())])
def test_names_of_labels_are_told_from_names_of_scenes(name: str, is_label: bool) -> None:
    assert names_labels(name) == is_label


@pytest.mark.parametrize('level', [0, 128])
def test_a_scene_without_content_is_not_a_scene_of_masks(tmp_path: Path, level: int) -> None:
    write_frames(tmp_path / 'frames', '1', '2')
    for name in ('1', '2'):
        write_image(tmp_path / 'dark' / f'{name}.png', np.full((12, 16), level, np.uint8))
    assert set(list_scenes(tmp_path)) == {'dark', 'frames'}


def test_every_file_that_is_not_read_is_named_with_its_kind(tmp_path: Path) -> None:
    write_frames(tmp_path / 'a', '1', '2')
    (tmp_path / 'raw').mkdir()
    for name in ('raw/1.exr', 'raw/2.exr', 'a/notes.txt'):
        (tmp_path / name).write_bytes(b'x')
    (tmp_path / 'empty').mkdir()
    found = find_scenes(tmp_path)
    assert set(found.scenes) == {'a'}
    assert found.summary() == [
        f'left out: 3 paths, such as {tmp_path}/a/notes.txt, each of which is neither a picture nor a video that can '
        'be read (.exr, .txt)', f'left out: {tmp_path}/empty, which holds neither frames nor videos']


def test_results_of_ours_are_not_footage(tmp_path: Path) -> None:
    write_frames(tmp_path / 'a', '1', '2')
    write_frames(tmp_path / 'a_results' / 'pictures', '1', '2')
    (tmp_path / 'a_results' / 'run.json').write_text('{"settings": {}, "finished": true}')
    assert set(list_scenes(tmp_path)) == {'a'} and reasons(tmp_path) == {'a_results': 'holds results of mmrefine'}


@pytest.mark.parametrize('name, content, is_ours', [
    *((name, content, False) for name in ('run.json', 'flow.json', 'manifest.json')
      for content in ('{}', '[1]', '{"settings":', '[' * 100_000, '{"format": "other/1"}', '{"settings": {}}')),
    ('flow.json', '{"settings": {}, "scene": "a", "size": [4, 5], "pairs": 2}', True),
    ('manifest.json', '{"format": "mmrefine-labels/2", "fingerprint": {}, "pairs": {}}', True),
    ('manifest.json', '{"format": "other-labels/2", "fingerprint": {}, "pairs": {}}', False)])
def test_only_records_of_ours_mark_results(tmp_path: Path, name: str, content: str, is_ours: bool) -> None:
    write_frames(tmp_path / 'a', '1', '2')
    (write_frames(tmp_path / 'b', '1', '2') / name).write_text(content)
    assert set(list_scenes(tmp_path)) == ({'a'} if is_ours else {'a', 'b'})


def test_each_real_folder_is_listed_once_whatever_links_to_it(tmp_path: Path) -> None:
    root, outside = tmp_path / 'root', tmp_path / 'outside'
    write_frames(root / 'b', '1', '2')
    write_frames(root / 'c', '1', '2')
    write_frames(outside / 'd', '1', '2')
    (root / 'b' / 'loop').symlink_to(root)
    (root / 'a').symlink_to(root / 'c')
    (root / 'up').symlink_to(root)
    (root / 'x').symlink_to(outside)
    (outside / 'back').symlink_to(root)
    (outside / 'itself').symlink_to(outside)
    assert frames_of(root) == {'b': ['1', '2'], 'c': ['1', '2'], 'x/d': ['1', '2']}
    link = 'links to what is listed in another place'
    assert reasons(root) == {'b/loop': 'lies in a folder of frames', 'a': link, 'up': link, 'x/back': link,
                             'x/itself': link}


def test_a_picture_above_scenes_is_left_out_and_a_scene_of_one_is_still_named(tmp_path: Path) -> None:
    write_frames(tmp_path / 'a', '1', '2')
    write_image(tmp_path / 'poster.png', texture())
    write_frames(tmp_path / 'b', '1')
    assert set(list_scenes(tmp_path)) == {'a', 'b'}
    assert reasons(tmp_path) == {'poster.png': 'is a single picture, which has no motion'}
    with pytest.raises(InputError, match='b: holds only 1.png'):
        open_frames(list_scenes(tmp_path)['b'])


@pytest.mark.parametrize('suffix', ['.tif', '.tiff', '.jp2', '.avif', '.gif', '.pnm', '.jpe', '.dib'])
def test_pictures_of_more_formats_are_frames(tmp_path: Path, suffix: str) -> None:
    frames = [texture(32, 48, seed) // 4 + np.uint8([150, 60, 0]) for seed in range(2)]
    for at, frame in enumerate(frames):
        ok, data = cv2.imencode('.tif' if suffix == '.tiff' else suffix, frame[..., ::-1])
        assert ok
        (tmp_path / f'{at}{suffix}').write_bytes(data.tobytes())
    read = list(open_frames(tmp_path))
    most = {'.jp2': 3, '.avif': 3, '.gif': 25, '.jpe': 3}.get(suffix, 0)  # mean error of lossy formats
    assert max(np.abs(one.astype(int) - two).mean() for one, two in zip(read, frames)) <= most


@pytest.mark.parametrize('name', ['a.MTS', 'a.m2ts', 'a.mxf', 'a.gif', 'a.y4m'])
def test_videos_of_more_containers_are_scenes(tmp_path: Path, name: str) -> None:
    codec, pixels = {'.gif': ('gif', 'rgb8'), '.mxf': ('mpeg2video', 'yuv420p'),
                     '.y4m': ('wrapped_avframe', 'yuv420p')}.get(Path(name).suffix, ('libx264', 'yuv420p'))
    if codec not in av.codecs_available:
        pytest.skip(f'this FFmpeg has no {codec}')
    path = tmp_path / name
    frames = moving_texture(12)
    _encode_at_25(path, frames, codec, pixels)
    assert list_scenes(tmp_path) == {'a': path}
    source = open_frames(path)
    assert len(source) == 12 and source.size == frames[0].shape[:2]
    assert np.abs(source[7].astype(int) - frames[7]).mean() < (30 if pixels == 'rgb8' else 6)


def _encode_at_25(path: Path, frames: Sequence[np.ndarray], codec: str, pixels: str) -> None:
    """MXF takes a few rates only."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25)
        (stream.height, stream.width), stream.pix_fmt = frames[0].shape[:2], pixels
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format='rgb24')
            container.mux(stream.encode(picture.reformat(format=pixels)))
        container.mux(stream.encode(None))


def test_dv_is_deinterlaced(tmp_path: Path) -> None:
    if 'dvvideo' not in av.codecs_available:
        pytest.skip('this FFmpeg has no dvvideo')
    frames = [np.ascontiguousarray(np.tile(frame, (12, 12, 1))[:576, :720]) for frame in moving_texture(4)]
    _encode_at_25(tmp_path / 'a.dv', frames, 'dvvideo', 'yuv420p')
    assert check_frames(tmp_path / 'a.dv').interlaced
    read = list(open_frames(tmp_path / 'a.dv'))
    source = open_frames(tmp_path / 'a.dv')
    assert all(np.array_equal(source[at], read[at]) for at in (3, 0, 2, 1))


@pytest.mark.parametrize('suffix', ['.tif', '.gif', '.jp2', '.avif'])
def test_a_cut_picture_of_these_formats_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    data = cv2.imencode(suffix, texture())[1].tobytes()
    for length in [1, 9, len(data) // 3, len(data) // 2, len(data) - 20, len(data) - 1]:
        (tmp_path / f'a{suffix}').write_bytes(data[:length])
        with pytest.raises(InputError, match=rf'a\{suffix}: cannot be read as a picture'):
            read_image(tmp_path / f'a{suffix}')


def test_a_video_and_a_link_to_it_are_one_scene(tmp_path: Path) -> None:
    write_video(tmp_path / 'b.avi', 3)
    (tmp_path / 'a.avi').symlink_to(tmp_path / 'b.avi')
    encode_video(tmp_path / 'c.mkv', moving_texture(3), 'libx264', {})
    assert set(list_scenes(tmp_path)) == {'b', 'c'}
    assert reasons(tmp_path) == {'a.avi': 'links to what is listed in another place'}

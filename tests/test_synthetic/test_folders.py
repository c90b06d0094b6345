"""Scene folders hold the clip exactly, and a file is whole or absent."""
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmrefine.errors import InputError
from mmrefine.fileio import read_tracks
from mmrefine.synthetic import TARGET, exact_tracks, random_queries, render_clip, write_clips

SIZE = (32, 48)


def files(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())


def test_a_scene_reads_back_as_the_clip(tmp_path):
    assert write_clips(tmp_path, [7], 3, SIZE, 'target') == ['target_0007']
    clip = render_clip(7, 3, SIZE, 'target')
    for t in range(3):
        name = f'target_0007/frame_{t + 1:04d}'
        frame = cv2.imread(str(tmp_path / 'frames' / f'{name}.png'))[..., ::-1]
        np.testing.assert_array_equal(frame, clip.frames[t])
        mask = cv2.imread(str(tmp_path / 'masks' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, clip.masks[t])
    for t in range(2):
        name = f'target_0007/frame_{t + 1:04d}'
        data = (tmp_path / 'flow' / f'{name}.flo').read_bytes()
        assert np.frombuffer(data, '<f4', 1)[0] == 202021.25
        assert np.frombuffer(data, '<i4', 2, 4).tolist() == [48, 32]
        np.testing.assert_array_equal(
            np.frombuffer(data, '<f4', offset=12).reshape(32, 48, 2),
            clip.flow_fw[t].transpose(1, 2, 0))
        seen = cv2.imread(str(tmp_path / 'visible' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(seen, np.where(clip.visible_fw[t, 0], 255, 0))
    assert len(files(tmp_path)) == 3 + 3 + 2 + 2 + 1


def test_a_complete_scene_is_left_alone_and_a_holed_one_is_mended(tmp_path):
    write_clips(tmp_path, [1], 2, SIZE)
    frame = tmp_path / 'frames/target_0001/frame_0001.png'
    whole = frame.read_bytes()
    frame.write_bytes(b'kept')
    write_clips(tmp_path, [1], 2, SIZE)
    assert frame.read_bytes() == b'kept'
    frame.unlink()
    write_clips(tmp_path, [1], 2, SIZE)
    assert frame.read_bytes() == whole


def test_a_stopped_run_leaves_whole_files_and_the_next_finishes_it(tmp_path, monkeypatch):
    write_clips(tmp_path / 'whole', [2], 2, SIZE)
    real, moves = os.replace, []

    def stop_at_the_fourth(a, b):
        moves.append(b)
        if len(moves) == 4:
            raise KeyboardInterrupt
        real(a, b)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', stop_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            write_clips(tmp_path / 'part', [2], 2, SIZE)
    written = files(tmp_path / 'part')
    assert len(written) == 3 and 'scenes/target_0002.json' not in written
    write_clips(tmp_path / 'part', [2], 2, SIZE)
    assert files(tmp_path / 'part') == files(tmp_path / 'whole')
    for name in files(tmp_path / 'whole'):
        assert (tmp_path / 'part' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


@pytest.mark.parametrize('change, words', [
    (dict(num_frames=3), 'num_frames is 2, wanted 3'),
    (dict(size=(48, 32)), r'size is \[32, 48\], wanted \[48, 32\]'),
    (dict(style=replace(TARGET, shutter=0.25)), r"style is .*'shutter': 0.25")])
def test_a_scene_of_other_settings_is_refused(tmp_path, change, words):
    write_clips(tmp_path, [1], 2, SIZE, 'target')
    with pytest.raises(InputError, match='target_0001.json: ' + words):
        write_clips(**{**dict(root=tmp_path, seeds=[1], num_frames=2, size=SIZE,
                              style='target'), **change})


def test_a_broken_record_is_named(tmp_path):
    write_clips(tmp_path, [1], 2, SIZE, 'target')
    (tmp_path / 'scenes/target_0001.json').write_text('{')
    with pytest.raises(InputError, match='target_0001.json: not a record'):
        write_clips(tmp_path, [1], 2, SIZE, 'target')


def test_tracks_come_beside_a_scene_and_change_nothing_else_of_it(tmp_path):
    for name, tracks in (('without', 0), ('with', 12)):
        write_clips(tmp_path / name, [3], 4, SIZE, tracks=tracks)
    added = {'tracks/target_0003.npz'}
    assert set(files(tmp_path / 'with')) - set(files(tmp_path / 'without')) == added
    for name in files(tmp_path / 'without'):
        same = (tmp_path / 'with' / name).read_bytes() == (tmp_path / 'without' / name).read_bytes()
        assert same == (name != 'scenes/target_0003.json'), name
    found = read_tracks(tmp_path / 'with/tracks/target_0003.npz')
    queries = random_queries(3, 12, 4, SIZE, 'target')
    points, visible = exact_tracks(3, queries, 4, SIZE, 'target')
    np.testing.assert_array_equal(found.queries, queries)
    np.testing.assert_allclose(found.points, points, atol=1 / 128)
    np.testing.assert_array_equal(found.visible, visible)
    assert found.size == SIZE


def test_tracks_are_added_to_a_scene_that_has_none_and_another_number_is_refused(tmp_path):
    write_clips(tmp_path / 'whole', [3], 2, SIZE, tracks=5)
    write_clips(tmp_path / 'part', [3], 2, SIZE)
    frame, tracks = (tmp_path / 'part' / name for name in ('frames/target_0003/frame_0001.png',
                                                           'tracks/target_0003.npz'))
    frame.write_bytes(b'kept')
    for remove in (None, tracks):
        if remove is not None:
            remove.unlink()
        write_clips(tmp_path / 'part', [3], 2, SIZE, tracks=5)
        assert frame.read_bytes() == b'kept'
        assert tracks.read_bytes() == (tmp_path / 'whole/tracks/target_0003.npz').read_bytes()
    frame.unlink()
    write_clips(tmp_path / 'part', [3], 2, SIZE)  # mends the scene, and does not forget its tracks
    for name in files(tmp_path / 'whole'):
        assert (tmp_path / 'part' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
    with pytest.raises(InputError, match='target_0003.json: tracks is 5, wanted 6; delete the scene'):
        write_clips(tmp_path / 'part', [3], 2, SIZE, tracks=6)
    with pytest.raises(ValueError, match='tracks is -1'):
        write_clips(tmp_path / 'part', [3], 2, SIZE, tracks=-1)


def test_tracks_whose_record_was_never_written_are_written_again(tmp_path, monkeypatch):
    write_clips(tmp_path, [3], 2, SIZE)
    with monkeypatch.context() as patch:
        patch.setattr('mmrefine.synthetic.folders.write_json', lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_clips(tmp_path, [3], 2, SIZE, tracks=5)
    write_clips(tmp_path, [3], 2, SIZE, tracks=6)
    assert len(read_tracks(tmp_path / 'tracks/target_0003.npz').points) == 6

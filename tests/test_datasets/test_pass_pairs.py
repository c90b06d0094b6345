"""Passes that are stored, read, cropped, turned and collected."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.apis.collect_passes import collect_rendered, collect_warps
from mmrefine.datasets import PassPairs
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_image
from mmrefine.fileio.pass_files import StoredPasses, read_passes, write_passes
from mmrefine.geometry import backwarp
from mmrefine.synthetic import render_clip

SIZE = (48, 64)


class StillTeacher:
    """Sees no motion; counts how often it is asked."""
    accepts_flow_init = False

    def __init__(self):
        self.asked = 0

    def estimate(self, frames1, frames2, flow_init=None):
        self.asked += 1
        return [torch.zeros_like(frames1[:, :2])]


def stored(seed=0):
    rng = np.random.default_rng(seed)
    return StoredPasses(
        rng.integers(256, size=(2, *SIZE, 3), dtype=np.uint8), rng.normal(size=(3, 2, 2, *SIZE)).astype(np.float16),
        np.float32([[0, 0], [1, 0], [1, 1]]), rng.normal(size=(2, 2, *SIZE)).astype(np.float16),
        rng.random((2, *SIZE)) < 0.5)


def test_what_is_written_is_read(tmp_path):
    write_passes(tmp_path / 'a.npz', stored())
    for name, array in vars(read_passes(tmp_path / 'a.npz')).items():
        np.testing.assert_array_equal(array, getattr(stored(), name))
        assert array.dtype == getattr(stored(), name).dtype


def test_whole_frames_come_as_they_are(tmp_path):
    write_passes(tmp_path / 'a.npz', stored())
    item = PassPairs(tmp_path)[0]
    np.testing.assert_array_equal(item['inputs'], stored().frames.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(item['passes'], stored().passes.astype(np.float32))
    assert item['known'].dtype == torch.bool and item['traits'].tolist() == [[0, 0], [1, 0], [1, 1]]


def test_a_draw_decides_the_crop_and_nothing_else_does(tmp_path):
    for seed in range(2):
        write_passes(tmp_path / f'{seed}.npz', stored(seed))
    data = PassPairs(tmp_path, crop_size=(20, 30))
    items = [data[0, draw] for draw in range(12)]
    assert all(item['inputs'].shape == (2, 3, 20, 30) and item['truth'].shape == (2, 2, 20, 30) for item in items)
    assert len({item['inputs'].numpy().tobytes() for item in items}) == 12
    again = PassPairs(tmp_path, crop_size=(20, 30))[0, 5]
    assert all(torch.equal(again[name], items[5][name]) for name in again)


def test_motion_turns_with_the_frames(tmp_path):
    """Frame 2, warped back by the truth, still shows frame 1, however the crop is turned."""
    clip = render_clip(4, 2, SIZE, 'source')
    truth = np.stack([clip.flow_fw[0], clip.flow_bw[0]])
    write_passes(tmp_path / 'a.npz', StoredPasses(
        np.stack(list(clip.frames)), truth[None].astype(np.float16), np.zeros((1, 2), np.float32),
        truth.astype(np.float16), np.ones((2, *SIZE), bool)))
    data, seen = PassPairs(tmp_path, crop_size=(40, 56)), set()
    for draw in range(12):
        item = data[0, draw]
        frames = item['inputs'].float() / 255
        assert torch.equal(item['passes'][0], item['truth'])
        residual = (backwarp(frames[1:], item['truth'][:1]) - frames[:1]).abs()[..., 12:-12, 12:-12]
        assert residual.median() < 0.02
        seen.add(tuple(np.sign(item['truth'][0].mean(dim=(1, 2)).numpy())))
    assert len(seen) == 4


def test_bad_files_and_values_are_named(tmp_path):
    with pytest.raises(InputError, match=r'has no files of passes .*collect_passes'):
        PassPairs(tmp_path)
    (tmp_path / 'a.npz').write_bytes(b'no zip')
    with pytest.raises(InputError, match=r'a\.npz: is not a file of passes'):
        PassPairs(tmp_path)[0]
    whole = stored()
    write_passes(tmp_path / 'a.npz', StoredPasses(whole.frames, whole.passes[..., :9], whole.traits, whole.truth,
                                                  whole.known))
    with pytest.raises(InputError, match=r'a\.npz: has arrays of the shapes'):
        PassPairs(tmp_path)[0]
    write_passes(tmp_path / 'a.npz', whole)
    with pytest.raises(InputError, match=r'frames of 48x64 px, smaller than crop_size=\(50, 20\)'):
        PassPairs(tmp_path, crop_size=(50, 20))[0]
    with pytest.raises(ConfigError, match='PassPairs.crop_size'):
        PassPairs(tmp_path, crop_size=(50, ))


def test_rendered_passes_are_collected_once(tmp_path):
    teacher = StillTeacher()
    files = list(collect_rendered(tmp_path, teacher, 'still', 'target', [7], SIZE))
    asked = teacher.asked
    assert asked and list(collect_rendered(tmp_path, teacher, 'still', 'target', [7], SIZE)) == files
    assert teacher.asked == asked
    found, clip = read_passes(files[0]), render_clip(7, 2, SIZE, 'target')
    np.testing.assert_array_equal(found.frames, clip.frames)
    np.testing.assert_allclose(found.truth[0], clip.flow_fw[0], atol=0.01)
    assert found.known.all() and len(found.passes) == len(found.traits) == 4
    fast, = collect_rendered(tmp_path, teacher, 'still', 'target', [7], SIZE, speed=3.)
    assert fast.name.startswith('targetx3_')
    assert np.abs(read_passes(fast).truth).mean() > 2 * np.abs(found.truth).mean()


def test_warps_of_ones_own_frames_have_their_motion_there(tmp_path):
    for number, frame in enumerate(render_clip(1, 6, SIZE, 'source').frames):
        write_image(tmp_path / 'video' / f'{number:03d}.png', frame)
    files = list(collect_warps(tmp_path / 'out', StillTeacher(), 'still', tmp_path / 'video', 3, motion=6.))
    assert len(files) == 3 and len(list(collect_warps(tmp_path / 'out', None, 'still', tmp_path / 'video', 3))) == 3
    for path in files:
        found = read_passes(path)
        assert found.known[0].all() and not found.known[1].any()
        frames = torch.from_numpy(found.frames).permute(0, 3, 1, 2).float() / 255
        seen = backwarp(frames[1:], torch.from_numpy(found.truth[:1]).float())
        assert (seen - frames[:1]).abs()[..., 8:-8, 8:-8].median() < 0.02
    with pytest.raises(ConfigError, match='count'):
        next(collect_warps(tmp_path / 'out', None, 'still', tmp_path / 'video', 0))
    for number in range(2):
        write_image(tmp_path / 'small' / f'{number}.png', np.zeros((20, 40, 3), np.uint8))
    with pytest.raises(InputError, match='small: frames of .* have 20x40 px'):
        next(collect_warps(tmp_path / 'out', None, 'still', tmp_path / 'small', 1))

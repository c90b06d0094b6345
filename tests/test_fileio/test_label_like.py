"""Pictures of labels are told from frames of few levels."""
from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pytest
from helpers_fileio import texture

from mmrefine.fileio import list_scenes, open_frames, write_image
from mmrefine.fileio.video.label_like import holds_ids

SIZE = (96, 128)


def ramp(seed: int) -> np.ndarray:
    """A dark evening sky without noise."""
    rows, columns = np.mgrid[:SIZE[0], :SIZE[1]]
    return ((rows + columns + 3 * seed) // 6 + 8).astype(np.uint8)


def noisy(seed: int) -> np.ndarray:
    """A dark camera: shades of 0 to 30 with noise."""
    shades = ramp(seed) // 2 + np.random.default_rng(seed).normal(0, 1, SIZE)
    return np.clip(np.round(shades), 0, 255).astype(np.uint8)


def dark_texture(seed: int) -> np.ndarray:
    return texture(*SIZE, seed)[..., 0] // 6 + np.uint8(8)


def ids(*values: int) -> Callable[[int], np.ndarray]:
    """Objects on a background."""
    def draw(seed: int) -> np.ndarray:
        drawn = np.zeros(SIZE, np.uint8)
        for at, value in enumerate(values):
            cv2.circle(drawn, (15 + 11 * at, 20 + 7 * at + seed), 9, value, -1)
        return drawn
    return draw


def coloured(draw: Callable[[int], np.ndarray]) -> Callable[[int], np.ndarray]:
    """The same with a colour for each value."""
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    return lambda seed: colours[draw(seed)]


def dark_colours(seed: int) -> np.ndarray:
    return np.stack([ramp(seed), ramp(seed) // 2, ramp(seed) + np.uint8(2)], axis=-1)


@pytest.mark.parametrize('draw, is_label', [
    (ramp, False), (noisy, False), (dark_texture, False), (dark_colours, False), (coloured(noisy), False),
    (ids(255), True), (ids(1), True), (ids(1, 2, 3), True), (ids(*range(1, 9)), True),
    (ids(7, 8, 11, 24, 26, 33), True), (coloured(ids(1, 2, 3)), True), (coloured(ids(*range(1, 9))), True)],
    ids='ramp noise texture colours coloured_noise binary one three eight classes colours_3 colours_8'.split())
def test_masks_are_flat_and_dark_frames_are_not(tmp_path: Path, draw: Callable, is_label: bool) -> None:
    for seed in range(3):
        write_image(tmp_path / 'a' / f'{seed}.png', draw(seed))
        write_image(tmp_path / 'b' / f'{seed}.png', texture(*SIZE, seed))
    assert holds_ids(sorted((tmp_path / 'a').iterdir())) == is_label
    assert set(list_scenes(tmp_path)) == ({'b'} if is_label else {'a', 'b'})


def test_footage_of_few_colours_is_footage_where_most_scenes_look_so(tmp_path: Path) -> None:
    areas = (texture(48, 64, 1) // 128 * 128).repeat(8, 0).repeat(8, 1)
    for scene in 'abc':
        for number in range(3):
            write_image(tmp_path / scene / f'{number}.png', np.roll(areas, number, 1) if scene != 'a' else
                        texture(*SIZE, number))
    assert holds_ids(sorted((tmp_path / 'b').iterdir()))
    assert set(list_scenes(tmp_path)) == {'a', 'b', 'c'}
    shutil.rmtree(tmp_path / 'c')
    assert set(list_scenes(tmp_path)) == {'a'}


def test_digits_of_other_kinds_in_names_are_text(tmp_path: Path) -> None:
    for seed, name in enumerate(['1²0', '1²2', '7①1', '10', '٣', 'x½1']):
        write_image(tmp_path / f'{name}.png', texture(12, 16, seed))
    (scene, ) = {place if isinstance(place, Path) else place.path for place in list_scenes(tmp_path).values()}
    assert scene == tmp_path and len(open_frames(tmp_path)) == 6


@pytest.mark.parametrize('name', ['f{:05d}', 's{:05d}x_{}'], ids=['one series', 'series of two'])
def test_many_pictures_in_a_folder_are_found_at_once(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / f'{name.format(0, 0)}.png', texture(4, 4))
    data = (tmp_path / f'{name.format(0, 0)}.png').read_bytes()
    count = 6000
    for at in range(count if '_' not in name else count // 2):
        for part in '01' if '_' in name else '0':
            (tmp_path / f'{name.format(at, part)}.png').write_bytes(data)
    begun = time.process_time()
    assert len(list_scenes(tmp_path)) == (count // 2 if '_' in name else 1)
    assert time.process_time() - begun < 2.5  # comparing each with each takes longer

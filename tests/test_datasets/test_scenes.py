"""Scenes of a data root under any kind of data set, here one of clips of three frames."""
from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import pytest

from mmrefine.datasets import FramePairs, VideoScenes
from mmrefine.errors import ConfigError
from mmrefine.fileio import write_image
from mmrefine.labeling import FlowLabeler


class Triples(VideoScenes):
    """Each three neighbours of a scene."""

    def __init__(self, data_root: Path, held_out: float = 0., held: bool = False, **kwargs: Any) -> None:
        super().__init__(data_root, **kwargs)
        every = [dict(scene=scene, index=at, step=2)
                 for scene in self.scene_names for at in range(len(self.frame_names(scene)) - 2)]
        self.clips = self._keep_back(every, held_out, held, 2)

    def frames(self) -> List[Tuple[str, Tuple[int, ...]]]:
        return [(clip['scene'], tuple(range(clip['index'], clip['index'] + 3))) for clip in self.clips]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for scene, count in (('ant', 12), ('bee', 3)):
        for at in range(count):
            write_image(tmp_path / scene / f'f{at}.png', np.full((8, 10 + count, 3), 10 * at, np.uint8))
    return tmp_path


def test_frames_names_sizes_and_digests_are_by_scene(videos: Path) -> None:
    data = Triples(videos)
    assert len(data.clips) == 10 + 1 and data.scene_names == ['ant', 'bee'] and set(data.digests()) == {'ant', 'bee'}
    assert data.frame('ant', 7).max() == 70 and data.frame_name('ant', 10) == 'f10'
    assert (data.size('ant'), data.size('bee'), data.smallest_size()) == ((8, 22), (8, 13), (8, 13))
    data.set_labels(videos / 'labels')
    assert data.labels == str(videos / 'labels')


def test_no_clip_shares_a_frame_with_those_kept_back_nor_may_labels_look_at_them(videos: Path) -> None:
    rest, held = Triples(videos, held_out=0.2), Triples(videos, held_out=0.2, held=True)
    learned, judged = ({(scene, number) for scene, numbers in data.frames() for number in numbers}
                       for data in (rest, held))
    assert not learned & judged and {scene for scene, _ in judged} == {'ant'}
    assert all(rest.usable(*frame) for frame in learned) and not any(rest.usable(*frame) for frame in judged)
    assert all(held.usable(*frame) for frame in judged) and held.scene_names == ['ant']
    with pytest.raises(ConfigError, match='held=True asks for'):
        Triples(videos, held=True)


def test_a_frame_to_skip_or_beyond_the_end_is_not_usable(videos: Path) -> None:
    data = Triples(videos, skip={'ant': ['f3']})
    assert [number for number in range(-1, 14) if not data.usable('ant', number)] == [-1, 3, 12, 13]


def test_no_pair_and_no_frame_beside_it_is_across_a_gap_or_of_another_camera(tmp_path: Path) -> None:
    for at in (1, 2, 3, 4, 5, 6, 60, 61, 62):
        write_image(tmp_path / 'gap' / f'{at}.png', np.full((8, 10, 3), at, np.uint8))
    for name in ('left_1', 'left_2', 'right_1', 'right_2'):
        write_image(tmp_path / 'two' / f'{name}.png', np.full((8, 10, 3), 9, np.uint8))
    data = FramePairs(tmp_path, directions='both', step=(1, 2))
    assert {frozenset(pair['key'].rpartition('/')[2].split('__')) for pair in data.pairs if pair['scene'] == 'gap'} == {
        frozenset(map(str, pair)) for pair in ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (60, 61), (61, 62), (1, 3),
                                               (2, 4), (3, 5), (4, 6), (60, 62))}
    assert {pair['key'] for pair in data.pairs if pair['scene'] != 'gap' and not pair['reverse']} == {
        'two/left/left_1__left_2', 'two/right/right_1__right_2'}
    labeler = FlowLabeler(view=dict(type='CascadeView'), filters=[dict(type='CompositeFilter')])
    units = {unit.key: unit for unit in data.units}
    thirds = {key: [data.frame_name('gap', number) for number in labeler.extra_frames(
        units[key], partial(data.usable, 'gap', beside=units[key].frames[0]))]
        for key in ('gap/5__6', 'gap/60__61', 'gap/61__62', 'gap/4__5')}
    assert thirds == {'gap/5__6': ['4'], 'gap/60__61': ['62'], 'gap/61__62': ['60'], 'gap/4__5': ['6']}

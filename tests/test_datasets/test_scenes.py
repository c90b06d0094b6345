"""Scenes of a data root under any kind of data set, here one of clips of three frames."""
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import pytest

from mmrefine.datasets import VideoScenes
from mmrefine.errors import ConfigError
from mmrefine.fileio import write_image


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

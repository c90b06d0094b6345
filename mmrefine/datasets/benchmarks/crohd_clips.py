"""CroHD (Head Tracking 21): clips with the heads that PIPs and Refine are scored on, and its frames to learn from."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple, Union

import numpy as np

from mmrefine.datasets.benchmarks.track_clips import Sizes, TrackClips, TrueTracks, numbered_pictures
from mmrefine.datasets.frame_clips import FrameClips
from mmrefine.datasets.scenes import Opener, SceneNames, choose_scenes
from mmrefine.errors import InputError
from mmrefine.fileio.annotations.crohd import read_heads
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import list_folder
from mmrefine.registry import DATASETS
from mmrefine.structures import label_key
from mmrefine.structures.track_protocols import CROHD_HEADS, CROHD_MOTION, crohd_heads
from mmrefine.values import as_choice, as_count

COLUMNS = ('vis', 'occ')


@DATASETS.register_module()
class CroHDClips(TrackClips):
    """Clips of CroHD with the heads of one column of the table of PIPs.

    Frames are ``<data_root>/HT21/<split>/<scene>/img1/000001.jpg``, boxes
    ``<data_root>/HT21Labels/<split>/<scene>/gt/gt.txt``, or beside the frames, as the site of the challenge has them
    since. Clips tile each scene. A point is the centre of a box. A head counts if it is annotated in all frames of the
    clip, seen in the first two, and its distances from where it began add up to more than ``motion``
    (:func:`~mmrefine.structures.crohd_heads`). Clips without such a head are left out and counted, and no clip comes
    twice, as some do in ``test_on_crohd.py`` (aharley/pips).

    Args:
        data_root: the folder that holds ``HT21`` and ``HT21Labels``.
        column: ``'vis'``: heads that are visible in all frames; ``'occ'``: those that are hidden in some.
        scenes: 'all', the name of a scene, or a list of names.
        split: ``'train'`` or another folder below ``HT21``.
        frames: of a clip.
        stride: from one frame of a clip to the next.
        motion: px of the original frames.
        most: heads of a clip at most, in the order of their ids.
        resize: (height, width) of the frames, px, see :class:`TrackClips`.

    Attributes:
        heads_outside: heads that begin outside the frame, which are left out.

    Raises:
        ConfigError: unknown scenes, another column, or a number out of range.
        InputError: missing folders or frames, broken rows of ``gt.txt`` (names the line), boxes of frames that do not
            exist, scenes that are shorter than a clip, or no head at all.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 column: str = 'vis',
                 scenes: SceneNames = 'all',
                 split: str = 'train',
                 frames: int = 8,
                 stride: int = 3,
                 motion: float = CROHD_MOTION,
                 most: int = CROHD_HEADS,
                 resize: Sizes = (768, 1280)) -> None:
        super().__init__(resize)
        column = as_choice('CroHDClips.column', column, COLUMNS)
        count, stride = as_count('CroHDClips.frames', frames, 2), as_count('CroHDClips.stride', stride)
        root, self.heads_outside = Path(data_root), 0
        found = scene_folders(root, split)
        for scene in choose_scenes(root, list(found), scenes, None):
            files, path = numbered_pictures(found[scene]), _labels_of(root, split, scene)
            heads, size = read_heads(path), read_image(files[0]).shape[:2]
            if heads.frames.max() > len(files):
                raise InputError(f'{path}: has boxes in frame {heads.frames.max()}, and {found[scene]} has '
                                 f'{len(files)} frames; download the data set again')
            if len(files) < count * stride:
                raise InputError(f'{found[scene]}: has {len(files)} frames, and a clip of {count} frames with '
                                 f'stride={stride} takes {count * stride}; leave the scene out of scenes, or lower '
                                 'stride or frames')
            for first in range(0, len(files) - count * stride + 1, count * stride):
                numbers = tuple(range(first, first + count * stride, stride))
                points, present, visible = heads.tracks([number + 1 for number in numbers])
                chosen = np.zeros(0, int)
                if len(points):
                    outside = ((points[:, 0] < -0.5) | (points[:, 0] > np.array(size[::-1]) - 0.5)).any(axis=1)
                    self.heads_outside += int((outside & present[:, 0]).sum())
                    present[outside] = False
                    chosen = crohd_heads(points, present, visible, motion, most)[COLUMNS.index(column)]
                if not len(chosen):
                    self.left_out += 1
                    continue
                self.clips.append(dict(
                    key=label_key(scene, files[first].stem, files[numbers[-1]].stem, stride), scene=scene,
                    numbers=numbers, truth=path, files=[files[number] for number in numbers],
                    tracks=TrueTracks(points[chosen], visible[chosen], present[chosen])))
        self._check_found(root, f'a head of column {column!r}')

    def _load(self, clip: Dict[str, Any]) -> Tuple[List[np.ndarray], TrueTracks]:
        return [read_image(path) for path in clip['files']], clip['tracks']


@DATASETS.register_module()
class CroHDFrames(FrameClips):
    """The clips of CroHD without their heads, to be labelled and learned from: scenes are named as those of
    :class:`CroHDClips`.

    Args:
        data_root: see there.
        split: see there.
        frames: see there.
        stride: see there.
        kwargs: as :class:`FrameClips` has them; ``reading=dict(resize=(768, 1280))`` resizes the frames.

    Raises:
        InputError: a missing folder, a scene that is shorter than a clip.
    """

    def __init__(self, data_root: Union[str, Path], split: str = 'train', frames: int = 8, stride: int = 3,
                 **kwargs: Any) -> None:
        self.split = split
        super().__init__(data_root, frames=frames, stride=stride, **kwargs)

    def _find_scenes(self) -> Mapping[str, Opener]:
        return scene_folders(self.data_root, self.split)


def scene_folders(root: Path, split: str) -> Dict[str, Path]:
    """The folders of frames of CroHD, by scene.

    Raises:
        InputError: there are none.
    """
    folder = root / 'HT21' / split
    found = {path.name: path / 'img1' for path in list_folder(folder) if (path / 'img1').is_dir()}
    if not found:
        raise InputError(f'{folder}: holds no <scene>/img1; data_root must be the folder that holds HT21 and '
                         'HT21Labels')
    return found


def _labels_of(root: Path, split: str, scene: str) -> Path:
    """The boxes of a scene."""
    path = root / 'HT21Labels' / split / scene / 'gt' / 'gt.txt'
    beside = root / 'HT21' / split / scene / 'gt' / 'gt.txt'
    return beside if not path.is_file() and beside.is_file() else path

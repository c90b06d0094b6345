"""Horse-30: clips with the joints of horses as tracks, and its frames to learn from."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmrefine.datasets.benchmarks.track_clips import Sizes, TrackClips, TrueTracks
from mmrefine.datasets.frame_clips import FrameClips
from mmrefine.datasets.scenes import Opener, SceneNames, choose_scenes
from mmrefine.errors import InputError
from mmrefine.fileio.annotations.badja import Joints
from mmrefine.fileio.annotations.keypoints import read_keypoints
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import list_folder, list_images
from mmrefine.registry import DATASETS
from mmrefine.structures import label_key
from mmrefine.structures.track_protocols import STARTING_FRAMES
from mmrefine.values import as_count

FOLDER, LEAST_VISIBLE = 'labeled-data', 4


@DATASETS.register_module()
class Horse30Clips(TrackClips):
    """Clips of Horse-30 (Mathis et al., WACV 2021) with the joints that Refine is scored on.

    Frames are ``<data_root>/labeled-data/<horse>/0001.png``; those that are annotated make up the video of a horse, in
    the order of their names. Clips of ``frames * stride`` frames tile it, of which every ``stride``-th is used. A joint
    counts if it is visible in the first two of all these frames, and in four of them at least; near the edge of the
    frame it is not visible. Where it is not visible it has no weight: the reference takes the place before instead.

    ``TrackMetric(each_track=True)`` gives the mean over joints, as the reference, whose samples have one joint each.

    Args:
        data_root: the folder that holds ``labeled-data``.
        annotations: what :func:`~mmrefine.fileio.annotations.keypoints.read_keypoints` reads: a JSON of mmpose
            (``horse10_annotations.tar``), several, a folder of them, or ``seq_annotation.pkl``; default:
            ``<data_root>/annotations``.
        scenes: 'all', the name of a horse, or a list of names.
        frames: of a clip.
        stride: from one frame of a clip to the next.
        border: px along the edges of the original frames in which no joint is visible.
        most: joints of all clips together, the first ones; None: all. Refine stops after 1500.
        resize: (height, width) of the frames, px, see :class:`TrackClips`.

    Attributes:
        too_short: horses with fewer frames than a clip, which are left out.

    Raises:
        ConfigError: unknown horses, or a number out of range.
        InputError: missing folders or frames, annotations that are not valid (names the key that is missing), or no
            joint at all.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 annotations: Optional[Union[str, Path, Sequence[Union[str, Path]]]] = None,
                 scenes: SceneNames = 'all',
                 frames: int = 8,
                 stride: int = 4,
                 border: int = 8,
                 most: Optional[int] = None,
                 resize: Sizes = (256, 448)) -> None:
        super().__init__(resize)
        count, stride = as_count('Horse30Clips.frames', frames, 2), as_count('Horse30Clips.stride', stride)
        border = as_count('Horse30Clips.border', border, 0)
        room = None if most is None else as_count('Horse30Clips.most', most)
        root = Path(data_root)
        where = root / 'annotations' if annotations is None else annotations
        videos = _by_horse(read_keypoints(where))
        self.too_short: List[str] = []
        for scene in choose_scenes(root, sorted(videos), scenes, None):
            joints, names = videos[scene], sorted(videos[scene])
            places = {file.name: at for at, file in enumerate(list_images(root / FOLDER / scene))}
            missing = [name for name in names if name not in places]
            if missing:
                raise InputError(f'{root / FOLDER / scene / missing[0]}: there is no such frame, which is annotated; '
                                 'download labeled-data again')
            if len(names) < count * stride:
                self.too_short.append(scene)
                continue
            size = read_image(root / FOLDER / scene / names[0]).shape[:2]
            points, visible = (np.stack([getattr(joints[name], part) for name in names], axis=1)
                               for part in ('points', 'visible'))
            visible &= ((points >= border) & (points <= np.array(size[::-1]) - border)).all(axis=2)
            for first in range(0, len(names) - count * stride + 1, count * stride):
                if room == 0:
                    break
                seen = visible[:, first:first + count * stride]
                chosen = np.flatnonzero(seen[:, :STARTING_FRAMES].all(axis=1) & (seen.sum(axis=1) >= LEAST_VISIBLE))
                chosen = chosen if room is None else chosen[:room]
                room = None if room is None else room - len(chosen)
                if not len(chosen):
                    self.left_out += 1
                    continue
                used = np.arange(first, first + count * stride, stride)
                known = visible[chosen][:, used]
                self.clips.append(dict(
                    key=label_key(scene, Path(names[first]).stem, Path(names[used[-1]]).stem, stride), scene=scene,
                    numbers=tuple(places[names[number]] for number in used), truth=where,
                    files=[root / FOLDER / scene / names[number] for number in used],
                    tracks=TrueTracks(points[chosen][:, used], known, known)))
        if self.too_short and not self.clips and not self.left_out:
            raise InputError(f'{root}: all of {len(self.too_short)} horses have fewer than {count * stride} annotated '
                             f'frames, which a clip of {count} with stride={stride} takes; lower stride or frames')
        self._check_found(root, f'a joint that is visible in the first {STARTING_FRAMES} frames')

    def _load(self, clip: Dict[str, Any]) -> Tuple[List[np.ndarray], TrueTracks]:
        return [read_image(path) for path in clip['files']], clip['tracks']


@DATASETS.register_module()
class Horse30Frames(FrameClips):
    """The clips of Horse-30 without their joints, to be labelled and learned from.

    The frames of a horse follow one another in the order of their names, whatever their numbers, as in Refine.

    Args:
        data_root: the folder that holds ``labeled-data``.
        frames: of a clip.
        stride: from one frame of a clip to the next.
        kwargs: as :class:`FrameClips` has them; ``reading=dict(resize=(256, 448))`` resizes the frames.

    Raises:
        InputError: a missing folder, a horse with fewer frames than a clip.
    """

    def __init__(self, data_root: Union[str, Path], frames: int = 8, stride: int = 4, **kwargs: Any) -> None:
        super().__init__(data_root, frames=frames, stride=stride, **kwargs)

    def gaps(self, scene: str) -> List[int]:
        """None."""
        return []

    def _find_scenes(self) -> Mapping[str, Opener]:
        folder = self.data_root / FOLDER
        found = {path.name: path for path in list_folder(folder) if path.is_dir() and list_images(path)}
        if not found:
            raise InputError(f'{folder}: holds no folders of frames; data_root must be the folder that holds {FOLDER}')
        return found


def _by_horse(keypoints: Mapping[str, Joints]) -> Dict[str, Dict[str, Joints]]:
    """Horse -> name of the file -> joints; the folder of a picture names its horse.

    Raises:
        InputError: a picture without a folder.
    """
    found: Dict[str, Dict[str, Joints]] = {}
    for name, joints in keypoints.items():
        path = Path(name)
        if not path.parent.name:
            raise InputError(f'the annotations name a picture {name!r} without the folder of its horse, such as '
                             f'{FOLDER}/Sample1/0012.png; take the annotations of Horse-10 or Horse-30')
        found.setdefault(path.parent.name, {})[path.name] = joints
    return found

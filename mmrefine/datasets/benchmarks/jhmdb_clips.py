"""JHMDB: people whose joints are annotated in every frame."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Set, Union

import torch

from mmrefine.datasets.benchmarks.whole_videos import WholeVideos
from mmrefine.datasets.scenes import SceneNames
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.annotations.jhmdb import TEST, TRAIN, read_jhmdb_split, read_joint_positions
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import list_folder, list_images
from mmrefine.geometry import points_inside
from mmrefine.registry import DATASETS
from mmrefine.structures import ClipSample
from mmrefine.values import as_choice

PARTS = {'test': TEST, 'train': TRAIN}


@DATASETS.register_module()
class JhmdbClips(WholeVideos):
    """The videos of JHMDB (Jhuang et al., ICCV 2013) with their 15 joints.

    Frames are ``<data_root>/Rename_Images/<class>/<video>/00001.png``, joints ``joint_positions/<class>/<video>/
    joint_positions.mat`` (which needs SciPy), lists ``splits/<class>_test_split1.txt``. An item is a video as of
    :class:`DavisClips`, with ``points`` and ``visible``. A video with more frames than joints ends with the joints.
    As in the evaluation of UVC and of Contrastive Random Walk, a joint that is inside of the first frame counts as
    visible in all frames, and one that is outside of it in none: there it cannot be given.
    ``KeypointMetric(rule='joints', shares=(0.1, 0.2, 0.3, 0.4, 0.5))`` scores the samples.

    Args:
        data_root: the folder that holds ``Rename_Images`` and ``joint_positions``.
        split: 1, 2 or 3; 'all' or None: all videos that have joints.
        part: 'test' or 'train', of the split.
        videos: 'all', or names ``<class>/<video>`` of those in the split.

    Attributes:
        videos: the names in use, in order.

    Raises:
        ConfigError: another part or split, or videos that are not there.
        InputError: no such folder or list, or a video of the split that is not there, where all are asked for; when an
            item is read, frames and joints that do not belong together.
    """

    def __init__(self, data_root: Union[str, Path], split: Optional[Union[int, str]] = 1, part: str = 'test',
                 videos: SceneNames = 'all') -> None:
        root = Path(data_root)
        self.frames, self.joints = root / 'Rename_Images', root / 'joint_positions'
        as_choice('JhmdbClips.part', part, tuple(PARTS))
        found = [f'{folder.name}/{path.name}' for folder in list_folder(self.joints) if folder.is_dir()
                 for path in list_folder(folder) if path.is_dir()]
        where = ', it holds'
        if split not in (None, 'all'):
            where = f' in split {split}, which has'
            lists = _lists(root / 'splits', split, part, {name.split('/')[0] for name in found})
            missing = [name for name in lists if name not in found]
            if missing and videos == 'all':
                raise InputError(f'{lists[missing[0]]}: lists {missing[0]} for {part}, and {self.joints} does not hold '
                                 f'it ({len(missing)} of {len(lists)} videos are missing); download joint_positions '
                                 'again, or name the videos to use with videos')
            found = [name for name in found if name in lists]
        self.videos = self._chosen(videos, found, self.joints, where, 'data_root, split, part or videos')

    def __getitem__(self, index: int) -> Dict[str, Any]:
        """The whole video.

        Raises:
            InputError: fewer frames than joints or than 2, frames of several sizes, files that cannot be read, or no
                joint inside of the first frame.
        """
        name = self.videos[index]
        file = self.joints / name / 'joint_positions.mat'
        points = read_joint_positions(file)
        files = list_images(self.frames / name)
        if len(files) < len(points) or len(points) < 2:
            raise InputError(f'{self.frames / name}: needs 2 or more frames, and as many as {file} has, found '
                             f'{len(files)} and {len(points)}; download Rename_Images and joint_positions again')
        files = files[:len(points)]
        frames = self._read_all(files, read_image, 'download Rename_Images again')
        size = frames.shape[1:3]
        inside = points_inside(torch.from_numpy(points[0]), size)
        if not bool(inside.any()):
            raise InputError(f'{file}: no joint lies inside of the first frame of {size[0]}x{size[1]} px (height x '
                             'width), so there is nothing to follow; leave the video out')
        sample = ClipSample(metainfo=dict(scene=name, size=size, names=tuple(path.stem for path in files)),
                            points=torch.from_numpy(points), visible=inside.repeat(len(points), 1))
        return dict(inputs=torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()), data_samples=sample)


def _lists(folder: Path, split: Any, part: str, classes: Set[str]) -> Dict[str, Path]:
    """The videos ``<class>/<video>`` of a part, each with the file that lists it: of the given classes, and of all
    others that have a list."""
    if not isinstance(split, int):
        raise ConfigError(f"JhmdbClips.split must be 1, 2 or 3, or 'all' for all videos, got {split!r}")
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of lists; download the splits, or set split='all' for all "
                         'videos that have joints')
    ending = f'_test_split{split}.txt'
    classes = classes | {path.name[:-len(ending)] for path in folder.glob(f'[!.]*{ending}')}
    files = {kind: folder / f'{kind}{ending}' for kind in sorted(classes)}
    return {f'{kind}/{name}': file for kind, file in files.items() for name, number in read_jhmdb_split(file).items()
            if number == PARTS[part]}

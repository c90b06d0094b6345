"""Published data sets, laid out as they are downloaded."""
from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Union

import numpy as np

from mmrefine.datasets.frame_pairs import FramePairs
from mmrefine.datasets.scenes import Opener
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import ListedFrames, list_folder, list_images
from mmrefine.fileio.video.numbering import find_jumps
from mmrefine.registry import DATASETS
from mmrefine.values import as_choice

# 000000_10.png: scene and frame; 10 and 11 are the pair with ground truth
_KITTI_NAME = re.compile(r'(\d{6})_(\d{2})')
_KITTI_PAIR = ('10', '11')
_KITTI_AROUND = ('09', *_KITTI_PAIR, '12')


@DATASETS.register_module()
class SintelPairs(FramePairs):
    """The frame pairs of MPI Sintel.

    Frames are ``<data_root>/training/<pass>/<scene>/frame_0001.png``, their ground truth
    ``training/flow/<scene>/frame_0001.flo``. Regions, if their files exist: ``occluded``
    (``training/occlusions/<scene>/frame_0001.png``) and ``invalid`` (``training/invalid/…``).

    Args:
        data_root: the folder that holds ``training`` and ``test``.
        pass_name: 'final', 'clean' or 'albedo'.
        split: 'training', or 'test', which has no truth.
        kwargs: see :class:`FramePairs`.

    Raises:
        ConfigError: another pass or split.
        InputError: no such folder.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 pass_name: str = 'final',
                 split: str = 'training',
                 **kwargs: Any) -> None:
        as_choice('SintelPairs.pass_name', pass_name, ('final', 'clean', 'albedo'))
        folder = _split_folder('SintelPairs', data_root, split, ('training', 'test'))
        truth = folder / 'flow'
        kwargs.setdefault('truth_root', truth if truth.is_dir() else None)
        self._folder = folder
        super().__init__(folder / pass_name, **kwargs)

    def _regions_of(self, scene: str, stem: str) -> Dict[str, Path]:
        folders = (('occluded', 'occlusions'), ('invalid', 'invalid'))
        return _existing({name: self._folder / part / scene / f'{stem}.png' for name, part in folders})


@DATASETS.register_module()
class KittiPairs(FramePairs):
    """The frame pairs of KITTI 2015.

    Frames are ``<data_root>/training/image_2/000000_10.png`` and ``_11.png``, their ground truth
    ``training/flow_occ/000000_10.png``. The scene is '000000'; frames of different scenes may differ in size. Regions,
    if their files exist: ``noc``, where ``training/flow_noc/000000_10.png`` has truth, and ``foreground``, the objects
    of ``training/obj_map/000000_10.png``.

    Args:
        data_root: the folder that holds ``training`` and ``testing``.
        split: 'training', or 'testing', which has no truth.
        multiview: take all frames 00 to 20 of a scene (the multi-view extension), not only 10 and 11.
        without_benchmark: leave out frames 09 to 12, the benchmark pair and a neighbour on either side, so that the
            others can be learned from while the pair is judged; with ``multiview`` only.
        kwargs: see :class:`FramePairs`.

    Raises:
        ConfigError: another split, or ``without_benchmark`` without ``multiview``.
        InputError: no such folder, or no frames in it.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 split: str = 'training',
                 multiview: bool = False,
                 without_benchmark: bool = False,
                 **kwargs: Any) -> None:
        if without_benchmark and not multiview:
            raise ConfigError('KittiPairs.without_benchmark=True leaves nothing where multiview=False; set '
                              'multiview=True, which needs the multi-view extension')
        folder = _split_folder('KittiPairs', data_root, split, ('training', 'testing'))
        truth = folder / 'flow_occ'
        kwargs.setdefault('truth_root', truth if truth.is_dir() else None)
        self._folder = folder
        self.multiview, self.without_benchmark = multiview, without_benchmark
        self._files: Dict[str, List[Path]] = {}
        super().__init__(folder / 'image_2', **kwargs)

    def _find_scenes(self) -> Mapping[str, Opener]:
        for file in list_images(self.data_root):
            name = _KITTI_NAME.fullmatch(file.stem)
            if name and self._takes(name[2]):
                self._files.setdefault(name[1], []).append(file)
        if not self._files:
            wanted = '000000_00.png (the multi-view extension)' if self.without_benchmark else '000000_10.png'
            raise InputError(f'{self.data_root}: holds no frames named like {wanted}; correct data_root or split')
        for scene, files in self._files.items():
            if len(files) < 2:
                raise InputError(f'{self.data_root}: scene {scene} holds only {files[0].name}, motion needs at least 2 '
                                 'frames; download the archive again')
        return {scene: functools.partial(_KittiFrames, self.data_root, files) for scene, files in self._files.items()}

    def gaps(self, scene: str) -> List[int]:
        """Rising numbers of the frames before which frames are missing or left out."""
        return find_jumps([int(file.stem[-2:]) for file in self._files[scene]])

    def _takes(self, frame: str) -> bool:
        """Whether the frames of this number, such as '10', are used."""
        if not self.multiview:
            return frame in _KITTI_PAIR
        return not (self.without_benchmark and frame in _KITTI_AROUND)

    def _names_of(self, scene: str) -> List[str]:
        return [file.stem for file in self._files[scene]]

    def _truth_of(self, scene: str, stem: str) -> Optional[Path]:
        path = None if self.truth_root is None else self.truth_root / f'{stem}.png'
        return path if path is not None and path.exists() else None

    def _regions_of(self, scene: str, stem: str) -> Dict[str, Path]:
        folders = (('noc', 'flow_noc'), ('foreground', 'obj_map'))
        return _existing({name: self._folder / part / f'{stem}.png' for name, part in folders})


@DATASETS.register_module()
class SpringPairs(FramePairs):
    """The frame pairs of Spring.

    Frames are ``<data_root>/train/0001/frame_left/frame_left_0001.png``, their ground truth
    ``0001/flow_FW_left/flow_FW_left_0001.flo5``. The truth of a reversed pair is in ``flow_BW_left``. Regions, if
    their files exist, in ``0001/maps``: ``detail``, ``unmatched``, ``nonrigid``, ``sky``. Reading the truth needs h5py.

    Args:
        data_root: the folder that holds ``train`` and ``test``.
        camera: 'left' or 'right'.
        split: 'train', or 'test', which has no truth.
        kwargs: see :class:`FramePairs`; without ``truth_root``.

    Raises:
        ConfigError: another camera or split.
        InputError: no such folder, or no scenes in it.
    """

    def __init__(self, data_root: Union[str, Path], camera: str = 'left', split: str = 'train', **kwargs: Any) -> None:
        as_choice('SpringPairs.camera', camera, ('left', 'right'))
        self.camera = camera
        super().__init__(_split_folder('SpringPairs', data_root, split, ('train', 'test')), **kwargs)

    def _find_scenes(self) -> Mapping[str, Opener]:
        name = f'frame_{self.camera}'
        folders = list_folder(self.data_root)
        scenes: Dict[str, Opener] = {path.name: path / name for path in folders if (path / name).is_dir()}
        if not scenes:
            raise InputError(f'{self.data_root}: holds no scenes with a folder {name}; correct data_root or split')
        return scenes

    def _pairs_of(self, scene: str, both: bool) -> Iterator[Dict[str, Any]]:
        for pair in super()._pairs_of(scene, both):
            if pair['step'] == 1:
                # frame_left_0001 -> flow_FW_left_0001.flo5
                number = pair['key'].rpartition('/')[2].partition('__')[0].rpartition('_')[2]
                folder, way = self.data_root / scene, f'{"BW" if pair["reverse"] else "FW"}_{self.camera}'
                truth = folder / f'flow_{way}' / f'flow_{way}_{number}.flo5'
                maps = (('detail', f'detailmap_flow_{way}'), ('unmatched', f'matchmap_flow_{way}'),
                        ('nonrigid', f'rigidmap_{way}'), ('sky', f'skymap_{self.camera}'))
                if truth.is_file():
                    pair['truth'] = truth
                    pair['region_files'] = _existing(
                        {name: folder / 'maps' / part / f'{part}_{number}.png' for name, part in maps})
            yield pair


class _KittiFrames(ListedFrames):
    """The frames of one scene among the many in a folder."""

    def __init__(self, folder: Path, files: List[Path]) -> None:
        super().__init__(folder)
        self.files = files
        self.size = read_image(files[0]).shape[:2]

    def _load(self, index: int) -> np.ndarray:
        frame = read_image(self.files[index])
        if frame.shape[:2] != self.size:
            raise InputError(f'{self.path}: frames of one scene differ in size, {self.files[0].name} is {self.size[1]} '
                             f'x {self.size[0]} and {self.files[index].name} is {frame.shape[1]} x {frame.shape[0]}; '
                             'download the archive again')
        return frame


def _existing(paths: Mapping[str, Path]) -> Dict[str, Path]:
    return {name: path for name, path in paths.items() if path.is_file()}


def _split_folder(name: str, data_root: Union[str, Path], split: Any, choices: tuple) -> Path:
    """The folder of the split, which must exist."""
    as_choice(f'{name}.split', split, choices)
    folder = Path(data_root) / split
    if not folder.is_dir():
        raise InputError(f'{folder}: there is no such folder; {name}.data_root is the folder that holds '
                         f'{" and ".join(choices)}')
    return folder

"""Published data sets, laid out as they are downloaded."""
from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

import numpy as np

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.digest import digest_of_files
from mmrefine.fileio.frames import FrameSource, list_images
from mmrefine.fileio.images import read_image
from mmrefine.registry import DATASETS

from .frame_pairs import FramePairs, Opener

__all__ = ['KittiPairs', 'SintelPairs']

# 000000_10.png: scene and frame; 10 and 11 are the pair with ground truth
_KITTI_NAME = re.compile(r'(\d{6})_(\d{2})')
_KITTI_PAIR = ('10', '11')


@DATASETS.register_module()
class SintelPairs(FramePairs):
    """MPI Sintel: ``<data_root>/training/<pass>/<scene>/frame_0001.png``, truth ``training/flow/<scene>/frame_0001.flo``.

    Args:
        data_root: the folder that holds ``training`` and ``test``.
        pass_name: 'final', 'clean' or 'albedo'.
        split: 'training', or 'test', which has no truth.
        kwargs: as in :class:`FramePairs`, which see.

    Raises:
        ConfigError: another pass or split.
        InputError: no such folder.
    """

    def __init__(self, data_root: Union[str, Path], pass_name: str = 'final', split: str = 'training', **kwargs: Any) -> None:
        _check_choice('SintelPairs.pass_name', pass_name, ('final', 'clean', 'albedo'))
        folder = _split_folder('SintelPairs', data_root, split, ('training', 'test'))
        truth = folder / 'flow'
        kwargs.setdefault('truth_root', truth if truth.is_dir() else None)
        super().__init__(folder / pass_name, **kwargs)


@DATASETS.register_module()
class KittiPairs(FramePairs):
    """KITTI 2015: ``<data_root>/training/image_2/000000_10.png`` and ``_11.png``, truth ``training/flow_occ/000000_10.png``.

    The scene is '000000'; frames of different scenes may differ in size.

    Args:
        data_root: the folder that holds ``training`` and ``testing``.
        split: 'training', or 'testing', which has no truth.
        multiview: take all frames 00 to 20 of a scene (the multi-view extension), not only 10 and 11.
        kwargs: as in :class:`FramePairs`, which see.

    Raises:
        ConfigError: another split.
        InputError: no such folder, or no frames in it.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 split: str = 'training',
                 multiview: bool = False,
                 **kwargs: Any) -> None:
        folder = _split_folder('KittiPairs', data_root, split, ('training', 'testing'))
        truth = folder / 'flow_occ'
        kwargs.setdefault('truth_root', truth if truth.is_dir() else None)
        self.multiview = multiview
        self._files: Dict[str, List[Path]] = {}
        super().__init__(folder / 'image_2', **kwargs)

    def _find_scenes(self) -> Mapping[str, Opener]:
        for file in list_images(self.data_root):
            name = _KITTI_NAME.fullmatch(file.stem)
            if name and (self.multiview or name[2] in _KITTI_PAIR):
                self._files.setdefault(name[1], []).append(file)
        if not self._files:
            raise InputError(f'{self.data_root}: holds no frames named like 000000_10.png; correct data_root or split')
        for scene, files in self._files.items():
            if len(files) < 2:
                raise InputError(f'{self.data_root}: scene {scene} holds only {files[0].name}, motion needs at least 2 frames; '
                                 'download the archive again')
        return {scene: functools.partial(_KittiFrames, self.data_root, files) for scene, files in self._files.items()}

    def _names_of(self, scene: str) -> List[str]:
        return [file.stem for file in self._files[scene]]

    def _truth_of(self, scene: str, stem: str) -> Optional[Path]:
        path = None if self.truth_root is None else self.truth_root / f'{stem}.png'
        return path if path is not None and path.exists() else None


class _KittiFrames(FrameSource):
    """The frames of one scene among the many in a folder."""

    def __init__(self, folder: Path, files: List[Path]) -> None:
        super().__init__(folder)
        self.files = files
        self.size = read_image(files[0]).shape[:2]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].stem

    def digest(self) -> str:
        return digest_of_files((file.stem, file) for file in self.files)

    def _load(self, index: int) -> np.ndarray:
        frame = read_image(self.files[index])
        if frame.shape[:2] != self.size:
            raise InputError(f'{self.path}: frames of one scene differ in size, {self.files[0].name} is {self.size[1]} x '
                             f'{self.size[0]} and {self.files[index].name} is {frame.shape[1]} x {frame.shape[0]}; '
                             'download the archive again')
        return frame


def _check_choice(key: str, value: Any, choices: tuple) -> None:
    if value not in choices:
        raise ConfigError(f'{key} must be one of {", ".join(choices)}, got {value!r}')


def _split_folder(name: str, data_root: Union[str, Path], split: Any, choices: tuple) -> Path:
    """The folder of the split, which must exist."""
    _check_choice(f'{name}.split', split, choices)
    folder = Path(data_root) / split
    if not folder.is_dir():
        raise InputError(f'{folder}: there is no such folder; {name}.data_root is the folder that holds {" and ".join(choices)}')
    return folder

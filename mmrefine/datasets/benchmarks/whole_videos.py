"""Data sets whose items are whole videos with annotations."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import numpy as np
from torch.utils.data import Dataset

from mmrefine.datasets.scenes import SceneNames
from mmrefine.errors import ConfigError, InputError


class WholeVideos(Dataset):
    """Base of such data sets, for MMEngine's evaluator.

    Attributes:
        videos: the names in use, in order.
    """
    videos: List[str]

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What MMEngine's evaluator records of a dataset."""
        return dict(dataset=type(self).__name__, videos=list(self.videos))

    def __len__(self) -> int:
        return len(self.videos)

    @staticmethod
    def _chosen(videos: SceneNames, found: List[str], folder: Path, where: str, keys: str) -> List[str]:
        """The videos in use.

        Args:
            videos: 'all', a name, or a list of names.
            found: the names that there are.
            folder: that was searched.
            where: as the message goes on, such as ``', it holds'``.
            keys: of the config to correct.

        Raises:
            ConfigError: one of them is not there, or there are none.
        """
        chosen = found if videos == 'all' else [videos] if isinstance(videos, str) else list(videos)
        missing = [name for name in chosen if name not in found]
        if missing or not chosen:
            raise ConfigError(f'{folder}: {f"there is no video {missing[0]!r}" if missing else "there are no videos"}'
                              f'{where} {len(found)}; correct {keys}')
        return chosen

    @staticmethod
    def _read_all(files: Sequence[Path], read: Callable[[Path], np.ndarray], remedy: str) -> np.ndarray:
        """Pictures of one size in one array ``(T, H, W, …)``.

        Args:
            files: of the pictures, one or more.
            read: gives that of a file.
            remedy: how the message ends.

        Raises:
            InputError: one of another size than the first; names it.
        """
        found = [read(path) for path in files]
        height, width = found[0].shape[:2]
        for path, picture in zip(files, found):
            if picture.shape[:2] != (height, width):
                raise InputError(f'{path}: is {picture.shape[0]}x{picture.shape[1]} px (height x width), and the first '
                                 f'frame {height}x{width}; {remedy}')
        return np.stack(found)

"""Data sets whose items are whole videos with annotations."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from torch.utils.data import Dataset

from mmrefine.datasets.scenes import SceneNames
from mmrefine.errors import ConfigError


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

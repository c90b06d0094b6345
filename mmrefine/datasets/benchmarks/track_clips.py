"""What data sets of clips with true tracks have in common."""
from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch.utils.data import Dataset

from mmrefine.errors import InputError
from mmrefine.fileio.video.frames import pictures_of
from mmrefine.fileio.video.reading import resized
from mmrefine.structures import TrackSample
from mmrefine.values import as_size

Size = Tuple[int, int]
# (height, width), or several that frames are brought to one after the other
Sizes = Optional[Sequence[Union[int, Sequence[int]]]]


@dataclass(frozen=True)
class TrueTracks:
    """True tracks of a clip, px of its original frames.

    Args:
        points: ``(N, T, 2)`` px (x, y); anything where ``known`` is false.
        visible: ``(N, T)`` bool.
        known: ``(N, T)`` bool, where a prediction is compared with them.
        queries: ``(N, 3)``, frame, y, x; None: each track begins in the first frame.
        masks: ``(T, H, W)`` uint8, ids of objects; None: not known.
    """
    points: np.ndarray
    visible: np.ndarray
    known: np.ndarray
    queries: Optional[np.ndarray] = None
    masks: Optional[np.ndarray] = None


class TrackClips(Dataset):
    """Base of the data sets of clips with true tracks.

    An item has ``inputs``, uint8 ``(T, 3, H, W)`` RGB, and ``data_samples``, a
    :class:`~mmrefine.structures.TrackSample` with ``points``, ``visible`` and ``weight`` (1 where the truth is known),
    and ``queries`` where tracks begin in any frame. Frames are resized as :class:`~mmrefine.fileio.Reading` does, which
    averages where they shrink; edges of the frame stay edges, so a point ``p`` moves to
    ``(p + 0.5) * wanted / side - 0.5``.

    Args:
        resize: (height, width) of the frames, px; several of them are applied one after the other. None: as they are.

    Attributes:
        clips: one dict per item, with ``key``, ``scene``, ``numbers`` of its frames and ``truth``, the path of the
            annotations.
        left_out: clips (of TAP-Vid: videos) without a track that can be judged.

    Raises:
        ConfigError: a size that is invalid.
    """

    def __init__(self, resize: Sizes = None) -> None:
        several = [] if resize is None else [resize] if not _lists_sizes(resize) else list(resize)
        self.sizes = [as_size(f'{type(self).__name__}.resize', size) for size in several]
        self.clips: List[Dict[str, Any]] = []
        self.left_out = 0

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What MMEngine's evaluator records of a dataset."""
        return dict(dataset=type(self).__name__, scenes=list(dict.fromkeys(clip['scene'] for clip in self.clips)),
                    clips=len(self.clips), left_out=self.left_out)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        """A clip with its tracks.

        Raises:
            InputError: frames that cannot be read, or are of several sizes.
        """
        clip = self.clips[index]
        frames, tracks = self._load(clip)
        own = frames[0].shape[:2]
        for frame in frames:
            if frame.shape[:2] != own:
                raise InputError(f'{clip["key"]}: its frames are {own[0]}x{own[1]} and {frame.shape[0]}x'
                                 f'{frame.shape[1]} px (height x width); copy them again')
        for size in self.sizes:
            frames = [frame if frame.shape[:2] == size else resized(frame, size) for frame in frames]
        size = (int(frames[0].shape[0]), int(frames[0].shape[1]))
        sample = TrackSample(metainfo=dict(key=clip['key'], scene=clip['scene'], size=size, **self._more(clip)))
        sample.points = torch.from_numpy(scale_points(tracks.points, own, size).astype(np.float32))
        sample.visible = torch.from_numpy(tracks.visible.astype(np.float32))
        sample.weight = torch.from_numpy(tracks.known.astype(np.float32))
        if tracks.queries is not None:
            starts = scale_points(tracks.queries[:, :0:-1], own, size)
            queries = np.concatenate([tracks.queries[:, :1], starts[:, ::-1]], axis=1)
            sample.queries = torch.from_numpy(queries.astype(np.float32))
        if tracks.masks is not None:
            rows, columns = (np.minimum(((np.arange(wanted) + 0.5) * side / wanted).astype(int), side - 1)
                             for wanted, side in zip(size, tracks.masks.shape[1:]))
            sample.masks = torch.from_numpy(tracks.masks[:, rows[:, None], columns])
        inputs = np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2))
        return dict(inputs=torch.from_numpy(inputs), data_samples=sample)

    def points_of_interest(self) -> Iterator[Tuple[str, int, float, float]]:
        """Scene, number of the frame in it, x and y (px of the frames of the items) of all points that are known and
        visible, each once: what ``WindowQueries`` reads from a table. Reads the frames, too."""
        for index, clip in enumerate(self.clips):
            sample = self[index]['data_samples']
            numbers, points = clip['numbers'] or range(sample.points.shape[1]), sample.points.double()
            for t, number in enumerate(numbers):
                shown = (sample.visible[:, t] > 0) & (sample.weight[:, t] > 0)
                for x, y in dict.fromkeys(map(tuple, points[shown, t].tolist())):
                    yield clip['scene'], number, x, y

    @abstractmethod
    def _load(self, clip: Dict[str, Any]) -> Tuple[List[np.ndarray], TrueTracks]:
        """The frames ``(H, W, 3)`` uint8 RGB of a clip, and its tracks."""

    def _more(self, clip: Dict[str, Any]) -> Dict[str, Any]:
        """Further meta fields of the sample."""
        return {}

    def _check_found(self, where: Path, what: str) -> None:
        """Refuse a data set without clips."""
        if not self.clips:
            raise InputError(f'{where}: none of {self.left_out} clips has {what}; check that the annotations belong to '
                             'the frames')


def scale_points(points: np.ndarray, size: Size, wanted: Size) -> np.ndarray:
    """Where points ``(..., 2)`` px (x, y) of a frame lie once it is resized, ``(p + 0.5) * wanted / side - 0.5``."""
    return np.asarray((points + 0.5) * (np.array(wanted[::-1]) / np.array(size[::-1])) - 0.5)


def numbered_pictures(folder: Path) -> List[Path]:
    """The pictures of a folder, which are numbered from 1 without a gap.

    Raises:
        InputError: no such folder, or a picture is missing; names its number.
    """
    files = pictures_of(folder)
    for number, file in enumerate(files, start=1):
        if not file.stem.isdecimal() or int(file.stem) != number:
            raise InputError(f'{folder}: must hold the frames 1 to {len(files)}, and {file.name} is where '
                             f'{number:06d}{file.suffix} should be; download the data set again')
    return files


def _lists_sizes(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, (list, tuple)) for one in value)

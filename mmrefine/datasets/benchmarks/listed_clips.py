"""Clips of the videos that a list names, for learning without labels: Kinetics and OxUvA as CorrFlow reads them."""
from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
from mmengine.logging import print_log
from torch.utils.data import Dataset

from mmrefine.datasets.frame_pairs import build_pipeline
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.images import read_image, read_input
from mmrefine.fileio.video.reading import resized
from mmrefine.registry import DATASETS
from mmrefine.structures import label_key
from mmrefine.values import as_count, as_size

_ROW = re.compile(r'\s*([^,]+?)\s*,\s*(\d{1,9})\s*')


@DATASETS.register_module()
class KineticsClips(Dataset):
    """Clips of videos that lie as numbered JPEG files in a folder each, and whose lengths a list knows; no labels.

    Frames are ``<data_root>/<folder>/image_00001.jpg`` and so on; the list has a line ``folder,number of frames`` for
    each video. No folder is listed, and no file is opened before its clip is read, so a list may be as long as that of
    Kinetics. Clips tile each video without overlap: frames 1, 5, 9, then 13, 17, 21, …; what remains at its end is left
    out, and so are videos that are shorter than a clip, which the log counts. As in the code of CorrFlow (Lai and Xie,
    BMVC 2019), but for the last frame of a video, which that never reads.

    ``ds[i]`` is draw i of clip i; ``ds[(i, draw)]`` is clip i under the randomness of (seed, draw) and nothing else.
    The pipeline gets what that of :class:`~mmrefine.datasets.FrameClips` gets.

    Args:
        data_root: the folder that the folders of the list are in.
        list_file: the list.
        pipeline: transforms (configs or callables), applied in order.
        frames: of a clip, at least 2.
        stride: from one frame of a clip to the next, at least 1.
        resize: (height, width) px that all frames are brought to, whatever their aspect; None: as they are.
        seed: of the augmentations.

    Raises:
        ConfigError: numbers out of range.
        InputError: a missing or broken list (names the line), or no video that is as long as a clip; when an item is
            read, a missing or broken frame, or frames of different sizes in a clip.
    """
    name_of_frame: ClassVar[str] = 'image_{:05d}.jpg'  # from number 1

    def __init__(self,
                 data_root: Union[str, Path],
                 list_file: Union[str, Path],
                 pipeline: Sequence[Any] = (),
                 frames: int = 3,
                 stride: int = 4,
                 resize: Optional[Tuple[int, int]] = (256, 256),
                 seed: int = 0) -> None:
        kind = type(self).__name__
        self.data_root, self.seed = Path(data_root), seed
        self.frames, self.stride = as_count(f'{kind}.frames', frames, 2), as_count(f'{kind}.stride', stride)
        self.resize = None if resize is None else as_size(f'{kind}.resize', resize, 16)
        reach = (self.frames - 1) * self.stride
        videos = list(_read_list(Path(list_file)))
        counts = [max(0, (length - 1 - reach) // (self.frames * self.stride) + 1) for _, length in videos]
        short = counts.count(0)
        if short == len(videos):
            raise InputError(f'{list_file}: none of its {len(videos)} videos has the {reach + 1} frames that a clip of '
                             f'{self.frames} frames with stride={self.stride} needs; lower stride or frames')
        if short:
            print_log(f'{list_file}: {short} of {len(videos)} videos are shorter than a clip ({reach + 1} frames) and '
                      'left out', 'current', logging.WARNING)
        self.videos = [name for (name, _), count in zip(videos, counts) if count]
        self._ends = np.cumsum([count for count in counts if count])
        self.pipeline = build_pipeline(pipeline)

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What MMEngine's evaluator and checkpoints record of a dataset."""
        return dict(dataset=type(self).__name__, videos=len(self.videos))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, item: Union[int, Tuple[int, int]]) -> Any:
        """Clip ``i`` or ``(i, draw)`` after the pipeline.

        Raises:
            InputError: a frame that cannot be read, or frames of different sizes.
        """
        index, draw = item if isinstance(item, tuple) else (item, int(range(len(self))[item]))
        index = range(len(self))[index]
        video = int(np.searchsorted(self._ends, index, side='right'))
        place = index - (int(self._ends[video - 1]) if video else 0)
        first = place * self.frames * self.stride
        numbers = tuple(range(first, first + self.frames * self.stride, self.stride))
        files = [self.data_root / self.videos[video] / self.name_of_frame.format(number + 1) for number in numbers]
        frames = self._read(files)
        scene = self.videos[video]
        results: Any = dict(
            key=label_key(scene, files[0].stem, files[-1].stem, self.stride), scene=scene, index=first,
            stride=self.stride, numbers=numbers, truth=None, labels=None, frames=frames, size=frames[0].shape[:2],
            smallest_size=self.smallest_size, rng=np.random.default_rng((self.seed, draw)))
        for transform in self.pipeline:
            results = transform(results)
        return results

    def smallest_size(self) -> Tuple[int, int]:
        """(height, width) px of all frames.

        Raises:
            ConfigError: they are not resized, and nobody knows.
        """
        if self.resize is None:
            raise ConfigError(f'the frames of {type(self).__name__} may have many sizes, which are not known before '
                              'they are read; set its resize, or fit=False of RandomCrop')
        return self.resize

    def _read(self, files: Sequence[Path]) -> List[np.ndarray]:
        found = [read_image(file) for file in files]
        for file, frame in zip(files, found):
            if frame.shape != found[0].shape:
                raise InputError(f'{file}: is {frame.shape[0]}x{frame.shape[1]} px (height x width), and '
                                 f'{files[0].name} of the same video is {found[0].shape[0]}x{found[0].shape[1]}; '
                                 'extract the frames again, or leave the video out of the list')
        return found if self.resize is None else [resized(frame, self.resize) for frame in found]


@DATASETS.register_module()
class OxuvaClips(KineticsClips):
    """Clips of OxUvA (Valmadre et al., ECCV 2018), as :class:`KineticsClips`; frames are
    ``<data_root>/vid0000/000001.jpeg`` and so on."""
    name_of_frame = '{:06d}.jpeg'


def _read_list(path: Path) -> Iterator[Tuple[str, int]]:
    """Folder and number of frames of each video."""
    try:
        lines = read_input(path).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is not text ({error}); name a list of lines "folder,number of frames"') from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = _ROW.fullmatch(line)
            if row is None:
                raise InputError(f'{path}, line {number}: must be "folder,number of frames", got '
                                 f'{line.strip()[:60]!r}; correct the line or leave it out')
            yield row[1], int(row[2])
    if not any(line.strip() for line in lines):
        raise InputError(f'{path}: names no video; each line must be "folder,number of frames"')

"""The interface of all sources of frames, and the source that reads a folder of pictures."""
from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.digest import digest_of, digest_of_files
from mmrefine.fileio.grey_levels import Levels, choose_levels, to_8_bits
from mmrefine.fileio.images import IMAGE_SUFFIXES, decode_image, header_size, read_deep, read_image, read_input
from mmrefine.fileio.picture_formats import has_deep_pixels, holds_several

# the two frames of a pair and one neighbour; a frame source never caches more, however long the video is
CACHED_FRAMES = 3
# PNG and JPEG state their size within these bytes, unless a camera put a long preview before it
_HEADER_BYTES = 1 << 16
# frames that decide the grey levels of a scene, and the levels of the last scenes, by the state of these files
_LEVEL_SAMPLE, _CACHED_LEVELS = 16, 256
_LEVELS: Dict[Any, Optional[Levels]] = {}


@dataclass(frozen=True)
class PictureSeries:
    """Some of the pictures of a folder, which are a scene.

    Args:
        path: the folder.
        name: what the names of the pictures share, such as ``left``.
        files: in order.
    """
    path: Path
    name: str
    files: Tuple[Path, ...]

    def __str__(self) -> str:
        return f'{self.path} ({self.files[0].name}, …)'


# where the frames of a scene are: a folder, some pictures of a folder, or a video file
Place = Union[Path, PictureSeries]


class FrameSource(ABC):
    """The frames of one scene: ``len(source)``, ``source[i]`` is ``(H, W, 3)`` uint8 RGB, all of one size, at least
    two.

    The pixels do not depend on the order of access. Only the last few frames are cached. A source can be pickled
    and forked; each worker opens its own files.

    Args:
        path: the folder or file, as the user named it.

    Attributes:
        path: the folder or file.
        size: (height, width) of every frame, px.
    """
    size: Tuple[int, int]

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._cache: 'OrderedDict[int, np.ndarray]' = OrderedDict()

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames, at least two."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Name of a frame, unique within the scene and without a suffix."""

    @abstractmethod
    def digest(self) -> str:
        """16 hex digits that change when any frame or frame name does."""

    @abstractmethod
    def _load(self, index: int) -> np.ndarray:
        """The frame from its file; ``index`` is in range."""

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f'{self.path}: frame {index} of {len(self)}')
        index %= len(self)
        if index not in self._cache:
            self._remember(index, self._load(index))
        self._cache.move_to_end(index)
        return self._cache[index].copy()  # callers may change their copy

    def _remember(self, index: int, frame: np.ndarray) -> None:
        self._cache[index] = frame
        while len(self._cache) > CACHED_FRAMES:
            self._cache.popitem(last=False)

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, '_cache': OrderedDict()}

    def __repr__(self) -> str:
        height, width = self.size
        return f'{type(self).__name__}({str(self.path)!r}, {len(self)} frames of {width} x {height})'


class ListedFrames(FrameSource):
    """Frames in one file each, ``files`` in order; the name of a frame is the stem of its file."""
    files: List[Path]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The stem of the file of frame ``index``."""
        return self.files[index].stem

    def digest(self) -> str:
        """Hash of the names and contents of all files."""
        return digest_of_files((file.stem, file) for file in self.files)


class FolderFrames(ListedFrames):
    """The pictures of a folder in natural order (``f2`` before ``f10``); hidden files and other files are left out.

    Args:
        path: the folder.
        skip: names of corrupt frames, which keep their numbers and are never requested.
        files: the pictures of the folder that are used, in order; default: all.
        levels: the grey levels that become 0 and 255. Default: the range of the scene if its pictures have more than 8
            bits, see :func:`~mmrefine.fileio.grey_levels.choose_levels`; else the pictures as they are.

    Raises:
        InputError: no such folder, fewer than two pictures, two pictures of one name, different sizes, a broken
            picture.
    """

    def __init__(self, path: PathLike, skip: Sequence[str] = (), files: Optional[Sequence[Path]] = None,
                 levels: Optional[Levels] = None) -> None:
        super().__init__(path)
        self.files = list_images(self.path) if files is None else list(files)
        self._good = [file for file in self.files if file.stem not in set(skip)]
        if len(self.files) < 2:
            found = f'holds only {self.files[0].name}' if self.files else 'holds no pictures'
            raise InputError(f'{self.path}: {found}, motion needs at least 2 frames ({", ".join(IMAGE_SUFFIXES)}); '
                             'name a folder of frames, a folder of such folders, or a video')
        seen: Dict[str, Path] = {}
        for file in self.files:
            if file.stem in seen:
                remedy = 'keep one format' if seen[file.stem].parent == file.parent else 'rename one of them'
                raise InputError(f'{self.path}: {seen[file.stem].name} and {file.name} are two frames of one name; '
                                 f'{remedy}')
            seen[file.stem] = file
        if len(self._good) < 2:
            raise InputError(f'{self.path}: only {len(self._good)} of {len(self.files)} frames are left without those '
                             'to skip, and motion needs at least 2; copy or export the others again')
        self.size = read_image(self._good[0]).shape[:2]
        self._check_sizes()
        self.levels = levels_of_pictures(self._good) if levels is None else (float(levels[0]), float(levels[1]))

    def digest(self) -> str:
        """Hash of the names and contents of all files, and of the grey levels if the pictures are scaled."""
        return super().digest() if self.levels is None else digest_of([super().digest(), list(self.levels)])

    def _load(self, index: int) -> np.ndarray:
        file = self.files[index]
        frame = read_image(file) if self.levels is None else to_8_bits(read_deep(file), self.levels)
        return self._checked(file, frame)

    def _checked(self, file: Path, frame: np.ndarray) -> np.ndarray:
        check_size(self._good[0], self.size, file, frame.shape[:2])
        return frame

    def _check_sizes(self) -> None:
        """Find a frame of another size now, by the headers, not hours later in the middle of labelling."""
        first = header_size(_head(self._good[0]))
        for file in self._good[1:]:
            if header_size(_head(file)) != first:  # or rotated by EXIF, or of another format: decode it to be sure
                self._checked(file, decode_image(read_input(file), file))


def levels_of_pictures(files: Sequence[Path]) -> Optional[Levels]:
    """The range of grey levels of a scene, from frames spread over it; None if they have 8 bits, or use at least half
    of 16 bits.

    Raises:
        InputError: a picture that cannot be read.
    """
    sample = [files[int(at)] for at in sorted(set(np.linspace(0, len(files) - 1, _LEVEL_SAMPLE, dtype=int)))]
    if not any(has_deep_pixels(_head(file)) for file in sample):
        return None
    state = tuple((str(file), os.stat(file).st_mtime_ns, os.stat(file).st_size) for file in sample)
    if state not in _LEVELS:
        if len(_LEVELS) >= _CACHED_LEVELS:
            _LEVELS.clear()
        _LEVELS[state] = choose_levels(map(read_deep, sample))
    return _LEVELS[state]


def check_size(first: Path, size: Tuple[int, ...], file: Path, found: Tuple[int, ...]) -> None:
    """Refuse a picture of another size than the first one of its folder.

    Args:
        first: the first picture.
        size: its (height, width), px.
        file: another one.
        found: its (height, width), px.

    Raises:
        InputError: the sizes differ.
    """
    if found != size:
        raise InputError(f'{file.parent}: frames differ in size, {first.name} is {size[1]} x {size[0]} and {file.name} '
                         f'is {found[1]} x {found[0]}; put each size into its own folder')


def list_images(folder: Path) -> List[Path]:
    """The pictures in ``folder`` itself, in natural order; animated GIFs and TIFFs of several pages are videos.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    return [entry for entry in list_folder(folder) if is_picture(entry)]


def is_picture(path: Path) -> bool:
    """Whether a path is a file with the suffix of a picture that does not hold several."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not holds_several(path)


def pictures_of(place: Place) -> List[Path]:
    """The pictures of a folder or series, in natural order."""
    return list(place.files) if isinstance(place, PictureSeries) else list_images(place)


def list_folder(folder: Path) -> List[Path]:
    """The entries of ``folder`` in natural order, without hidden ones.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    try:
        return sorted((entry for entry in folder.iterdir() if not entry.name.startswith('.')), key=_natural)
    except OSError as error:
        raise InputError(f'{folder}: cannot be listed as a folder ({error.strerror}); check the path') from error


def _head(file: Path) -> bytes:
    try:
        with open(file, 'rb') as stream:
            return stream.read(_HEADER_BYTES)
    except OSError as error:
        raise InputError(f'{file}: cannot be opened ({error.strerror}); check the path') from error


def _natural(path: Path) -> Tuple[List[Tuple[int, Union[int, str]]], str]:
    """Sort key: digits count as numbers; equal numbers (``1``, ``01``) fall back to the name."""
    parts = re.split(r'(\d+)', path.name)
    # isdigit() also holds for '²' and '①', which are no part of a number, neither here nor to int()
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part], path.name

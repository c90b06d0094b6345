"""The interface of all sources of frames, and the source that reads a folder of pictures."""
from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.digest import digest_of_files
from mmrefine.fileio.images import IMAGE_SUFFIXES, decode_image, header_size, read_image, read_input

# the two frames of a pair and one neighbour; a frame source never caches more, however long the video is
CACHED_FRAMES = 3
# PNG and JPEG state their size within these bytes, unless a camera put a long preview before it
_HEADER_BYTES = 1 << 16


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

    Raises:
        InputError: no such folder, fewer than two pictures, two pictures of one name, different sizes, a broken
            picture.
    """

    def __init__(self, path: PathLike, skip: Sequence[str] = ()) -> None:
        super().__init__(path)
        self.files = list_images(self.path)
        self._good = [file for file in self.files if file.stem not in set(skip)]
        if len(self.files) < 2:
            found = f'holds only {self.files[0].name}' if self.files else 'holds no pictures'
            raise InputError(f'{self.path}: {found}, motion needs at least 2 frames ({", ".join(IMAGE_SUFFIXES)}); '
                             'name a folder of frames, a folder of such folders, or a video')
        seen: Dict[str, Path] = {}
        for file in self.files:
            if file.stem in seen:
                raise InputError(f'{self.path}: {seen[file.stem].name} and {file.name} are two frames of one name; '
                                 'keep one format')
            seen[file.stem] = file
        if len(self._good) < 2:
            raise InputError(f'{self.path}: only {len(self._good)} of {len(self.files)} frames are left without those '
                             'to skip, and motion needs at least 2; copy or export the others again')
        self.size = read_image(self._good[0]).shape[:2]
        self._check_sizes()

    def _load(self, index: int) -> np.ndarray:
        return self._checked(self.files[index], read_image(self.files[index]))

    def _checked(self, file: Path, frame: np.ndarray) -> np.ndarray:
        if frame.shape[:2] != self.size:
            (height1, width1), (height, width) = self.size, frame.shape[:2]
            raise InputError(f'{self.path}: frames differ in size, {self._good[0].name} is {width1} x {height1} and '
                             f'{file.name} is {width} x {height}; put each size into its own folder')
        return frame

    def _check_sizes(self) -> None:
        """Find a frame of another size now, by the headers, not hours later in the middle of labelling."""
        first = header_size(_head(self._good[0]))
        for file in self._good[1:]:
            if header_size(_head(file)) != first:  # or rotated by EXIF, or of another format: decode it to be sure
                self._checked(file, decode_image(read_input(file), file))


def list_images(folder: Path) -> List[Path]:
    """The pictures in ``folder`` itself, in natural order.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    return [entry for entry in list_folder(folder) if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]


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
    parts = re.split(r'([0-9]+)', path.name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part], path.name

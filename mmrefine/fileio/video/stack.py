"""The pages of a TIFF file as frames, as microscopes write them."""
from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.digest import digest_of, digest_of_files
from mmrefine.fileio.grey_levels import Levels, choose_levels, to_8_bits
from mmrefine.fileio.picture_formats import find_cut, picture_numbers
from mmrefine.fileio.video.frames import FrameSource
from mmrefine.fileio.video.index import frame_name

STACK_SUFFIXES = ('.tif', '.tiff')
_LEVEL_SAMPLE = 16  # pages that decide the grey levels
_MOST_AHEAD, _MOST_BYTES = 32, 16 * 2**20  # pages that are read at once, and their bytes


class StackFrames(FrameSource):
    """The pages of a TIFF file; ``frame_000000`` is the first. A page is read when it is asked for.

    Args:
        path: the file.
        levels: the grey levels that become 0 and 255; default: the range of its pages if they have more than 8 bits,
            see :func:`~mmrefine.fileio.grey_levels.choose_levels`.

    Raises:
        InputError: a missing, truncated or damaged file, or one of fewer than two pages.
    """

    def __init__(self, path: PathLike, levels: Optional[Levels] = None) -> None:
        super().__init__(path)
        try:
            with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                damage, self._pages = find_cut(data), picture_numbers(data)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise InputError(f'{path}: cannot be opened ({getattr(error, "strerror", None) or "the file is empty"}); '
                             'check the path, or copy the file again') from error
        if damage or len(self._pages) < 2:
            found = damage or f'it holds {len(self._pages)} page, and motion needs at least 2'
            raise InputError(f'{path}: cannot be read as a stack of frames ({found}); copy or export it again')
        self._ahead: Dict[int, np.ndarray] = {}
        self._last, self._page_bytes = -2, 0
        self.size: Tuple[int, int] = self._page(0).shape[:2]
        if levels is None:
            chosen = sorted(set(np.linspace(0, len(self._pages) - 1, _LEVEL_SAMPLE, dtype=int)))
            self.levels = choose_levels(self._page(int(number)) for number in chosen)
        else:
            self.levels = (float(levels[0]), float(levels[1]))

    def __len__(self) -> int:
        return len(self._pages)

    def name(self, index: int) -> str:
        """The number of page ``index``, written so that names sort as frames do."""
        return frame_name(range(len(self))[index])

    def digest(self) -> str:
        """Hash of the contents of the file, and of the grey levels if its pages are scaled."""
        contents = digest_of_files([('', Path(self.path))])
        return contents if self.levels is None else digest_of([contents, list(self.levels)])

    def __getstate__(self) -> Dict[str, Any]:
        return {**super().__getstate__(), '_ahead': {}}

    def _load(self, index: int) -> np.ndarray:
        page = self._page(index)
        if page.shape[:2] != self.size:
            raise InputError(f'{self.path}: pages differ in size, the first is {self.size[1]} x {self.size[0]} and '
                             f'page {index + 1} is {page.shape[1]} x {page.shape[0]}; put each size into its own file')
        if self.levels is not None:
            scaled = to_8_bits(page, self.levels)
        else:  # all of one level, or 16 bits, of which the upper 8 are read
            scaled = (page >> 8 if page.dtype == np.uint16 else page).astype(np.uint8)
        return np.ascontiguousarray(scaled[..., 2::-1] if scaled.shape[2] > 2 else scaled[..., :1].repeat(3, axis=2))

    def _page(self, index: int) -> np.ndarray:
        """A page ``(H, W, C)`` in OpenCV's order of channels, with all bits."""
        number = self._pages[index]
        if number not in self._ahead:
            # OpenCV walks through all pages before the first one that it reads, so who reads on gets some at once
            goes_on, size = number - 1 == self._last, max(1, self._page_bytes)
            self._ahead = self._read(number, min(_MOST_AHEAD, max(1, _MOST_BYTES // size)) if goes_on else 1)
        self._last = number
        page = self._ahead.get(number)
        if page is None:
            raise InputError(f'{self.path}: page {index + 1} cannot be read; copy or export the file again')
        self._page_bytes = page.nbytes
        return page

    def _read(self, first: int, count: int) -> Dict[int, np.ndarray]:
        """Pages of the file by number, ``(H, W, C)``; of ``count`` pages of which one cannot be read maybe fewer."""
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        try:
            _, pages = cv2.imreadmulti(str(self.path), start=first, count=count, flags=flags)
        except cv2.error:
            pages = ()
        if not pages and count > 1:
            return self._read(first, 1)
        return {first + at: np.asarray(page).reshape(*page.shape[:2], -1) for at, page in enumerate(pages)}

"""The masks that a user gives for some frames of a video: read, checked, and as maps."""
from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.davis import read_ids_or_white
from mmrefine.geometry import VOID, ids_of, one_hot

Mask = Union[np.ndarray, Tensor, str, Path]
Masks = Union[Mask, Mapping[int, Mask]]


class GivenMasks:
    """Masks of objects in some frames.

    Objects are numbered without gaps inside, so that high ids cost no more than low ones. A picture of black and white
    shows one object, id 1, if it is the first or if the first is one, too; else its white might be void.

    Args:
        masks: ``(H, W)`` ids (0 background, 255 void), or the file of them, by the number of the frame; a single one
            is that of frame 0.

    Attributes:
        numbers: of the frames, rising.
        ids: of the objects, rising.

    Raises:
        InputError: no mask, a key that is no number, one that cannot be read or is none, one of another size than the
            first, a first one without an object, a later one that is all void, or one of black and white after a
            first one with ids.
    """

    def __init__(self, masks: Masks) -> None:
        named = dict(masks) if isinstance(masks, Mapping) else {0: masks}
        if not named:
            raise InputError('no masks are given; give that of at least one frame')
        for number in named:
            if not isinstance(number, Integral):
                raise InputError(f'masks has the key {number!r}, and each must be the number of a frame, from 0; '
                                 'correct it')
        self.names = {number: _name(named[number], number) for number in sorted(named)}
        read = {number: _read(named[number], self.names[number]) for number in self.names}
        self.masks = {number: ids for number, (ids, _) in read.items()}
        self.numbers = tuple(self.masks)
        first = self.numbers[0]
        self.size: Tuple[int, int] = self.masks[first].shape
        for number, mask in self.masks.items():
            if mask.shape != self.size:
                raise InputError(f'{self.names[number]}: the mask is {_sides(mask.shape)}, that of frame {first} is '
                                 f'{_sides(self.size)} (height x width); give all masks at the size of the frames')
            white = read[number][1]
            if white and not read[first][1]:
                raise InputError(f'{self.names[number]}: is black and white, and as the mask of frame {first} '
                                 f'({self.names[first]}) has ids, white could be an object or void (255); draw the '
                                 'object with its id, or save ids and void with the palette of DAVIS')
            if (mask == VOID).all() or white and mask.all() or number == first and not _objects(mask):
                raise InputError(f'{self.names[number]}: shows no object, all of it is background (0) or void (255); '
                                 'draw each object with an id of its own, from 1 to 254')
        self.ids = tuple(sorted({one for mask in self.masks.values() for one in _objects(mask)}))

    def check(self, video: str, size: Tuple[int, int], count: int) -> None:
        """Compare with the ``count`` frames of a video.

        Raises:
            InputError: they are of another size, or there are fewer.
        """
        for number in self.numbers:
            if not 0 <= number < count:
                raise InputError(f'{self.names[number]}: belongs to frame {number}, and {video} has the frames 0 to '
                                 f'{count - 1}; correct the number')
        if tuple(size) != self.size:
            raise InputError(f'{self.names[self.numbers[0]]}: the mask is {_sides(self.size)}, and the frames of '
                             f'{video} are {_sides(size)} (height x width); draw the mask at the size of the frames')

    def maps(self) -> Dict[int, Tensor]:
        """Maps ``(K + 1, H, W)`` of background and objects in the order of :attr:`ids`, by the number of the frame."""
        places = np.zeros(256, np.int64)
        places[list(self.ids)], places[VOID] = np.arange(1, len(self.ids) + 1), VOID
        return {number: one_hot(torch.from_numpy(places[mask]), len(self.ids)) for number, mask in self.masks.items()}

    def ids_of(self, maps: Tensor) -> np.ndarray:
        """The ids ``(H, W)`` uint8 that maps ``(K + 1, H, W)`` stand for."""
        found: np.ndarray = np.array([0, *self.ids], np.uint8)[ids_of(maps).cpu().numpy()]
        return found


def _objects(mask: np.ndarray) -> Tuple[int, ...]:
    return tuple(one for one in np.unique(mask).tolist() if one not in (0, VOID))


def _name(mask: Any, number: int) -> str:
    return str(mask) if isinstance(mask, (str, Path)) else f'masks[{number!r}]'


def _read(mask: Any, name: str) -> Tuple[np.ndarray, bool]:
    """Ids ``(H, W)`` uint8, and whether they are a picture of black and white."""
    if isinstance(mask, (str, Path)):
        return read_ids_or_white(mask)
    found = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    ids = found.size and found.dtype.kind in 'bui'
    if found.ndim != 2 or not ids or found.min() < 0 or found.max() > VOID:
        values = f' with values from {found.min()} to {found.max()}' if ids else ''
        raise InputError(f'{name} must be the path of a mask or an array (H, W) of whole numbers from 0 to 255, the '
                         f'ids of objects, got {found.dtype} {found.shape}{values}')
    return found.astype(np.uint8), False


def _sides(size: Tuple[int, ...]) -> str:
    return f'{size[0]}x{size[1]} px'

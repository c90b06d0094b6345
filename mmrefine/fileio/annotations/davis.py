"""Masks of objects as indexed or coloured pictures."""
from __future__ import annotations

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.images import decode_pixels, read_input


def read_ids(path: PathLike) -> np.ndarray:
    """The ids of the objects in an annotation of DAVIS: ``(H, W)`` uint8, 0 is background, 255 void.

    A picture of black and white only (DAVIS-2016) shows one object, id 1. Else grey levels are ids, and colours are
    those of the palette that DAVIS took from PASCAL, whose bits encode the id.

    Raises:
        InputError: a missing, truncated, damaged or unknown file, or colours of another palette.
    """
    try:
        pixels = decode_pixels(read_input(path))
        if pixels.dtype != np.uint8:
            raise ValueError('not a picture of 8 bits')
    except ValueError as error:
        raise InputError(f'{path}: cannot be read as a mask of objects ({error}); copy or export it again') from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)[..., :3]
    if not ((pixels > 0) & (pixels < 255)).any() and (pixels == pixels[..., :1]).all():
        return (pixels[..., 0] > 0).astype(np.uint8)
    if pixels.shape[-1] < 3:
        return pixels[..., 0].copy()
    ids = np.zeros(pixels.shape[:2], np.uint8)
    for bit in range(8):
        # id bits 0, 1, 2 are the highest bits of red, green, blue, id bits 3, 4, 5 the next, …
        ids |= (pixels[..., 2 - bit % 3] >> (7 - bit // 3) & 1) << bit
    if not np.array_equal(_palette()[ids], pixels):
        raise InputError(f'{path}: has colours outside the palette of DAVIS, so the ids are unknown; export it '
                         'with its palette')
    return ids


def _palette() -> np.ndarray:
    """Colours ``(256, 3)`` uint8 BGR by id."""
    ids = np.arange(256, dtype=np.uint8)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colors[:, 2 - bit % 3] |= (ids >> bit & 1) << (7 - bit // 3)
    return colors

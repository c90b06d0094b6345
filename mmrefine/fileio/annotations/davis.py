"""Masks of objects as indexed or coloured pictures."""
from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Sequence, Tuple

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, write_bytes
from mmrefine.fileio.images import decode_pixels, read_input
from mmrefine.fileio.png import SIGNATURE

_INDEXED = 3  # the colour type of a PNG with a palette
_JPEG = b'\xff\xd8'
_LARGE, _MANY = 32, 8  # objects have ids from 1 on, so that one above this is rare among so few


def read_ids(path: PathLike) -> np.ndarray:
    """The ids of the objects in an annotation of DAVIS: ``(H, W)`` uint8, 0 is background, 255 void.

    A picture of black and white only (DAVIS-2016) shows one object, id 1. Else grey levels are ids, and colours are
    those of the palette that DAVIS took from PASCAL, whose bits encode the id.

    Raises:
        InputError: a missing, truncated, damaged or unknown file, transparent pixels, colours of another palette, or
            blurred ids: a JPEG, or soft edges.
    """
    return read_ids_or_white(path)[0]


def read_ids_or_white(path: PathLike) -> Tuple[np.ndarray, bool]:
    """:func:`read_ids`, and whether the picture is of black and white only, with white.

    Raises:
        InputError: see there.
    """
    data = read_input(path)
    try:
        pixels = decode_pixels(data)
        if pixels.dtype != np.uint8:
            raise ValueError(f'its pixels are {pixels.dtype}, those of a mask uint8, 0 to 255')
    except ValueError as error:
        raise InputError(f'{path}: cannot be read as a mask of objects ({error}); copy or export it again') from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if (pixels[..., 3:] < 255).any():
        raise InputError(f'{path}: is partly transparent, and what is transparent has no id; export it without '
                         'transparency (alpha)')
    pixels = pixels[..., :3]
    if not ((pixels > 0) & (pixels < 255)).any() and (pixels == pixels[..., :1]).all():
        ids = (pixels[..., 0] > 0).astype(np.uint8)
        return ids, bool(ids.any())
    if data.startswith(_JPEG):
        raise InputError(f'{path}: is a JPEG, in which the ids of objects are blurred; export the mask as PNG')
    if pixels.shape[-1] < 3:
        return _unblurred(path, pixels[..., 0].copy()), False
    ids = np.zeros(pixels.shape[:2], np.uint8)
    for bit in range(8):
        # id bits 0, 1, 2 are the highest bits of red, green, blue, id bits 3, 4, 5 the next, …
        ids |= (pixels[..., 2 - bit % 3] >> (7 - bit // 3) & 1) << bit
    if not np.array_equal(object_colors()[ids, ::-1], pixels):
        raise InputError(f'{path}: has colours outside the palette of DAVIS, so the ids are unknown; export it '
                         'with its palette')
    return ids, False


def _unblurred(path: PathLike, ids: np.ndarray) -> np.ndarray:
    """Refuse grey levels that are the soft edges of objects, which would be rims of many objects.

    Soft edges are thin and touch: most pixels of their levels lie in no 2x2 block of one id, and beside another object
    or between a lower and a higher id. Objects are wider, or they lie apart.
    """
    block = ids[:-1, :-1] == ids[1:, 1:]
    block &= (ids[:-1, :-1] == ids[1:, :-1]) & (ids[:-1, :-1] == ids[:-1, 1:])
    block = np.pad(block, 1)
    wide = block[:-1, :-1] | block[:-1, 1:] | block[1:, :-1] | block[1:, 1:]
    around = np.ones((3, 3), np.uint8)
    lower, higher = cv2.erode(ids, around) < ids, cv2.dilate(ids, around) > ids
    lower_object = cv2.erode(np.where(ids == 0, np.uint8(255), ids), around) < ids
    higher_object = cv2.dilate(np.where(ids == 255, np.uint8(0), ids), around) > ids
    thin = ~wide & (lower & higher | lower_object | higher_object)
    counts, of_thin = (np.bincount(some, minlength=256)[1:255] for some in (ids.ravel(), ids[thin]))
    levels, soft = (np.flatnonzero(some) + 1 for some in (counts, 2 * of_thin > counts))
    if len(soft) > 1 and 3 * len(soft) >= 2 * len(levels) and (soft[-1] > _LARGE or len(soft) >= _MANY):
        raise InputError(f'{path}: has {len(levels)} grey levels from {levels[0]} to {levels[-1]}, most of them in '
                         'thin rims, like a mask with soft edges, and each of them would be an object; export it '
                         'without smoothing, in black and white or as ids with the palette of DAVIS')
    return ids


def write_ids(path: PathLike, ids: np.ndarray) -> None:
    """Write :func:`encode_ids` of ids ``(H, W)`` uint8, whole or not at all.

    Raises:
        ValueError: another shape or type.
        OSError: the disk is full or the folder cannot be written.
    """
    try:
        write_bytes(path, encode_ids(ids))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def encode_ids(ids: np.ndarray) -> bytes:
    """Ids ``(H, W)`` uint8 as a PNG with the palette of DAVIS.

    So the ids are the pixels for who opens it as indexed picture, as the official evaluation does.

    Raises:
        ValueError: another shape or type.
    """
    if ids.dtype != np.uint8 or ids.ndim != 2 or not ids.size:
        raise ValueError(f'a mask of ids is (H, W) uint8, got {ids.shape} {ids.dtype}')
    height, width = ids.shape
    rows = np.pad(ids, ((0, 0), (1, 0)))  # a filter of 0, none, before each
    chunks = ((b'IHDR', struct.pack('>IIBBBBB', width, height, 8, _INDEXED, 0, 0, 0)),
              (b'PLTE', object_colors().tobytes()), (b'IDAT', zlib.compress(rows.tobytes())), (b'IEND', b''))
    return SIGNATURE + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks)


def write_masks(root: PathLike, scene: str, names: Sequence[str], masks: np.ndarray) -> None:
    """Write the masks of a video as ``<root>/<scene>/<name>.png``, as the official evaluation takes results.

    Args:
        root: of the results.
        scene: name of the video.
        names: of its frames, such as ``'00000'``.
        masks: ``(T, H, W)`` uint8 ids.

    Raises:
        ValueError: another shape or type, or another number of names.
        OSError: the disk is full or the folder cannot be written.
    """
    if len(names) != len(masks):
        raise ValueError(f'{scene}: there are {len(masks)} masks and {len(names)} names of frames')
    for name, ids in zip(names, masks):
        write_ids(Path(root) / scene / f'{name}.png', ids)


def object_colors() -> np.ndarray:
    """The palette of DAVIS: colours ``(256, 3)`` uint8 RGB by id."""
    ids = np.arange(256, dtype=np.uint8)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colors[:, bit % 3] |= (ids >> bit & 1) << (7 - bit // 3)
    return colors

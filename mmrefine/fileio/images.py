"""Image files as ``(H, W, 3)`` uint8 RGB, and the check that a file is whole.

OpenCV reads a truncated JPEG (up to version 4 also a PNG) as a picture that ends in grey or black, with at most a
line on stderr. A half-copied frame would then become a label; so the bytes are checked before they are decoded.
"""
from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Optional, Tuple

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, write_bytes
from mmrefine.fileio.grey_levels import choose_levels, to_8_bits
from mmrefine.fileio.picture_formats import find_cut, has_other_numbers, promised_size
from mmrefine.values import MAX_PIXELS

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.ppm', '.webp', '.tif', '.tiff', '.gif', '.jp2', '.avif', '.pgm',
                  '.pnm', '.jpe', '.jfif', '.dib')
_WRITTEN = IMAGE_SUFFIXES[:6]

_PNG = b'\x89PNG\r\n\x1a\n'
# inside compressed JPEG data, FF is followed by 00 (a literal FF), by a restart mark D0-D7, or by padding FF
_JPEG_MARKER = re.compile(rb'\xff([^\x00\xd0-\xd7\xff])', re.DOTALL)
_BLANK = rb'(?:\s|#[^\n]*\n)+'  # one character or one comment at a time, else a row of blanks fits in too many ways
_PPM_HEADER = re.compile(rb'P([56])' + 3 * (_BLANK + rb'(\d{1,9})') + rb'\s')
_PPM_HEADER_BYTES = 4096
_DEFLATE = 1032  # bytes that one byte of a PNG may expand to, at most
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def read_image(path: PathLike) -> np.ndarray:
    """The picture at ``path``: ``(H, W, 3)`` uint8 RGB, upright as its EXIF says.

    16-bit pictures keep their upper 8 bits, pictures of other numbers than 8 or 16 bits are scaled to their own range,
    grey ones become three equal channels, alpha is dropped.

    Raises:
        InputError: a missing, truncated, damaged or unknown file.
    """
    return decode_image(read_input(path), path)


def decode_image(data: bytes, path: PathLike) -> np.ndarray:
    """``read_image`` for bytes in memory; ``path`` is for error messages."""
    if has_other_numbers(data):
        pixels = read_deep(path, data)
        return to_8_bits(pixels, choose_levels([pixels]) or (0., 255.))
    return cv2.cvtColor(_decoded(data, path, cv2.IMREAD_COLOR, 'picture'), cv2.COLOR_BGR2RGB)


def read_deep(path: PathLike, data: Optional[bytes] = None) -> np.ndarray:
    """The picture at ``path`` with all its bits, ``(H, W, 3)`` RGB of any type, upright.

    Args:
        path: the file.
        data: its bytes if they are known.

    Raises:
        InputError: a missing, truncated, damaged or unknown file.
    """
    pixels = _decoded(read_input(path) if data is None else data, path, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH,
                      'picture')
    grey = pixels.reshape(*pixels.shape[:2], -1)
    return np.ascontiguousarray(grey[..., 2::-1] if grey.shape[2] > 2 else grey[..., :1].repeat(3, axis=2))


def decode_pixels(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """The pixels of a picture as OpenCV decodes them with these flags: ``(H, W)`` or ``(H, W, C)``, blue first.

    Raises:
        ValueError: empty, damaged, larger than ``MAX_PIXELS``, or of an unknown format.
    """
    damage = find_damage(data)
    if damage is None:
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            pixels, damage = None, str(error.err)
        except MemoryError:
            pixels, damage = None, 'it needs more memory than there is'
        if pixels is not None:
            return np.asarray(pixels)
    raise ValueError(damage or 'unknown format or damaged data')


def read_mask(path: PathLike) -> np.ndarray:
    """Where the picture at ``path`` is not black: ``(H, W)`` bool; whatever its depth, alpha does not count.

    Raises:
        InputError: a missing, truncated, damaged or unknown file.
    """
    pixels = _decoded(read_input(path), path, cv2.IMREAD_UNCHANGED, 'mask')
    return np.asarray((pixels.reshape(*pixels.shape[:2], -1)[..., :3] > 0).any(axis=-1))


def write_image(path: PathLike, rgb: np.ndarray) -> None:
    """Write ``(H, W, 3)`` or ``(H, W)`` uint8 as the format of the suffix, whole or not at all.

    Raises:
        ValueError: another shape or type, or another suffix than .png, .jpg, .jpeg, .bmp, .ppm and .webp.
        OSError: the disk is full or the folder cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITTEN:
        raise ValueError(f'{path}: a picture needs one of {", ".join(_WRITTEN)}, got {suffix!r}')
    if rgb.dtype != np.uint8 or not (rgb.ndim == 2 or (rgb.ndim == 3 and rgb.shape[2] == 3)):
        raise ValueError(f'{path}: a picture is (H, W, 3) or (H, W) uint8, got {rgb.shape} {rgb.dtype}')
    bgr = rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    write_bytes(path, cv2.imencode(suffix, bgr)[1].tobytes())


def read_input(path: PathLike) -> bytes:
    """The bytes of a file that the user named.

    Raises:
        InputError: the file is missing, empty, a folder, or not readable by this user.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f'{path}: cannot be opened ({error.strerror}); check the path') from error
    if not data:
        raise InputError(f'{path}: the file is empty; copy or export it again')
    return data


def find_damage(data: bytes) -> Optional[str]:
    """Why the bytes cannot be a whole picture, in a few words; ``None`` if no damage is found.

    PNG: every chunk with its checksum up to IEND. JPEG: its segments up to the end-of-image mark (the marks of an
        embedded preview do not count). BMP, PPM, WebP: the length that the header promises. TIFF, GIF, JPEG 2000, AVIF:
        see :func:`~mmrefine.fileio.picture_formats.find_cut`. All: the size that it promises. Nothing else is checked,
        and nothing is decoded.
    """
    if not data:
        return 'the file is empty'
    size = header_size(data)
    if size is not None and not 0 < size[0] * size[1] <= MAX_PIXELS:
        return f'its header promises {size[1]} x {size[0]} pixels, at most {MAX_PIXELS} are read'
    if data.startswith(_PNG):
        return _png_damage(data)
    if data.startswith(b'\xff\xd8'):
        return _jpeg_walk(data)[0]
    promised = None
    if data.startswith(b'BM') and len(data) >= 6:
        promised = struct.unpack_from('<I', data, 2)[0]
    elif data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        promised = struct.unpack_from('<I', data, 4)[0] + 8
    else:
        header = _PPM_HEADER.match(data, 0, _PPM_HEADER_BYTES)
        if header:
            kind, width, height, top = (int(group) for group in header.groups())
            promised = header.end() + width * height * (3 if kind == 6 else 1) * (2 if top > 255 else 1)
    if promised is not None and len(data) < promised:
        return f'truncated: {len(data)} of {promised} bytes'
    return find_cut(data)


def header_size(data: bytes) -> Optional[Tuple[int, int]]:
    """(height, width) as the header says, before EXIF turns it: of a PNG, JPEG, BMP, PPM, GIF, TIFF, WebP, JPEG 2000 or
    AVIF; ``None`` for all else."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from('>II', data, 16)
        return height, width
    if data.startswith(b'\xff\xd8'):
        return _jpeg_walk(data)[1]
    if data.startswith(b'BM') and len(data) >= 26:
        width, height = struct.unpack_from('<ii' if data[14] > 12 else '<HH', data, 18)
        return abs(height), width  # negative: its rows lie from the top down
    header = _PPM_HEADER.match(data, 0, _PPM_HEADER_BYTES)
    return (int(header[3]), int(header[2])) if header else promised_size(data)


def _decoded(data: bytes, path: PathLike, flags: int, kind: str) -> np.ndarray:
    """The pixels as OpenCV decodes them with these flags; damaged data raise InputError."""
    try:
        return decode_pixels(data, flags)
    except ValueError as error:
        raise InputError(f'{path}: cannot be read as a {kind} ({error}); copy or export this '
                         f'{"frame" if kind == "picture" else kind} again') from error


def _png_damage(data: bytes) -> Optional[str]:
    if len(data) >= 26:
        width, height, depth, color = struct.unpack_from('>IIBB', data, 16)
        if width * height * depth * _PNG_CHANNELS.get(color, 1) // 8 > _DEFLATE * len(data):
            return f'its header promises {width} x {height} pixels, which {len(data)} bytes cannot hold'
    at = len(_PNG)
    view = memoryview(data)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4:end - 4]) != struct.unpack_from('>I', data, end - 4)[0]:
            return f'damaged: the checksum of its {ascii(kind)[2:-1]} chunk at byte {at} is wrong'
        if kind == b'IEND':
            return None
        at = end
    return f'truncated: the PNG stops after {len(data)} bytes without its end chunk'


def _jpeg_walk(data: bytes) -> Tuple[Optional[str], Optional[Tuple[int, int]]]:
    """What is wrong with a JPEG, and the (height, width) of its frame header."""
    at, size = 2, None
    while True:
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            return f'truncated: the JPEG stops after {len(data)} bytes without its end mark', size
        marker, at = found.group(1)[0], found.end()
        if marker == 0xd9:
            return None, size
        if marker == 0x01 or at + 2 > len(data):  # TEM stands alone
            continue
        is_frame = 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc)
        if is_frame and at + 7 <= len(data):
            height, width = struct.unpack_from('>HH', data, at + 3)
            size = (height, width)
        at += struct.unpack_from('>H', data, at)[0]

"""Flow files: ``.flo`` (Middlebury, Sintel), 16-bit ``.png`` (KITTI), ``.pfm`` (FlyingThings), ``.flo5`` (Spring).

In memory a flow is ``(H, W, 2)`` float32 px, (x, y), with ``valid`` ``(H, W)`` bool; where it is not valid it is 0.
"""
from __future__ import annotations

import io
import math
import re
import struct
from pathlib import Path
from types import ModuleType
from typing import Optional, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, write_bytes
from mmrefine.fileio.images import decode_pixels, find_damage, read_input
from mmrefine.fileio.png import pack_png, unpack_png
from mmrefine.values import MAX_PIXELS

FLOW_SUFFIXES = ('.flo', '.png', '.pfm', '.flo5')
KITTI_MAX_MOTION = 511.  # px; 16 bits hold up to 2^15 / 64 = 512; the margin avoids values on which readers differ
UNKNOWN = 1e9  # px; a component beyond it means "unknown" (Middlebury); writers use ten times as much

# compression level of zlib: the highest that is still fast to write (`benchmarks/store_size.py` prints size and
# speed)
PACKING = 5

_PFM_HEADER = re.compile(rb'(PF|Pf)\s+(\d{1,9})\s+(\d{1,9})\s+(\S+)[ \t\r]*\n')
_PFM_HEADER_BYTES = 4096


def read_flow(path: PathLike) -> Tuple[np.ndarray, np.ndarray]:
    """The flow at ``path`` by its suffix: ``(H, W, 2)`` float32 px, and ``(H, W)`` bool where it is known.

    Unknown is: KITTI's third channel 0; elsewhere nan, inf or more than 1e9 px. Spring's ``.flo5`` truth has twice the
    rows and columns of its frames, with vectors in px of the frames; it comes back as it is stored.

    Raises:
        InputError: a missing or damaged file, an unknown suffix, or ``.flo5`` without h5py.
    """
    suffix = _checked_suffix(path)
    h5py = _import_h5py(path) if suffix == '.flo5' else None
    data = read_input(path)
    try:
        if suffix == '.png':
            return decode_kitti(data)
        if h5py is not None:
            flow = _decode_flo5(data, h5py)
        else:
            flow = _decode_flo(data) if suffix == '.flo' else _decode_pfm(data)
    except ValueError as error:
        raise InputError(f'{path}: not a readable {suffix} flow ({error}); copy or export it again') from error
    valid = _is_known(flow)
    return np.where(valid[..., None], flow, np.float32(0)), valid


def write_flow(path: PathLike, flow: np.ndarray, valid: Optional[np.ndarray] = None) -> None:
    """Write a flow in the format of the suffix, whole or not at all.

    Args:
        flow: ``(H, W, 2)`` px.
        valid: ``(H, W)`` bool; ``None``: wherever the flow is finite. The rest is marked as unknown, as the
            format does.

    Raises:
        InputError: an unknown suffix, or ``.flo5`` without h5py.
        ValueError: another shape.
        OSError: the disk is full or the folder cannot be written.
    """
    suffix = _checked_suffix(path)
    if suffix in ('.png', '.flo'):
        write_bytes(path, (encode_kitti if suffix == '.png' else encode_flo)(flow, valid))
        return
    flow, valid = _checked_flow(flow, valid)
    unknown = np.float32(np.nan if suffix == '.flo5' else 10 * UNKNOWN)
    flow = np.where(valid[..., None], flow, unknown).astype('<f4')
    height, width = valid.shape
    if suffix == '.pfm':
        rows = np.zeros((height, width, 3), '<f4')
        rows[..., :2] = flow[::-1]  # the format stores its rows from the bottom up
        data = b'PF\n%d %d\n-1.0\n' % (width, height) + rows.tobytes()
    else:
        buffer = io.BytesIO()
        with _import_h5py(path).File(buffer, 'w') as file:
            file.create_dataset('flow', data=flow, compression='gzip', compression_opts=5)
        data = buffer.getvalue()
    write_bytes(path, data)


def encode_flo(flow: np.ndarray, valid: Optional[np.ndarray] = None) -> bytes:
    """A flow as the bytes of a ``.flo`` file; what is not valid becomes 1e10 px.

    Args:
        flow: ``(H, W, 2)`` px.
        valid: ``(H, W)`` bool; ``None``: wherever the flow is finite.
    """
    flow, valid = _checked_flow(flow, valid)
    height, width = valid.shape
    pixels = np.where(valid[..., None], flow, np.float32(10 * UNKNOWN)).astype('<f4')
    return b'PIEH' + struct.pack('<ii', width, height) + pixels.tobytes()


def encode_kitti(flow: np.ndarray,
                 valid: Optional[np.ndarray] = None,
                 packing: int = PACKING,
                 bridge: bool = False) -> bytes:
    """A flow as a 16-bit PNG in KITTI's layout: R = 64 u + 2^15, G = 64 v + 2^15, B = valid.

    Rounded to the nearest 1/64 px, where the development kit truncates (a bias of -1/128 px). Motion beyond ±511 px in
    either axis, or not finite, becomes invalid instead of wrapping around; an invalid pixel is 0 in all three.

    Args:
        flow: ``(H, W, 2)`` px.
        valid: ``(H, W)`` bool; ``None``: wherever the layout can hold the flow.
        packing: compression level of zlib, from 0 to 9; any reader takes all of them.
        bridge: let the first two channels of an invalid pixel repeat the pixel above it instead of being 0: a flow with
            holes takes 5 % less space, and readers that respect the third channel see no difference.
    """
    steps = _kitti_steps(flow, valid)
    return pack_png(_bridged(steps) if bridge else steps, packing)


def decode_kitti(data: bytes) -> Tuple[np.ndarray, np.ndarray]:
    """What ``encode_kitti`` made: ``(H, W, 2)`` float32 px, 0 where invalid, and ``(H, W)`` bool.

    Raises:
        ValueError: damaged, or not a 16-bit PNG of three channels.
    """
    rgb = decode_png(data)
    if rgb.dtype.itemsize != 2 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f'a KITTI flow is a PNG of 3 channels with 16 bits, this one is {rgb.shape} {rgb.dtype}')
    return _from_steps(rgb)


def decode_png(data: bytes) -> np.ndarray:
    """A picture with its stored values: ``(H, W)`` grey or ``(H, W, C)``, RGB first, uint8 or uint16, any byte order.

    Raises:
        ValueError: damaged, or not a picture.
    """
    damage = find_damage(data)
    if damage is not None:
        raise ValueError(damage)
    image = unpack_png(data)
    if image is None:  # written by another program
        image = decode_pixels(data)
        if image.ndim == 3 and image.shape[2] == 3:
            image = image[..., ::-1]
    return image


def fits_kitti(flow: np.ndarray) -> np.ndarray:
    """Where KITTI's layout can hold the motion ``(H, W, 2)`` px: bool ``(H, W)``."""
    inside = np.abs(flow) <= KITTI_MAX_MOTION  # nan compares false
    return inside[..., 0] & inside[..., 1]


def round_kitti(flow: np.ndarray, valid: Optional[np.ndarray] = None) -> Tuple[np.ndarray, np.ndarray]:
    """What ``decode_kitti`` will make of ``encode_kitti(flow, valid)``, to the bit, without packing and unpacking
    it."""
    return _from_steps(_kitti_steps(flow, valid))


def _kitti_steps(flow: np.ndarray, valid: Optional[np.ndarray]) -> np.ndarray:
    """The picture of a flow: ``(H, W, 3)`` uint16, x, y and valid."""
    flow, valid = _checked_flow(flow, valid)
    valid = valid & fits_kitti(flow)
    rgb = np.zeros((*valid.shape, 3), np.uint16)
    rgb[..., 2] = valid
    for axis in (0, 1):
        # times 64 is exact in floats, so rint sees the true value; 2^15 is added to whole numbers
        steps = np.rint(np.where(valid, flow[..., axis], np.float32(0)) * np.float32(64))
        rgb[..., axis] = (steps + np.float32(2**15)) * valid
    return rgb


def _bridged(rgb: np.ndarray) -> np.ndarray:
    """``rgb``, changed in place: an invalid pixel repeats x and y of the one above, in the first row no motion."""
    above = np.full_like(rgb[0, :, :2], 2**15)
    for row in rgb:
        gap = row[:, 2] == 0
        row[gap, :2] = above[gap]
        above = row[:, :2]
    return rgb


def _from_steps(rgb: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The flow of a picture, and where it is valid."""
    valid = rgb[..., 2] > 0
    scale = valid.astype(np.float32)
    scale *= np.float32(1 / 64)  # a power of two: nothing is rounded
    planes = np.empty((2, *valid.shape), np.float32)  # each axis in one piece, as torch wants it next
    for axis, plane in enumerate(planes):
        np.subtract(rgb[..., axis], np.float32(2**15), out=plane)
        plane *= scale
    return planes.transpose(1, 2, 0), valid


def _decode_flo(data: bytes) -> np.ndarray:
    if len(data) < 12 or data[:4] != b'PIEH':
        raise ValueError(f'it starts with {data[:4]!r} instead of PIEH')
    width, height = struct.unpack_from('<ii', data, 4)
    return _floats(data, 12, (height, width, 2), '<f4')


def _decode_pfm(data: bytes) -> np.ndarray:
    header = _PFM_HEADER.match(data, 0, _PFM_HEADER_BYTES)
    if header is None:
        raise ValueError('its header is not "PF, width height, scale"')
    if header.group(1) != b'PF':
        raise ValueError('it has one channel ("Pf"), and a flow needs the colour variant "PF"')
    try:
        scale = float(header.group(4))
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f'its scale is {header.group(4)!r} instead of a number that is not 0')
    shape = (int(header.group(3)), int(header.group(2)), 3)
    rows = _floats(data, header.end(), shape, '<f4' if scale < 0 else '>f4')
    return rows[::-1, :, :2].astype(np.float32)


def _decode_flo5(data: bytes, h5py: ModuleType) -> np.ndarray:
    try:
        with h5py.File(io.BytesIO(data), 'r') as file:
            stored = file['flow']
            shape = tuple(stored.shape)
            if len(shape) != 3 or shape[2] != 2:
                raise ValueError(f'its "flow" is {shape} instead of (H, W, 2)')
            _check_size(*shape[:2])
            return np.asarray(stored, np.float32)
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError) as error:  # a group, text, damaged data
        raise ValueError(str(error)) from error


def _floats(data: bytes, start: int, shape: Tuple[int, int, int], dtype: str) -> np.ndarray:
    height, width, channels = shape
    _check_size(height, width)
    wanted, found = 4 * height * width * channels, len(data) - start
    if found != wanted:
        raise ValueError(f'{"truncated" if found < wanted else "too long"}: {found} of {wanted} bytes for {width} x '
                         f'{height} pixels')
    return np.frombuffer(data, dtype, wanted // 4, start).reshape(shape)


def _check_size(height: int, width: int) -> None:
    if height <= 0 or width <= 0 or height * width > MAX_PIXELS:
        raise ValueError(f'its header promises {width} x {height} pixels, at most {MAX_PIXELS} are read')


def _is_known(flow: np.ndarray) -> np.ndarray:
    known = np.abs(flow) <= UNKNOWN  # nan compares false
    return known[..., 0] & known[..., 1]


def _checked_suffix(path: PathLike) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in FLOW_SUFFIXES:
        raise InputError(f'{path}: a flow file ends in one of {", ".join(FLOW_SUFFIXES)}, got {suffix!r}')
    return suffix


def _checked_flow(flow: np.ndarray, valid: Optional[np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f'a flow is (H, W, 2), got {flow.shape}')
    known = _is_known(flow)
    if valid is None:
        return flow, known
    if valid.shape != flow.shape[:2]:
        raise ValueError(f'valid must be {flow.shape[:2]} like the flow, got {valid.shape}')
    return flow, known & (np.asarray(valid) != 0)


def _import_h5py(path: PathLike) -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise InputError(f'{path}: a .flo5 file needs h5py, which is not installed; '
                         'run "pip install h5py", or convert the file to .flo or .png') from None
    return h5py

"""Our PNGs are everybody's PNGs, and what we cannot unpack ourselves is left to others, never guessed."""
from __future__ import annotations

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

from mmrefine.fileio.flow_io import decode_png
from mmrefine.fileio.images import find_damage
from mmrefine.fileio.png import pack_png, unpack_png


def picture(kind: type, channels: int = 3, height: int = 13, width: int = 17) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)


def by_opencv(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('level', [0, 5, 9])
@pytest.mark.parametrize('size', [(13, 17), (1, 1), (1, 40), (40, 1)])
def test_what_we_pack_is_whole_and_opencv_and_we_unpack_the_same(kind: type, channels: int, level: int,
                                                                 size: tuple) -> None:
    given = picture(kind, channels, *size)
    data = pack_png(given, level)
    found = unpack_png(data)
    assert found is not None and found.dtype.itemsize == given.itemsize
    assert np.array_equal(found, given) and np.array_equal(by_opencv(data), given) and find_damage(data) is None


FILTERS = [getattr(cv2, f'IMWRITE_PNG_FILTER_{name}', 0) for name in ('NONE', 'UP', 'SUB', 'AVG', 'PAETH')]


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('number', range(len(FILTERS)))
def test_whatever_another_program_has_packed_is_read(kind: type, channels: int, number: int) -> None:
    if not hasattr(cv2, 'IMWRITE_PNG_FILTER'):
        pytest.skip('this OpenCV does not choose the filter')
    given = cv2.GaussianBlur(picture(kind, channels), (0, 0), 2.)
    data = cv2.imencode('.png', given[..., ::-1] if channels == 3 else given,
                        [cv2.IMWRITE_PNG_FILTER, FILTERS[number]])[1].tobytes()
    assert np.array_equal(decode_png(data), given)
    if number < 2:
        assert np.array_equal(unpack_png(data), given)
    else:
        assert unpack_png(data) is None


def with_head(data: bytes, at: int, value: int) -> bytes:
    """One byte of IHDR changed, and its checksum with it."""
    head = bytearray(data[16:29])
    head[at] = value
    return data[:16] + bytes(head) + struct.pack('>I', zlib.crc32(b'IHDR' + head)) + data[33:]


GREY = pack_png(picture(np.uint8, 1), 5)


@pytest.mark.parametrize('data', [
    b'', b'no picture', GREY[:20], GREY[:60], GREY[:-12],                     # cut off
    with_head(GREY, 8, 4), with_head(GREY, 9, 3), with_head(GREY, 12, 1),     # 4 bits, a palette, interlaced
    with_head(GREY, 3, 18), with_head(GREY, 7, 14),                           # another size than its data
    GREY[:33] + struct.pack('>I', 2) + b'tRNS\0\0' + struct.pack('>I', zlib.crc32(b'tRNS\0\0')) + GREY[33:],
    GREY[:41] + b'\0' + GREY[42:],                                            # no stream of zlib
    cv2.imencode('.jpg', picture(np.uint8))[1].tobytes(),
])
def test_a_picture_of_another_kind_or_a_damaged_one_is_not_unpacked(data: bytes) -> None:
    assert unpack_png(GREY) is not None and unpack_png(data) is None


def test_a_flipped_bit_in_the_pixels_is_never_taken_for_a_picture() -> None:
    for at in range(41, len(GREY) - 16):
        data = bytearray(GREY)
        data[at] ^= 4
        with pytest.raises(ValueError, match='checksum'):
            decode_png(bytes(data))


def test_pixels_that_expand_beyond_their_size_are_not_unpacked() -> None:
    bomb = zlib.compress(bytes(2**27), 9)
    data = GREY[:33] + struct.pack('>I', len(bomb)) + b'IDAT' + bomb + struct.pack('>I', zlib.crc32(b'IDAT' + bomb))
    tracemalloc.start()
    try:
        assert unpack_png(data + GREY[-12:]) is None
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()

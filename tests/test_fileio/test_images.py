"""Pictures come in whole, as 8-bit RGB, or not at all."""
from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pytest
from helpers_fileio import huge_png, texture, tree

from mmrefine.errors import InputError
from mmrefine.fileio import read_ids, read_image, read_mask, write_image
from mmrefine.fileio.images import find_damage, header_size

SUFFIXES = ['.png', '.jpg', '.bmp', '.ppm', '.webp']


def encoded(suffix: str, picture: np.ndarray) -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF header of one entry (tag 0x112), and a preview: a whole JPEG inside that header."""
    tiff = b'II*\0\x08\0\0\0' + struct.pack('<HHHIHHI', 1, 0x112, 3, 1, orientation, 0, 0)
    body = b'Exif\0\0' + tiff + encoded('.jpg', texture(8, 8))
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.ppm'])
def test_a_lossless_picture_comes_back_as_it_was_in_rgb_order(tmp_path: Path, suffix: str) -> None:
    picture = texture()
    write_image(tmp_path / f'a{suffix}', picture)
    assert np.array_equal(read_image(tmp_path / f'a{suffix}'), picture)
    assert np.array_equal(cv2.imread(str(tmp_path / f'a{suffix}'))[..., ::-1], picture)


def test_a_jpeg_keeps_its_colours_in_place(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8) + np.array([250, 10, 10], np.uint8)
    write_image(tmp_path / 'a.JPG', red)
    assert np.abs(read_image(tmp_path / 'a.JPG').astype(int) - red).max() <= 4


@pytest.mark.parametrize('picture, wanted', [
    (np.full((4, 5), 7, np.uint8), (7, 7, 7)),
    (np.full((4, 5), 7 * 256 + 200, np.uint16), (7, 7, 7)),
    (np.full((4, 5, 3), (3 * 256, 2 * 256, 256), np.uint16), (1, 2, 3)),
    (np.full((4, 5, 4), (3, 2, 1, 0), np.uint8), (1, 2, 3)),
], ids=['grey', 'grey 16-bit', 'colour 16-bit', 'transparent'])
def test_any_png_becomes_8_bit_rgb(tmp_path: Path, picture: np.ndarray, wanted: tuple) -> None:
    (tmp_path / 'a.png').write_bytes(encoded('.png', picture))
    assert np.array_equal(read_image(tmp_path / 'a.png'), np.broadcast_to(np.uint8(wanted), (4, 5, 3)))


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_picture_cut_anywhere_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    data = encoded(suffix, texture())
    assert find_damage(data) is None
    for length in [1, 9, len(data) // 3, len(data) // 2, len(data) - 20, len(data) - 1]:
        (tmp_path / f'frame{suffix}').write_bytes(data[:length])
        with pytest.raises(InputError, match=rf'frame\{suffix}: cannot be read as a picture'):
            read_image(tmp_path / f'frame{suffix}')


def test_a_flipped_bit_inside_a_png_is_noticed() -> None:
    data = bytearray(encoded('.png', texture()))
    data[len(data) // 2] ^= 4
    assert 'checksum of its IDAT chunk' in str(find_damage(bytes(data)))


def test_the_end_mark_of_a_preview_does_not_make_a_cut_jpeg_whole() -> None:
    data = with_orientation(encoded('.jpg', texture(200, 200)), 1)
    assert find_damage(data) is None
    cut = data[:len(data) // 2]
    assert b'\xff\xd9' in cut and 'without its end mark' in str(find_damage(cut))


@pytest.mark.parametrize('params', [[cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]],
                         ids=['progressive', 'restart marks'])
def test_scans_and_restart_marks_do_not_end_a_jpeg(params: list) -> None:
    data = cv2.imencode('.jpg', texture(), params)[1].tobytes()
    assert find_damage(data) is None
    assert find_damage(data + b'what a phone appends') is None
    assert 'without its end mark' in str(find_damage(data[:-2]))


def test_a_phone_picture_is_turned_upright() -> None:
    from mmrefine.fileio.images import decode_image
    flat = encoded('.jpg', texture(24, 40))
    turned = with_orientation(flat, 6)  # "turn by 90 degrees clockwise"
    assert header_size(turned) == (24, 40)
    assert np.array_equal(decode_image(turned, 'a.jpg'), np.rot90(decode_image(flat, 'a.jpg'), -1))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.ppm', '.gif', '.tif', '.webp', '.jp2', '.avif'])
def test_the_header_gives_height_and_width(suffix: str) -> None:
    assert header_size(encoded(suffix, texture(36, 48))) == (36, 48)


def test_a_missing_an_empty_and_a_foreign_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'a\.png: cannot be opened \(No such file'):
        read_image(tmp_path / 'a.png')
    (tmp_path / 'a.png').touch()
    with pytest.raises(InputError, match=r'a\.png: the file is empty'):
        read_image(tmp_path / 'a.png')
    (tmp_path / 'a.png').write_text('<html>not found</html>')
    with pytest.raises(InputError, match=r'a\.png: .*unknown format'):
        read_image(tmp_path / 'a.png')


def resized(suffix: str, at: int, form: str) -> bytes:
    data = encoded(suffix, texture(24, 24))
    return data[:at] + struct.pack(form, 30000, 30000) + data[at + struct.calcsize(form):]


def box(kind: bytes, *inside: bytes) -> bytes:
    """Of a file of the ISO family."""
    data = b''.join(inside)
    return struct.pack('>I', 8 + len(data)) + kind + data


AVIF = box(b'ftyp', b'avif')

HUGE = {
    'PNG': huge_png(65535, 65535),
    'PNG of 2^31 px': huge_png(2**31, 1),
    'PNG of no pixels': huge_png(0, 4),
    'PNG that is too small for its size': huge_png(16000, 16000),
    'JPEG': encoded('.jpg', texture(16, 16)).replace(b'\x08\x00\x10\x00\x10', b'\x08\xff\xff\xff\xff', 1),
    'BMP': (lambda data: data[:18] + struct.pack('<ii', 65535, -65535) + data[26:])(encoded('.bmp', texture(8, 8))),
    'PPM': b'P6 65535 65535 255\n' + bytes(99),
    'screen of a GIF': resized('.gif', 6, '<HH'),
    'picture of a GIF': (lambda data: data.replace(b',' + struct.pack('<HHHH', 0, 0, 24, 24),
                                                   b',' + struct.pack('<HHHH', 0, 0, 30000, 30000), 1)
                         )(encoded('.gif', texture(24, 24))),
    'TIFF': (lambda data: data.replace(struct.pack('<HHIHH', 256, 3, 1, 24, 0), struct.pack('<HHII', 256, 4, 1, 30000))
             .replace(struct.pack('<HHIHH', 257, 3, 1, 24, 0), struct.pack('<HHII', 257, 4, 1, 30000))
             )(encoded('.tif', texture(24, 24))),
    'WebP': b'RIFF' + struct.pack('<I', 22) + b'WEBPVP8X' + struct.pack('<II', 10, 0) + 2 * b'\x2f\x75\0',
    'JPEG 2000': (lambda data: data.replace(struct.pack('>IIII', 64, 64, 0, 0), struct.pack('>IIII', 30000, 30000, 0, 0)
                                            ))(encoded('.jp2', texture(64, 64))),
    'AVIF': (lambda data: data.replace(b'ispe' + struct.pack('>III', 0, 24, 24), b'ispe' + struct.pack(
        '>III', 0, 30000, 30000)))(encoded('.avif', texture(24, 24))),
    'AVIF of tiles': AVIF + box(b'meta', bytes(4), box(b'iprp', box(b'ipco', *(
        box(b'ispe', struct.pack('>III', 0, side, side)) for side in (64, 30000, 64))))),
    'track of an AVIF': AVIF + box(b'meta', b'cut') + box(b'moov', box(b'trak', box(b'tkhd', bytes(76), struct.pack(
        '>II', 30000 << 16, 30000 << 16)))),
}


@pytest.mark.parametrize('read', [read_image, read_mask, read_ids])
@pytest.mark.parametrize('data', HUGE.values(), ids=HUGE)
def test_a_picture_whose_header_promises_too_much_is_refused_before_it_is_decoded(
        tmp_path: Path, read: Callable, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, 'imdecode', None)
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(InputError, match=r'a\.png: cannot be read as a .* \(its header promises \d+ x \d+ pixels'):
        read(tmp_path / 'a.png')


@pytest.mark.parametrize('read', [read_image, read_mask, read_ids])
@pytest.mark.parametrize('head', [b'P6' + b' ' * 40, b'P6' + b' ' * 100_000, b'P5' + b'#\n' * 50_000,
                                  b'P6 ' + b'9' * 5000 + b' 2 255\n', b'P6 2 2 ' + b'\t' * 100_000],
                         ids=['blanks', 'many blanks', 'comments', 'digits', 'tabs'])
def test_the_header_of_a_ppm_is_refused_at_once_whatever_it_consists_of(tmp_path: Path, read: Callable,
                                                                        head: bytes) -> None:
    (tmp_path / 'a.jpg').write_bytes(head)
    begun = time.process_time()
    with pytest.raises(InputError, match=r'a\.jpg: cannot be read as a .*unknown format or damaged data'):
        read(tmp_path / 'a.jpg')
    assert time.process_time() - begun < 1


@pytest.mark.parametrize('data', [
    AVIF + b'\0\0\0\0meta\0\0\0\0' * 100_000,
    AVIF + box(b'meta', bytes(4), box(b'iprp') * 100_000),
    AVIF + struct.pack('>I4sQ', 1, b'meta', 2**63),
    AVIF + struct.pack('>I4sQ', 1, b'moov', 0),
    AVIF + box(b'moov', box(b'trak', box(b'tkhd', b'x'))),
], ids=['nested', 'many', 'too long', 'no length', 'short'])
def test_the_boxes_of_an_avif_are_read_at_once_whatever_they_hold(data: bytes) -> None:
    begun = time.process_time()
    assert header_size(data) is None
    find_damage(data)
    assert time.process_time() - begun < 1


def test_a_comment_in_the_header_of_a_ppm_is_no_part_of_its_size() -> None:
    data = encoded('.ppm', texture(4, 5)).partition(b'5 4')
    commented = data[0] + b'# 9 9\n5 # 7\n \n4' + data[2]
    assert header_size(commented) == (4, 5) and find_damage(commented) is None
    assert 'truncated' in str(find_damage(commented[:-1]))


@pytest.mark.parametrize('name, picture, message', [
    ('a.gif', np.zeros((4, 5, 3), np.uint8), r"a\.gif: .*got '\.gif'"),
    ('a.png', np.zeros((4, 5, 3)), r'\(4, 5, 3\) float64'),
    ('a.png', np.zeros((3, 4, 5), np.uint8), r'\(3, 4, 5\) uint8'),
])
def test_only_8_bit_pictures_are_written(tmp_path: Path, name: str, picture: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_image(tmp_path / name, picture)
    assert tree(tmp_path) == {}

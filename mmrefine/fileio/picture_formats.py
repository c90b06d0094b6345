"""The structure of picture files, as far as it must be known before OpenCV decodes them: where TIFF, GIF, JPEG 2000 and
AVIF files end, and how many pictures a file holds."""
from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union

Bytes = Union[bytes, mmap.mmap]

# files of these suffixes may hold several pictures
_SEVERAL = ('.gif', '.tif', '.tiff')
_JP2 = b'\0\0\0\x0cjP  \r\n\x87\n'
_SIZ = b'\xff\x4f\xff\x51'  # how a codestream of JPEG 2000 begins, in its box or alone
_GIF = (b'GIF87a', b'GIF89a')
# TIFF: byte order and version -> struct's byte order, and the formats of an offset and of a count of entries
_TIFF = {b'II*\0': ('<', 'I', 'H'), b'MM\0*': ('>', 'I', 'H'), b'II+\0': ('<', 'Q', 'Q'), b'MM\0+': ('>', 'Q', 'Q')}
_TIFF_TYPES = {1: 'B', 3: 'H', 4: 'I', 16: 'Q'}
_WIDTH, _HEIGHT = 256, 257
_BITS, _KIND, _OFFSETS, _COUNTS = 258, 339, (273, 324), (279, 325)
_UNSIGNED = 1  # of the tag _KIND
_SUBFILE, _REDUCED = 254, 1  # a smaller copy of another page


class _Cut(Exception):
    """The file ends before what it promises."""


def find_cut(data: Bytes) -> Optional[str]:
    """Why a TIFF, GIF, JPEG 2000 or AVIF file cannot be whole, in a few words; None for whole ones and for all other
    formats."""
    try:
        if data[:4] in _TIFF:
            for _ in _tiff_pages(data):
                pass
        elif data[:6] in _GIF:
            for _ in _gif_frames(data):
                pass
        elif data[:len(_JP2)] == _JP2 or data[4:8] == b'ftyp':
            _walk_boxes(data)
    except (_Cut, struct.error, IndexError):
        return f'truncated: the file stops after {len(data)} bytes, before its end'
    return None


def promised_size(data: Bytes) -> Optional[Tuple[int, int]]:
    """(height, width) that the header of a GIF, TIFF, WebP, JPEG 2000 or AVIF promises, of several pictures the largest
    one; None for damaged ones and for all other formats."""
    try:
        if data[:6] in _GIF:
            return _gif_size(data)
        if data[:4] in _TIFF:
            return _tiff_size(data)
        if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
            return _webp_size(data)
        if data[:len(_JP2)] == _JP2 or data[:4] == _SIZ:
            return _jp2_size(data)
        if data[4:8] == b'ftyp':
            return _avif_size(data)
    except (_Cut, struct.error, IndexError):
        pass
    return None


def picture_numbers(data: Bytes) -> List[int]:
    """The numbers of the pages of a TIFF that are pictures of their own, not smaller copies such as thumbnails, or of
    the pictures of a GIF; [0] for other formats. Of a damaged file those that are whole."""
    found = []
    try:
        if data[:4] in _TIFF:
            for number, tags in enumerate(_tiff_pages(data)):
                if not tags.get(_SUBFILE, (0, ))[0] & _REDUCED:
                    found.append(number)
        elif data[:6] in _GIF:
            for number, _ in enumerate(_gif_frames(data)):
                found.append(number)
    except (_Cut, struct.error, IndexError):
        pass
    return found or [0]


def holds_several(path: Path) -> bool:
    """Whether a file is an animated GIF or a TIFF of several pages: a video, not a picture."""
    if path.suffix.lower() not in _SEVERAL or not path.is_file():
        return False
    try:
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return len(picture_numbers(data)) > 1
    except (OSError, ValueError):  # ValueError: an empty file
        return False


def has_deep_pixels(data: bytes) -> bool:
    """Whether the pixels of a picture may have more than 8 bits: a PNG of 16 bits, a PPM with more than 255 levels, and
    any TIFF or JPEG 2000, whose headers do not say it in one place. The first 512 bytes are enough."""
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return len(data) > 24 and data[24] == 16
    if data[:2] in (b'P5', b'P6'):
        fields = b' '.join(line.partition(b'#')[0] for line in data[:512].split(b'\n')).split()
        return len(fields) > 3 and fields[3].isdigit() and len(fields[3]) < 9 and int(fields[3]) > 255
    return data[:4] in _TIFF or data.startswith(_JP2)


def has_other_numbers(data: bytes) -> bool:
    """Whether the pixels of a picture are other numbers than 8 or 16 bits without a sign: a TIFF of floats, of signed
    numbers, or of 32 bits. False for a damaged file."""
    try:
        tags = next(_tiff_pages(data), {}) if data[:4] in _TIFF else {}
    except (_Cut, struct.error):
        return False
    return max(tags.get(_BITS, (1, ))) > 16 or any(kind != _UNSIGNED for kind in tags.get(_KIND, ()))


def _gif_size(data: Bytes) -> Tuple[int, int]:
    """Of the screen, or of the largest picture where one is larger: a decoder makes room for both."""
    width, height = struct.unpack_from('<HH', data, 6)
    sizes = [(height, width)]
    try:
        for at in _gif_frames(data):
            width, height = struct.unpack_from('<HH', data, at + 5)
            sizes.append((height, width))
    except (_Cut, struct.error, IndexError):  # the others decide; where it is cut is for find_cut
        pass
    return max(sizes, key=lambda size: size[0] * size[1])


def _tiff_size(data: Bytes) -> Optional[Tuple[int, int]]:
    sizes = []
    try:
        for tags in _tiff_pages(data, whole=False):
            if tags.get(_WIDTH) and tags.get(_HEIGHT):
                sizes.append((tags[_HEIGHT][0], tags[_WIDTH][0]))
    except (_Cut, struct.error, IndexError):
        pass
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _webp_size(data: Bytes) -> Optional[Tuple[int, int]]:
    """Each of the three kinds of WebP writes it in another way."""
    kind = data[12:16]
    if kind == b'VP8X':
        return 1 + int.from_bytes(data[27:30], 'little'), 1 + int.from_bytes(data[24:27], 'little')
    if kind == b'VP8 ' and data[23:26] == b'\x9d\x01\x2a':
        width, height = struct.unpack_from('<HH', data, 26)
        return height & 0x3fff, width & 0x3fff
    if kind == b'VP8L' and data[20:21] == b'\x2f':
        bits, = struct.unpack_from('<I', data, 21)
        return 1 + (bits >> 14 & 0x3fff), 1 + (bits & 0x3fff)
    return None


def _jp2_size(data: Bytes) -> Optional[Tuple[int, int]]:
    """By the SIZ segment, which the codestream begins with; a decoder believes no other box."""
    at = 0
    while data[at:at + 4] != _SIZ:
        length, kind = struct.unpack_from('>I4s', data, at)
        header = 16 if length == 1 else 8
        if length == 1:
            length, = struct.unpack_from('>Q', data, at + 8)
        if kind != b'jp2c' and length < header:
            return None
        at += header if kind == b'jp2c' else length
    right, bottom, left, top = struct.unpack_from('>IIII', data, at + 8)
    return max(bottom - top, 0), max(right - left, 0)


def _avif_size(data: Bytes) -> Optional[Tuple[int, int]]:
    """The largest of the pictures (``ispe``), of which a large one may consist, and of the tracks (``tkhd``)."""
    sizes = []
    for kinds, place, fraction_bits in (((b'meta', b'iprp', b'ipco', b'ispe'), 4, 0),
                                        ((b'moov', b'trak', b'tkhd'), -8, 16)):
        try:
            for at, end in _nested(data, kinds, 0, len(data)):
                width, height = struct.unpack_from('>II', data[at:end], place)
                sizes.append((height >> fraction_bits, width >> fraction_bits))
        except (_Cut, struct.error):  # the others decide; where it is cut is for find_cut
            pass
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _tiff_pages(data: Bytes, whole: bool = True) -> Iterator[Dict[int, Tuple[int, ...]]]:
    """The tags of each page, up to one whose pixels are not all there if they have to be."""
    order, offset, count = _TIFF[data[:4]]
    at, = struct.unpack_from(order + offset, data, 4 if offset == 'I' else 8)
    seen = {0}
    while at not in seen:
        seen.add(at)
        entries, = struct.unpack_from(order + count, data, at)
        at += struct.calcsize(count)
        size = struct.calcsize('=HH' + 2 * offset)
        tags = {}
        for number in range(entries):
            tag, kind, values = struct.unpack_from(f'{order}HH{offset}', data, at + number * size)
            if kind in _TIFF_TYPES and tag in (_WIDTH, _HEIGHT, _BITS, _KIND, _SUBFILE, *_OFFSETS, *_COUNTS):
                form = f'{order}{values}{_TIFF_TYPES[kind]}'
                inside = at + number * size + struct.calcsize('=HH' + offset)
                if struct.calcsize(form) > struct.calcsize(offset):
                    inside, = struct.unpack_from(order + offset, data, inside)
                if inside + struct.calcsize(form) > len(data):
                    raise _Cut
                tags[tag] = struct.unpack_from(form, data, inside)
        for starts, lengths in zip(_OFFSETS, _COUNTS):
            pieces = zip(tags.get(starts, ()), tags.get(lengths, ()))
            if whole and any(start + length > len(data) for start, length in pieces):
                raise _Cut
        yield tags
        at, = struct.unpack_from(order + offset, data, at + entries * size)


def _gif_frames(data: Bytes) -> Iterator[int]:
    """The place of each picture, up to the trailer."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] != 0x3b:
        if data[at] == 0x2c:
            yield at
            at += 11 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
        elif data[at] == 0x21:
            at += 2
        else:
            raise _Cut
        while data[at]:
            at += data[at] + 1
        at += 1


def _walk_boxes(data: Bytes) -> None:
    """Go over the boxes of a file of the ISO family; JPEG 2000 also has an end mark."""
    for kind, at, end in _boxes(data, 0, len(data)):
        if kind == b'jp2c' and not data[at:end].rstrip(b'\0').endswith(b'\xff\xd9'):
            raise _Cut


def _boxes(data: Bytes, at: int, end: int) -> Iterator[Tuple[bytes, int, int]]:
    """Kind of each box between two places, and where its content begins and ends."""
    while at < end:
        length, kind = struct.unpack_from('>I4s', data, at)
        inside = at + 8
        if length == 1:
            length, = struct.unpack_from('>Q', data, inside)
            inside += 8
        stop = at + length if length else end
        if not inside <= stop <= end:
            raise _Cut
        yield kind, inside, stop
        at = stop


def _nested(data: Bytes, kinds: Sequence[bytes], at: int, end: int) -> Iterator[Tuple[int, int]]:
    """Where the content begins and ends of each box of the last of these kinds, in boxes of the kinds before it."""
    for kind, inside, stop in _boxes(data, at, end):
        if kind == kinds[0] and len(kinds) == 1:
            yield inside, stop
        elif kind == kinds[0]:
            yield from _nested(data, kinds[1:], inside + (4 if kind == b'meta' else 0), stop)

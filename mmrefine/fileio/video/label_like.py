"""Which folders and pictures of a data set are labels (masks, flow, depth) and not frames."""
from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.images import read_input

# of a folder, or of one of the words of a series of pictures; without regard to case
_KINDS = (r'annotations?|(?:[a-z]+_)?masks?|segm?|segmentations?|segmentation_?(?:class|object)(?:_?(?:raw|aug))?|'
          r'semantics?|instances?|panoptic|mattes?|alphas?|trimaps?|saliency|scribbles?|occ|occlusions?|invalid|'
          r'depths?|normals?|disp\d?|disparit(?:y|ies)|(?:optical_?|viz_)?flows?|viz|visuali[sz]ations?|obj_map|'
          r'confidence|gts?|gt_?(?:fine|coarse)|ground[-_ ]?truths?|'
          r'(?:(?:train|val|test|semantic|instance|seg)_?)?labels?|(?:label|instance)_?(?:train_?)?ids?')
_DETAILS = (r'viz|vis|occ|noc|gt|fwd?|bwd?|forward|backward|left|right|colou?rs?|png|flo|maps?|images?|est|pred|'
            r'[uvxy]|0\d*|[1-9]')
_NAMES = re.compile(f'(?:{_KINDS})(?:_(?:{_DETAILS}))*', re.IGNORECASE)
_PNG = b'\x89PNG\r\n\x1a\n'
_GREY, _RGB, _PALETTE = 0, 2, 3
# distinct values in a picture of labels, at most; of colours fewer, as drawn pictures have more of them than labels do
_MOST_VALUES, _MOST_COLOURS = 64, 40
# areas of labels are flat: at least this share of the neighbouring pixels are equal
_FLAT = 0.75
# shades rise by one level at a time, and where labels meet, any two values do; so few values cannot tell
_SHADES, _FEW_VALUES = 0.6, 4
# a picture of flat areas takes at most so many bytes; what takes more is not decoded, as the frames of a film would be
_MOST_BYTES, _MOST_BYTES_A_PIXEL = 4096, 0.25


def names_labels(name: str) -> bool:
    """Whether the name of a folder says that it holds labels, such as ``Annotations``, ``flow_occ`` or ``masks``."""
    return _NAMES.fullmatch(name) is not None


def series_of_labels(name: str) -> bool:
    """Whether what a series of pictures is called has a word for labels, such as ``mask`` of ``0001_mask.png``, or two,
    such as ``ground_truth_0001.png``."""
    words = [word for word in re.split(r'[-_. #\d]+', name) if word]
    return any(map(names_labels, [*words, *map('_'.join, zip(words, words[1:]))]))


def holds_flow(files: Sequence[Path]) -> bool:
    """Whether pictures are flow in KITTI's layout: 16-bit colour PNGs whose third channel is 0 or 1."""
    return bool(files) and all(_is_kitti_flow(file) for file in _sample(files))


def holds_ids(files: Sequence[Path]) -> bool:
    """Whether pictures are masks: 8-bit PNGs of few values or colours in flat areas, and not of one value only.

    A dark or faded picture has few levels, too, but noise or shades that rise level by level instead of flat areas.
    """
    most = 0
    for file in _sample(files) if files else ():
        count = _labels(file)
        if not count:
            return False
        most = max(most, count)
    return most > 1


def _sample(files: Sequence[Path]) -> Sequence[Path]:
    """The first, the middle and the last."""
    last = len(files) - 1
    return [files[at] for at in sorted({0, last // 2, last})]


def _header(file: Path) -> bytes:
    """The first bytes of a PNG; b'' for all else."""
    try:
        with open(file, 'rb') as stream:
            head = stream.read(26)
    except OSError:
        return b''
    return head if head.startswith(_PNG) and len(head) == 26 else b''


def _labels(file: Path) -> int:
    """Number of distinct values of a PNG of 8 bits or less that looks like labels; 0 for all else."""
    head = _header(file)
    if not head or head[24] > 8:
        return 0
    is_colour = head[25] not in (_GREY, _PALETTE)
    if is_colour and not _is_small(file, head):
        return 0
    pixels = _pixels(file)
    if pixels is None:
        return 0
    values = _as_numbers(pixels)
    count = len(np.unique(values))
    if count > (_MOST_COLOURS if is_colour else _MOST_VALUES):
        return 0
    return count if count == 1 or _looks_flat(pixels, values, count) else 0


def _is_small(file: Path, head: bytes) -> bool:
    """Whether a PNG takes as few bytes as flat areas do."""
    width, height = struct.unpack_from('>II', head, 16)
    try:
        return os.stat(file).st_size <= _MOST_BYTES + _MOST_BYTES_A_PIXEL * width * height
    except OSError:
        return False


def _as_numbers(pixels: np.ndarray) -> np.ndarray:
    """``(H, W)``: one number for each colour."""
    numbers = np.zeros(pixels.shape[:2], np.uint32)
    for channel in range(pixels.shape[-1]):
        numbers = numbers << 8 | pixels[..., channel]
    return numbers


def _looks_flat(pixels: np.ndarray, values: np.ndarray, count: int) -> bool:
    """Whether most neighbours are equal, and the others are not shades of one another."""
    neighbours = edges = shades = 0
    for axis in range(2):
        differs = np.diff(values, axis=axis) != 0
        steps = np.abs(np.diff(pixels.astype(np.int16), axis=axis)).max(axis=-1)
        neighbours, edges = neighbours + differs.size, edges + int(differs.sum())
        shades += int((steps == 1).sum())
    if neighbours - edges < _FLAT * neighbours:
        return False
    return count <= _FEW_VALUES or shades < _SHADES * edges


def _is_kitti_flow(file: Path) -> bool:
    head = _header(file)
    pixels = _pixels(file) if head and head[24] == 16 and head[25] == _RGB else None
    return pixels is not None and bool((pixels[..., 0] <= 1).all())  # in OpenCV's order the third channel is the first


def _pixels(file: Path) -> 'np.ndarray | None':
    """``(H, W, C)`` as stored; None for a damaged file."""
    try:
        found = cv2.imdecode(np.frombuffer(read_input(file), np.uint8), cv2.IMREAD_UNCHANGED)
    except (InputError, cv2.error):
        return None
    return None if found is None else found.reshape(*found.shape[:2], -1)

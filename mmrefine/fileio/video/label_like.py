"""Which folders and pictures of a data set are labels (masks, flow, depth) and not frames."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.images import read_input

# of a folder, or of one of the words of a series of pictures; without regard to case
_KINDS = (r'annotations?|(?:[a-z]+_)?masks?|segm?|segmentations?|semantics?|instances?|panoptic|mattes?|alphas?|'
          r'trimaps?|saliency|scribbles?|occ|occlusions?|invalid|depths?|normals?|disp\d?|disparit(?:y|ies)|'
          r'(?:optical_?|viz_)?flows?|viz|visuali[sz]ations?|obj_map|confidence')
_DETAILS = (r'viz|vis|occ|noc|gt|fwd?|bwd?|forward|backward|left|right|colou?r|png|flo|maps?|images?|est|pred|'
            r'[uvxy]|0\d*|[1-9]')
_NAMES = re.compile(f'(?:{_KINDS})(?:_(?:{_DETAILS}))*', re.IGNORECASE)
_PNG = b'\x89PNG\r\n\x1a\n'
_GREY, _RGB, _PALETTE = 0, 2, 3
_SAMPLE = 3
# distinct values in a picture of labels, at most; and how many pictures are looked at
_MOST_VALUES = 64


def names_labels(name: str) -> bool:
    """Whether the name of a folder says that it holds labels, such as ``Annotations``, ``flow_occ`` or ``masks``."""
    return _NAMES.fullmatch(name) is not None


def series_of_labels(name: str) -> bool:
    """Whether what a series of pictures is called has a word for labels, such as ``mask`` of ``0001_mask.png``."""
    return any(names_labels(word) for word in re.split(r'[-_. #\d]+', name) if word)


def holds_flow(files: Sequence[Path]) -> bool:
    """Whether pictures are flow in KITTI's layout: 16-bit colour PNGs whose third channel is 0 or 1."""
    return bool(files) and all(_is_kitti_flow(file) for file in _sample(files))


def holds_ids(files: Sequence[Path]) -> bool:
    """Whether pictures are masks: PNGs in grey or with a palette that have few values, and not one value only."""
    counts = [_values(file) for file in _sample(files)] if files else [0]
    return max(counts) > 1 and all(0 < count <= _MOST_VALUES for count in counts)


def _sample(files: Sequence[Path]) -> Sequence[Path]:
    return [files[int(at)] for at in sorted(set(np.linspace(0, len(files) - 1, _SAMPLE, dtype=int)))]


def _header(file: Path) -> bytes:
    """The first bytes of a PNG; b'' for all else."""
    try:
        with open(file, 'rb') as stream:
            head = stream.read(26)
    except OSError:
        return b''
    return head if head.startswith(_PNG) and len(head) == 26 else b''


def _values(file: Path) -> int:
    """Number of distinct values of a grey or palette PNG of 8 bits or less; 0 for all else."""
    head = _header(file)
    if not head or head[24] > 8 or head[25] not in (_GREY, _PALETTE):
        return 0
    pixels = _pixels(file)
    return 0 if pixels is None else len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))


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

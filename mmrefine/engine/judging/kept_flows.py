"""The motion that a network was judged by, kept for the pictures, so that the network is not asked again."""
from __future__ import annotations

from typing import Collection, Dict, Optional, Tuple

import cv2
import numpy as np
from torch import Tensor

KEPT_WIDTH = 640  # px at most, of what is not kept whole; no picture of it is wider
MOST_BYTES = 192 * 2**20
LARGEST = 6e4  # px; what float16 holds


class KeptFlows:
    """The motion of one network on some pairs of a data set, as large as the pictures of the report need it.

    Pairs of which a sheet is drawn, with their scores, are kept as they are; others at most 640 px wide, in float16,
    whose steps no colour shows. What no longer fits is not kept.

    Args:
        whole: indices of the pairs that are kept as they are.
        most_bytes: of all of it.
    """

    def __init__(self, whole: Collection[int] = (), most_bytes: int = MOST_BYTES) -> None:
        self.whole, self.left = whole, most_bytes
        self._flows: Dict[int, np.ndarray] = {}

    def keep(self, index: int, flow: Tensor) -> None:
        """Keep the motion ``(2, H, W)`` px of a pair."""
        found = flow.detach().float().cpu().permute(1, 2, 0).numpy()
        if index in self.whole:
            found = found.copy()
        else:
            found = np.clip(fit(found, KEPT_WIDTH), -LARGEST, LARGEST).astype(np.float16)
        if index not in self._flows and found.nbytes <= self.left:
            self._flows[index], self.left = found, self.left - found.nbytes

    def get(self, index: int, size: Tuple[int, int]) -> Optional[np.ndarray]:
        """The motion of a pair at ``size`` (height, width), ``(height, width, 2)`` float32, still in px of the frame;
        None if it is not kept in that size or a larger one."""
        found = self._flows.get(index)
        return None if found is None or found.shape[1] < size[1] else resized(found, size).astype(np.float32)


def small_size(size: Tuple[int, int], width: int) -> Tuple[int, int]:
    """(height, width) of a picture of ``size`` that is at most ``width`` px wide."""
    return size if size[1] <= width else (max(1, round(size[0] * width / size[1])), width)


def resized(picture: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """A picture or flow ``(H, W, C)`` at ``size`` (height, width); flows take the nearest pixel, so edges stay edges,
    and their values stay as they are."""
    if picture.shape[:2] == size:
        return picture
    if picture.dtype == np.uint8:
        return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA))
    rows, columns = (np.arange(wanted) * side // wanted for wanted, side in zip(size, picture.shape))
    return np.asarray(picture[rows[:, None], columns])


def fit(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture or flow ``(H, W, C)`` at most ``width`` px wide."""
    return resized(picture, small_size((picture.shape[0], picture.shape[1]), width))

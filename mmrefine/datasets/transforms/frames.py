"""The frames of a pair or of a clip, for transforms that do the same to any number of them."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np


def frames_of(results: Dict[str, Any]) -> List[np.ndarray]:
    """The frames ``(H, W, 3)`` of a clip (key ``frames``) or of a pair (``frame1``, ``frame2``), in order."""
    return list(results['frames']) if 'frames' in results else [results['frame1'], results['frame2']]


def with_frames(results: Dict[str, Any], frames: Sequence[np.ndarray]) -> Dict[str, Any]:
    """A copy of ``results`` that has other frames."""
    if 'frames' in results:
        return {**results, 'frames': list(frames)}
    frame1, frame2 = frames
    return {**results, 'frame1': frame1, 'frame2': frame2}

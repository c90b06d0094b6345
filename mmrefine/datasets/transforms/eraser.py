"""Random occlusion of frame 2."""
from __future__ import annotations

from typing import Any, Dict, Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.errors import ConfigError
from mmrefine.registry import TRANSFORMS
from mmrefine.values import as_share


@TRANSFORMS.register_module()
class Eraser(BaseTransform):
    """Cover rectangles of frame 2 with its mean colour, as RAFT's augmentation does.

    Required keys: frame2, rng. Changed keys: frame2; flow and weight stay, so that the student learns to infer
    the motion of what is hidden.

    Args:
        prob: probability, in [0, 1].
        max_boxes: most rectangles; their number is drawn from 1 to this.
        sides: (shortest, longest) side in px; parts beyond the frame are cut off.
    """

    def __init__(self, prob: float = 0.5, max_boxes: int = 2, sides: Sequence[int] = (50, 100)) -> None:
        self.prob = as_share('Eraser.prob', prob)
        if max_boxes < 1:
            raise ConfigError(f'Eraser.max_boxes must be at least 1, got {max_boxes!r}; use prob=0 to erase nothing')
        if len(sides) != 2 or not 1 <= sides[0] <= sides[1]:
            raise ConfigError(f'Eraser.sides must be (shortest, longest) in px, at least 1, got {sides!r}')
        self.max_boxes = max_boxes
        self.sides = (sides[0], sides[1])

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw the rectangles and fill them."""
        rng: np.random.Generator = results['rng']
        if rng.random() >= self.prob:
            return results
        frame = results['frame2'].copy()
        height, width = frame.shape[:2]
        mean = np.rint(frame.mean(axis=(0, 1))).astype(frame.dtype)
        for _ in range(rng.integers(1, self.max_boxes, endpoint=True)):
            top, left = rng.integers(0, height), rng.integers(0, width)
            tall, wide = rng.integers(self.sides[0], self.sides[1], size=2, endpoint=True)
            frame[top:top + tall, left:left + wide] = mean
        return {**results, 'frame2': frame}

"""Sensor noise."""
from __future__ import annotations

from typing import Any, Dict

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.datasets.transforms.frames import frames_of, with_frames
from mmrefine.errors import ConfigError
from mmrefine.registry import TRANSFORMS
from mmrefine.values import as_share


@TRANSFORMS.register_module()
class SensorNoise(BaseTransform):
    """Adds noise to each frame, independently: a network that has seen only clean frames takes the grain of real
    ones for texture.

    The standard deviation is drawn once for all, from U(0, ``std``). Flow and weight stay.

    Required keys: frame1 and frame2, or frames; rng. Changed keys: these, or nothing.

    Args:
        std: largest standard deviation, grey levels of 255.
        prob: share of the pairs that get noise, in [0, 1].

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, std: float = 8., prob: float = 0.5) -> None:
        if not 0 <= std < float('inf'):
            raise ConfigError(f'SensorNoise.std must be finite and not negative (grey levels), got {std!r}')
        self.std, self.prob = std, as_share('SensorNoise.prob', prob)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw whether to add noise and how much, and add it."""
        rng: np.random.Generator = results['rng']
        if rng.random() >= self.prob:
            return results
        std = float(rng.uniform(0, self.std))
        return with_frames(results, [grainy(frame, std, rng) for frame in frames_of(results)])


def grainy(frame: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    """A uint8 frame with Gaussian noise of ``std`` grey levels, rounded and clipped."""
    noisy = frame + np.float32(std) * rng.standard_normal(frame.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

"""Random changes of brightness and colour."""
from __future__ import annotations

from typing import Any, Dict, List

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.datasets.transforms.frames import frames_of, with_frames
from mmrefine.registry import TRANSFORMS
from mmrefine.values import as_number, as_share

# luma of ITU-R BT.601, as PIL and torchvision take it
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue, in random order; usually the same for all frames.

    Factors are ``U(1 - a, 1 + a)``: brightness blends with black, contrast with the mean grey level, saturation with
    the grey picture; the hue turns by ``U(-hue, hue)``. A strength of 0 leaves the bytes as they are. Flow and weight
    stay.

    Required keys: frame1 and frame2, or frames; rng. Changed keys: these. Added keys: plain_frames, if asked for.

    Args:
        brightness: strength in [0, 1].
        contrast: strength in [0, 1].
        saturation: strength in [0, 1].
        hue: strength in turns, in [0, 0.5]; RAFT's is 0.5 / pi.
        asymmetric: probability that each frame gets its own draw, in [0, 1].
        prob: probability that there is any change, in [0, 1].
        keep_plain: also keep the frames as they were, which is where a
            :class:`~mmrefine.models.CorrespondenceLearner` takes its colours from. Nothing may move the frames after
            that.
    """

    def __init__(self,
                 brightness: float = 0.4,
                 contrast: float = 0.4,
                 saturation: float = 0.4,
                 hue: float = 0.5 / np.pi,
                 asymmetric: float = 0.2,
                 prob: float = 1.,
                 keep_plain: bool = False) -> None:
        self.brightness = as_share('ColorJitter.brightness', brightness)
        self.contrast = as_share('ColorJitter.contrast', contrast)
        self.saturation = as_share('ColorJitter.saturation', saturation)
        self.hue = as_number('ColorJitter.hue', hue, '[0, 0.5]')
        self.asymmetric = as_share('ColorJitter.asymmetric', asymmetric)
        self.prob, self.keep_plain = as_share('ColorJitter.prob', prob), keep_plain

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw the changes, once or for each frame, and apply them."""
        rng: np.random.Generator = results['rng']
        frames = frames_of(results)
        if self.keep_plain:
            results = {**results, 'plain_frames': frames}
        if self.prob < 1 and rng.random() >= self.prob:
            return results
        if rng.random() < self.asymmetric:
            frames = [self._jittered([frame], rng)[0] for frame in frames]
        else:
            frames = self._jittered(frames, rng)
        return with_frames(results, frames)

    def _jittered(self, frames: List[np.ndarray], rng: np.random.Generator) -> List[np.ndarray]:
        """The uint8 frames after the same changes; contrast scales about their common mean grey level."""
        strengths = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        draws = rng.uniform(-strengths, strengths)
        steps = [step for step in rng.permutation(4) if strengths[step] > 0]
        if not steps:
            return frames
        stack = np.concatenate(frames).astype(np.float32)
        for step in steps:
            stack = _STEPS[step](stack, np.float32(draws[step]))
            np.clip(stack, 0, 255, out=stack)
        return np.split(cv2.convertScaleAbs(stack), len(frames))  # rounds half to even, as np.rint does


def _bright(image: np.ndarray, strength: np.float32) -> np.ndarray:
    return image * (1 + strength)


def _contrasted(image: np.ndarray, strength: np.float32) -> np.ndarray:
    mean = float(_LUMA @ cv2.mean(image)[:3])
    scaled = image * (1 + strength)
    scaled -= np.float32(mean * strength)
    return scaled


def _saturated(image: np.ndarray, strength: np.float32) -> np.ndarray:
    return cv2.transform(image, (1 + strength) * np.eye(3, dtype=np.float32) - strength * _LUMA)


def _turned(image: np.ndarray, turns: np.float32) -> np.ndarray:
    # float gives the hue in degrees, unrounded; OpenCV reduces a hue above 360, but not below 0
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0]
    np.add(hue, 360 * (turns % 1), out=hue)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, hsv)


_STEPS = (_bright, _contrasted, _saturated, _turned)

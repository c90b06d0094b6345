"""Pairs of known motion, made from single frames of the user's own video."""
from __future__ import annotations

from typing import Any, Dict, Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.datasets.transforms.noise import grainy
from mmrefine.errors import ConfigError
from mmrefine.geometry import pieced_motion
from mmrefine.registry import TRANSFORMS
from mmrefine.values import as_share

LEAST_OVERLAID = 0.01  # share of the frame; in real scenes up to 0.5 % never change by chance


@TRANSFORMS.register_module()
class SelfWarp(BaseTransform):
    """Now and then, replaces a pair by a frame and a warped copy of it, whose motion is exact by construction.

    ``frame1(p) = frame(p + f(p))``, ``frame2 = frame``: no inversion, so ``f`` is the exact motion wherever it lands
    inside. ``f`` is a similarity and a smooth field over the whole frame, and others inside a few ellipses, so it
    has edges. A pseudo-label can only repeat what the teacher knows; these pairs show the student the user's own
    images with exact ground truth. They lack what real pairs have (occlusion, light, independent noise), so
    they accompany labels and do not replace them.

    Pairs of a scene of which 1 % or more lies under something that never changes, such as a logo or the bars of a
    letterbox, are left as they are: a warp moves it along with the scene, as nothing in the video does, and networks
    that learned from such warps were worse on scenes without it (docs/guard.md).

    Required keys: frame1, frame2, flow, weight, rng; share_overlaid, a function without arguments, may be missing.
    Changed keys: the first four, or nothing.

    Args:
        prob: share of the pairs that is replaced, in [0, 1].
        max_motion: longest translation of the frame and of an ellipse, px, at least 0.
        turn: largest rotation either way, degrees.
        zoom: largest scale change either way, log2.
        ellipses: fewest and most regions with a motion of their own.
        noise: standard deviation of noise added to each frame independently, grey levels of 255; without it the network
            could match the grain instead of the picture.

    Raises:
        ConfigError: a value out of range; whole frames were kept before, which would be those of another pair.
    """

    def __init__(self,
                 prob: float = 0.25,
                 max_motion: float = 12.,
                 turn: float = 6.,
                 zoom: float = 0.1,
                 ellipses: Sequence[int] = (1, 4),
                 noise: float = 2.) -> None:
        self.prob = as_share('SelfWarp.prob', prob)
        for name, value in (('max_motion', max_motion), ('turn', turn), ('zoom', zoom), ('noise', noise)):
            if value < 0:
                raise ConfigError(f'SelfWarp.{name} must be at least 0, got {value!r}')
        if len(ellipses) != 2 or not 0 <= ellipses[0] <= ellipses[1]:
            raise ConfigError(f'SelfWarp.ellipses must be (fewest, most), at least 0, got {ellipses!r}')
        self.max_motion, self.turn, self.zoom = max_motion, turn, zoom
        self.ellipses, self.noise = (int(ellipses[0]), int(ellipses[1])), noise

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw whether to replace the pair, and by which motion."""
        if 'whole_frames' in results:
            raise ConfigError('KeepWholeFrames kept frames that SelfWarp would replace by others; let the pipeline '
                              'warp first, or leave SelfWarp out')
        rng: np.random.Generator = results['rng']
        if rng.random() >= self.prob or results.get('share_overlaid', float)() >= LEAST_OVERLAID:
            return results
        frame = results['frame1' if rng.random() < 0.5 else 'frame2']
        height, width = frame.shape[:2]
        motion = pieced_motion(rng, height, width, self.max_motion, self.turn, self.zoom, self.ellipses)
        flow = motion[0].permute(1, 2, 0).contiguous().numpy()
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        end_x, end_y = x + flow[..., 0], y + flow[..., 1]
        warped = cv2.remap(frame, end_x, end_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        inside = (end_x >= 0) & (end_x <= width - 1) & (end_y >= 0) & (end_y <= height - 1)
        return {
            **results, 'frame1': grainy(warped, self.noise, rng), 'frame2': grainy(frame, self.noise, rng),
            'flow': flow,
            'weight': inside[..., None].astype(np.float32)
        }

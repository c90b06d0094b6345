"""Two more witnesses of flow, which the guard asks only where it is told to: see
:class:`~mmrefine.engine.guard.flow_witnesses.FlowWitnesses`.
"""
from __future__ import annotations

from typing import Dict, Optional, Tuple

import torch
from torch import Tensor

from mmrefine.evaluation.flow.label_free import exposure_gain
from mmrefine.evaluation.flow.witnesses import limited_error
from mmrefine.geometry.color import luma
from mmrefine.geometry.texture import texture_strength
from mmrefine.geometry.window import box_mean
from mmrefine.structures.figures import LABEL_FREE, Figure

MORE_FLOORS: Dict[str, float] = dict(still=0.05, agreement=0.1)  # px
MORE_FIGURES = (
    Figure('still', 'px', 'lower', title='motion where nothing moves', decided_by=LABEL_FREE),
    Figure('agreement', 'px', 'lower', title='change of the motion under noise and blur', decided_by=LABEL_FREE),
)
DISTURBANCE = 5.  # grey levels of noise
# What moves by a pixel changes the brightness by the texture, which must be more than what counts as no change.
LEAST_TEXTURE, TEXTURE_OF_NOISE = 1.5, 1.  # grey levels per px; per grey level of noise
LEAST_CHANGE, CHANGE_OF_NOISE = 0.5, 0.5  # grey levels; per grey level of noise
LEAST_STILL = 0.02  # share of the pixels; of fewer nothing is said


def still_error(frame1: Tensor, frame2: Tensor, flow: Tensor, fixed: Optional[Tensor] = None) -> float:
    """Mean length of a motion where the frames show that nothing moves: where they have texture and do not differ.

    Args:
        frame1: ``(1, 3, H, W)`` RGB in [0, 1].
        frame2: the same shape.
        flow: ``(1, 2, H, W)`` px.
        fixed: bool ``(1, 1, H, W)``, what lies over the scene and is left out.

    Returns:
        px, at most 20 for each pixel; nan where hardly anything stands still, as under a camera that moves.
    """
    still = still_pixels(frame1, frame2)
    if fixed is not None:
        still &= ~fixed.to(still.device)
    if float(still.float().mean()) < LEAST_STILL:
        return float('nan')
    return limited_error(flow, torch.zeros_like(flow), still.float())


def still_pixels(frame1: Tensor, frame2: Tensor) -> Tensor:
    """Where the frames have texture and do not differ by more than noise, bool ``(1, 1, H, W)``."""
    everywhere = torch.ones_like(frame1[0, 0], dtype=torch.bool)
    gained = frame2 / exposure_gain(frame1[0], frame2[0], everywhere)
    difference = luma(gained) - luma(frame1)
    mixed = difference[..., 1:, 1:] - difference[..., :-1, 1:] - difference[..., 1:, :-1] + difference[..., :-1, :-1]
    noise = float(mixed.abs().median()) / 0.6745 / 2  # of the difference, by the median of a normal distribution
    smooth = box_mean(box_mean(difference, 1).abs(), 2)  # a mean over 3x3 px leaves a third of the noise
    texture = texture_strength(frame1)
    return (smooth < LEAST_CHANGE + CHANGE_OF_NOISE * noise) & (texture > max(LEAST_TEXTURE, TEXTURE_OF_NOISE * noise))


def disturbed(frames: Tensor, seed: Tuple[int, ...]) -> Tensor:
    """Frames ``(B, 3, H, W)`` in [0, 1] after a blur over 3x3 px and noise of 5 grey levels; the same for a seed."""
    rng = torch.Generator().manual_seed(sum(number * 1009**place for place, number in enumerate(seed)))
    noise = DISTURBANCE / 255 * torch.randn(frames.shape, generator=rng)
    return (box_mean(frames, 1) + noise.to(frames.device)).clamp(0, 1)

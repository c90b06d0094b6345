"""How a video moves and changes from frame to frame, and warps that do it alike."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterable, List

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import NoLabelsError
from mmrefine.geometry import KnownWarp, backwarp, cycle_error, lands_inside, random_warp

from .filters import PairContext


@dataclass(frozen=True)
class VideoLook:
    """What warps of a video's frames are made like.

    Args:
        medians: median speed of each pair, px.
        speeds: speeds of all pairs, as often as they occur, px.
        noise: standard deviation of what the motion leaves unexplained of the colours, grey levels of 255.
        drifts: change of brightness of each pair, grey levels of 255, at least 0.
    """
    medians: List[float]
    speeds: List[float]
    noise: float
    drifts: List[float]

    @classmethod
    def of(cls, contexts: Iterable[PairContext]) -> VideoLook:
        """The look of a video by its pairs, one in each context; colours are compared where the motion comes back within 1 px.

        Where hardly any does, they are compared wherever it lands inside. Speeds are capped at a quarter of the frame's shorter side: no
        frame is warped off itself, whatever the teacher believes.

        Raises:
            NoLabelsError: all motion leaves the frame.
        """
        medians, speeds, noises, drifts = [], [], [], []
        for ctx in contexts:
            speed = ctx.flow_fw.norm(dim=1).flatten().clamp(max=min(ctx.flow_fw.shape[-2:]) / 4).double().numpy()
            medians.append(float(np.median(speed)))
            speeds += [float(s) for s in np.quantile(speed, np.linspace(0.05, 0.95, 19))]
            known = cycle_error(ctx.flow_fw, ctx.flow_bw) < 1
            known = known if float(known.float().mean()) >= 0.01 else lands_inside(ctx.flow_fw)
            if bool(known.any()):
                residual = 255 * (backwarp(ctx.frames2, ctx.flow_fw) - ctx.frames1)
                change = residual[known.expand_as(residual)].view(3, -1).numpy()
                center = np.median(change, axis=1, keepdims=True)
                drifts.append(float(np.abs(center.mean())))
                # the median distance of a normal distribution is 0.67 standard deviations
                noises.append(float(1.4826 * np.median(np.abs(change - center))))
        if not noises:
            raise NoLabelsError('the motion of the teacher leaves the frame everywhere, in each pair that was given to calibrate with; '
                                'check that the checkpoint belongs to the model')
        return cls(medians, speeds, float(np.median(noises)), drifts)

    def at_pace(self, pace: float) -> VideoLook:
        """The same video if it moved ``pace`` times as fast."""
        return replace(self, medians=[pace * speed for speed in self.medians], speeds=[pace * speed for speed in self.speeds])

    def warp(self, rng: np.random.Generator, frame: Tensor) -> KnownWarp:
        """A frame ``(3, H, W)`` and a warp of it, both as a file of 8 bits has them, noise and drift on frame 2.

        The background moves as fast as a pair on the whole, a patch as fast as any pixel.
        """
        made = random_warp(rng, frame, lambda: float(rng.choice(self.medians)), lambda: float(rng.choice(self.speeds)))
        drift = float(rng.choice(self.drifts)) * float(rng.choice([-1, 1]))
        grain = torch.as_tensor(rng.standard_normal(tuple(frame.shape)), dtype=torch.float32)
        return made._replace(frames1=_stored(made.frames1), frames2=_stored(made.frames2 + (drift + self.noise * grain[None]) / 255))


def _stored(frames: Tensor) -> Tensor:
    return (frames.clamp(0, 1) * 255).round() / 255

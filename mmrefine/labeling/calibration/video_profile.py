"""How a video moves and changes from frame to frame, and warps that are as hard as it."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import NoLabelsError
from mmrefine.geometry import (KnownWarp, backwarp, box_mean, cycle_error, jpeg_loss, jpeg_quality, lands_inside,
                               random_warp)
from mmrefine.structures import PairContext

PATCHES = (2, 6)  # that move over a warp
# frames and px (whole blocks of 8) that the grain is found on, and how exactly
GRAIN_FRAMES, GRAIN_SIDE, HALVINGS = 8, 256, 7
SMOOTH_RADIUS = 2  # px
# times the noise of a frame is that of a difference: of the other frame bilinear sampling leaves 2/3 on the mean
TWO_FRAMES = 1.2
SPARED = 0.25  # of the way to quality 100: what a frame lost to its compression is not there to be lost again


@dataclass(frozen=True)
class VideoProfile:
    """What warps of a video's frames are made like.

    Args:
        speeds: speeds of all pairs, as often as they occur, px.
        noise: standard deviation of what the motion leaves unexplained of the colours, grey levels of 255.
        drifts: change of brightness of each pair, grey levels of 255, at least 0.
        grain: standard deviation of the noise to put on each frame of a warp, before it is compressed, grey levels of
            255.
        qualities: JPEG quality of each pair's first frame, None where it has none.
    """
    speeds: List[float]
    noise: float
    drifts: List[float]
    grain: float
    qualities: List[Optional[int]] = field(default_factory=list)

    @classmethod
    def of(cls, contexts: Iterable[PairContext]) -> VideoProfile:
        """The profile of a video by its pairs, one in each context; colours are compared where the motion comes back
        within 1 px.

        Where hardly any does, they are compared wherever it lands inside. Speeds are capped at a quarter of the frame's
        shorter side: no frame is warped off itself, whatever the teacher believes. With the grain, warps leave as much
        unexplained as the video.

        Raises:
            NoLabelsError: all motion leaves the frame.
        """
        speeds, noises, drifts, parts, qualities = [], [], [], [], []
        for ctx in contexts:
            speed = ctx.flow_fw.norm(dim=1).flatten().clamp(max=min(ctx.flow_fw.shape[-2:]) / 4).double().numpy()
            speeds += [float(s) for s in np.quantile(speed, np.linspace(0.05, 0.95, 19))]
            known = cycle_error(ctx.flow_fw, ctx.flow_bw) < 1
            known = known if float(known.float().mean()) >= 0.01 else lands_inside(ctx.flow_fw)
            if bool(known.any()):
                drift, noise = _unexplained(ctx.frames1, ctx.frames2, ctx.flow_fw, known)
                drifts.append(abs(drift))
                noises.append(noise)
            qualities.append(jpeg_quality(ctx.frames1[0]))
            parts.append(_middle(ctx.frames1[0]))
        if not noises:
            raise NoLabelsError('the motion of the teacher leaves the frame everywhere, in each pair that was given to '
                                'calibrate with; check that the checkpoint belongs to the model')
        noise = float(np.median(noises))
        some = sorted({int(i) for i in np.linspace(0, len(parts) - 1, GRAIN_FRAMES)})
        grain = _grain([(parts[i], qualities[i]) for i in some], speeds, noise)
        return cls(speeds, noise, drifts, grain, qualities)

    def warp(self, rng: np.random.Generator, frame: Tensor, pace: float = 1.) -> KnownWarp:
        """A frame ``(3, H, W)`` and a warp of it, as the same camera and the same compression would have recorded both.

        The background moves as fast as any pixel of the video, and so does each patch; all of them 1 to ``pace`` times
        as fast as the teacher saw it. The noise of the frame is taken out, and both frames get noise of their own and
        are compressed on their own, about as strongly as ``frame`` was: noise that moves along, and no blocks that
        stay, would make the warp easier than the video. The brightness of frame 2 drifts.
        """
        faster = float(rng.uniform(min(1., pace), max(1., pace)))

        def length() -> float:
            return faster * float(rng.choice(self.speeds))

        made = random_warp(rng, _smooth(frame, self.noise), length, length, PATCHES)
        drift = float(rng.choice(self.drifts)) * float(rng.choice([-1, 1]))
        return _recorded(rng, made, self.grain, drift, jpeg_quality(frame))


def _unexplained(frames1: Tensor, frames2: Tensor, flow: Tensor, known: Tensor) -> Tuple[float, float]:
    """Shift and standard deviation, grey levels of 255, of what a motion leaves unexplained where it is ``known``."""
    residual = 255 * (backwarp(frames2, flow) - frames1)
    change = residual[known.expand_as(residual)].view(3, -1).numpy()
    center = np.median(change, axis=1, keepdims=True)
    # the median distance of a normal distribution is 0.67 standard deviations
    return float(center.mean()), float(1.4826 * np.median(np.abs(change - center)))


def _grain(frames: List[Tuple[Tensor, Optional[int]]], speeds: List[float], noise: float) -> float:
    """By halving; compression takes off some of the grain, interpolation too, and adds something of its own."""

    def shown(grain: float) -> float:
        found = []
        for number, (frame, quality) in enumerate(frames):
            rng = np.random.default_rng(number)  # the same motion and the same noise for each grain, only more of it

            def length() -> float:
                return float(rng.choice(speeds))

            made = random_warp(rng, _smooth(frame, noise), length, length, (0, 0))
            if bool(made.visible.any()):
                made = _recorded(rng, made, grain, 0., quality)
                found.append(_unexplained(made.frames1, made.frames2, made.flow, made.visible)[1])
        return float(np.median(found)) if found else noise

    low, high = 0., 4 * noise
    if shown(low) >= noise:
        return low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if shown(middle) < noise else (low, middle)
    return (low + high) / 2


def _middle(frame: Tensor) -> Tensor:
    """A part of a frame ``(3, H, W)`` that keeps its place in the blocks of a compression."""
    top, left = (max(side - GRAIN_SIDE, 0) // 16 * 8 for side in frame.shape[-2:])
    return frame[:, top:top + GRAIN_SIDE, left:left + GRAIN_SIDE].clone()


def _smooth(frame: Tensor, noise: float) -> Tensor:
    """A frame ``(3, H, W)`` without noise: around each pixel as much of the difference to the mean stays as is not
    noise (Wiener)."""
    image, least = frame[None], (noise / TWO_FRAMES / 255)**2
    mean = box_mean(image, SMOOTH_RADIUS)
    spread = (box_mean(image * image, SMOOTH_RADIUS) - mean * mean).mean(dim=1, keepdim=True)
    return (mean + (1 - least / spread.clamp(min=1e-9)).clamp(min=0) * (image - mean))[0]


def _recorded(rng: np.random.Generator, made: KnownWarp, grain: float, drift: float,
              quality: Optional[int]) -> KnownWarp:
    """A warp as a file has it, of frames that had the quality; grain and drift in grey levels of 255."""

    def one(frames: Tensor, shift: float) -> Tensor:
        noise = torch.as_tensor(rng.standard_normal(tuple(frames.shape)), dtype=torch.float32)
        seen = ((255 * frames + shift + grain * noise).round() / 255).clamp(0, 1)
        return seen if quality is None else jpeg_loss(seen, round(quality + SPARED * (100 - quality)))

    return made._replace(frames1=one(made.frames1, 0.), frames2=one(made.frames2, drift))

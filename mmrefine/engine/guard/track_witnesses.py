"""The guard's witnesses of tracks: round trips, colours, known motion."""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from mmrefine.engine.guard.clip_witnesses import ClipWitnesses
from mmrefine.engine.judging.track_scores import grid_points
from mmrefine.engine.runtime.passes import Passes
from mmrefine.evaluation.guard.measures import FLOORS, WEIGHTS, limited
from mmrefine.evaluation.tracks.witnesses import FIGURES, objection, track_witnesses
from mmrefine.geometry import known_clip, track_speed
from mmrefine.registry import WITNESSES
from mmrefine.structures import TrackEstimator, Tracks
from mmrefine.values import as_count, as_number


@WITNESSES.register_module()
class TrackWitnesses(ClipWitnesses):
    """Round trips, colours along the tracks, and known motion of the first frame, on clips that were kept back.

    A grid of points is followed. Known motion is as fast as the original network saw the video move, and the same for
    every network. What is weighed how, and what is as good as nothing, is as for flow.

    Args:
        pairs: how many clips at most, spread evenly over the data set.
        points: of the grid, about.
        warps: clips of known motion that are made of the first frame of each.
        pace: these move so many times as fast as the original network saw the video move.

    Raises:
        ConfigError: a number out of range.
    """
    weights, floors, figures = WEIGHTS, FLOORS, FIGURES

    def __init__(self, pairs: int = 32, points: int = 100, warps: int = 1, pace: float = 1.) -> None:
        self.pairs, self.points = as_count('TrackWitnesses.pairs', pairs, 2), as_count('TrackWitnesses.points', points)
        self.warps = as_count('TrackWitnesses.warps', warps, 0)
        self.pace = as_number('TrackWitnesses.pace', pace, '[0, 1000]')
        self.speed = 0.

    @property
    def passes(self) -> Passes:
        """Of a network over each clip."""
        return Passes(both_ways=1 + self.warps)

    def prepare(self, dataset: Any, teacher: TrackEstimator, device: str, seed: int,
                log: Callable[[str], None]) -> None:
        """See :meth:`~mmrefine.structures.contracts.Witnesses.prepare`; ``seed`` is that of the known motion."""
        self._choose(dataset, self.pairs, device, seed)
        self.speed = self._median_speed(teacher, log) if self.warps else 0.

    @torch.no_grad()
    def observe(self, network: TrackEstimator, index: int) -> Dict[str, float]:
        """See :func:`~mmrefine.evaluation.tracks.witnesses.track_witnesses`."""
        frames = self._frames(self.chosen[index])
        points = self._grid(frames)
        there, back, _ = network.track_both(frames, points)
        errors: List[float] = []
        for number in range(self.warps):
            rng = np.random.default_rng((self.seed, self.chosen[index], number))
            clip = known_clip(rng, frames[0], len(frames), self.pace * self.speed)
            found = network.track_both(clip.frames, points)[0]
            off = found.to(points.device) - clip.tracks(points)
            errors.append(float(limited(off.double().norm(dim=-1)).mean()))
        warp = math.fsum(errors) / len(errors) if errors else float('nan')
        return track_witnesses(frames, there.to(frames.device), back.to(frames.device), warp)

    def objection(self, teacher: Sequence[Mapping[str, float]],
                  candidate: Sequence[Mapping[str, float]]) -> Optional[str]:
        """See :func:`~mmrefine.evaluation.tracks.witnesses.objection`."""
        return objection(teacher, candidate)

    def describe(self) -> Dict[str, Any]:
        """The settings."""
        return dict(type='TrackWitnesses', pairs=self.pairs, points=self.points, warps=self.warps, pace=self.pace)

    def _speed(self, teacher: TrackEstimator, frames: Tensor) -> float:
        there = teacher.track_both(frames, self._grid(frames))[0]
        return float(track_speed(there.double()).nan_to_num(0.).mean())

    def _track(self, network: TrackEstimator, frames: Tensor, queries: Tensor) -> Tracks:
        return network.track(frames, queries)

    def _grid(self, frames: Tensor) -> Tensor:
        return grid_points((frames.shape[-2], frames.shape[-1]), self.points).to(frames.device)

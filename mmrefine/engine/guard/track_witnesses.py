"""The guard's witnesses of tracks: round trips, colours, known motion."""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from mmrefine.engine.judging.track_scores import grid_points
from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation import TrackTally, tally_errors
from mmrefine.evaluation.guard.measures import FLOORS, WEIGHTS, limited
from mmrefine.evaluation.tracks.witnesses import FIGURES, objection, track_witnesses
from mmrefine.geometry import known_clip, track_speed
from mmrefine.registry import WITNESSES
from mmrefine.structures import TrackEstimator, as_frames
from mmrefine.synthetic import render_clip
from mmrefine.values import as_count, as_number

OBSERVED = 8  # clips, to know how the video moves
RENDERED_SEED, RENDERED_SIZE = 80_000, (128, 192)  # as those of flow


@WITNESSES.register_module()
class TrackWitnesses:
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
    sample_name = 'clip'
    weights, floors, figures = WEIGHTS, FLOORS, FIGURES

    def __init__(self, pairs: int = 32, points: int = 100, warps: int = 1, pace: float = 1.) -> None:
        self.pairs, self.points = as_count('TrackWitnesses.pairs', pairs, 2), as_count('TrackWitnesses.points', points)
        self.warps = as_count('TrackWitnesses.warps', warps, 0)
        self.pace = as_number('TrackWitnesses.pace', pace, '[0, 1000]')
        self.speed = 0.

    @property
    def passes(self) -> int:
        """Passes of a network over each clip, each there and back."""
        return 1 + self.warps

    def prepare(self, dataset: Any, teacher: TrackEstimator, device: str, seed: int,
                log: Callable[[str], None]) -> None:
        """See :meth:`~mmrefine.structures.contracts.Witnesses.prepare`; ``seed`` is that of the known motion."""
        self.dataset, self.device, self.seed = dataset, device, seed
        count = len(dataset.clips)
        self.chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(self.pairs, count))})
        self.samples = [(str(dataset.clips[i]['scene']), str(dataset.clips[i]['key'])) for i in self.chosen]
        observed = self.chosen[::-(-len(self.chosen) // OBSERVED)] if self.warps else []
        progress = Progress('Guard: how the video moves, {} clips', len(observed), log)
        speeds: List[float] = []
        for done, i in enumerate(observed, start=1):
            frames = self._frames(i)
            there = teacher.track_both(frames, self._grid(frames))[0]
            speeds.append(float(track_speed(there.double()).nan_to_num(0.).mean()))
            progress(done)
        self.speed = float(np.median(speeds)) if speeds else 0.

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

    @torch.no_grad()
    def rendered(self, network: TrackEstimator, number: int) -> TrackTally:
        """The errors of tracks on a rendered clip of the source look, the same one each time.

        Raises:
            MMRefineError: points that are not finite.
        """
        clip = render_clip(RENDERED_SEED + number, 8, RENDERED_SIZE, 'source')
        truth = torch.from_numpy(clip.tracks).transpose(0, 1)
        queries = torch.cat([torch.zeros(len(truth), 1), truth[:, 0].flip(1)], dim=1).to(self.device)
        found = network.track(as_frames(clip.frames, self.device), queries)
        return tally_errors(found.points.cpu().numpy(), truth.numpy(), np.ones(truth.shape[:2], bool), RENDERED_SIZE)

    def describe(self) -> Dict[str, Any]:
        """The settings."""
        return dict(type='TrackWitnesses', pairs=self.pairs, points=self.points, warps=self.warps, pace=self.pace)

    def _frames(self, index: int) -> Tensor:
        return as_frames(self.dataset[index]['frames'], self.device)

    def _grid(self, frames: Tensor) -> Tensor:
        return grid_points((frames.shape[-2], frames.shape[-1]), self.points).to(frames.device)

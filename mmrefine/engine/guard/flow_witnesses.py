"""The guard's witnesses of flow: round trips, colours, known warps."""
from __future__ import annotations

import functools
import math
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.engine.runtime.passes import Passes
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import ConfigError, NoLabelsError
from mmrefine.evaluation import FlowTally, limited_error, pair_witnesses, tally_flow
from mmrefine.evaluation.flow.more_witnesses import MORE_FIGURES, MORE_FLOORS, disturbed, still_error
from mmrefine.evaluation.flow.witnesses import FIGURES, objection
from mmrefine.evaluation.guard.measures import FLOORS, WEIGHTS
from mmrefine.fileio.video.overlay import share_beside
from mmrefine.geometry import SMALLEST_SIDE, KnownWarp
from mmrefine.labeling import PairContext, VideoProfile
from mmrefine.labeling.flow.views.passes import PLAIN, run_pass
from mmrefine.registry import WITNESSES
from mmrefine.structures import FlowEstimator, PairBatch, as_frames
from mmrefine.synthetic import render_clip
from mmrefine.values import as_count, is_number

MOST_BESIDE = 0.3  # of what is seen of the scenes (`benchmarks/guard_situations.py`)
OBSERVED = 16  # pairs, to know how the video moves
AT_ONCE = 2  # warps in a pass, which takes as much memory as the two directions of a pair
RENDERED_SEED, RENDERED_SIZE = 80_000, (128, 192)  # far from the seeds of demo, tests and trainings; px


@WITNESSES.register_module()
class FlowWitnesses:
    """Round trips, colours along the motion, and known warps of the first frame, on frame pairs that were kept back.

    The warps move, and are as noisy, as the original network saw the video; they are the same for every network. Frames
    are read when they are needed, so memory does not grow with the video. What lies over a scene and never changes,
    such as a logo or the bars of a letterbox, is left out, and does not move with the warps.

    Args:
        pairs: how many at most, spread evenly over the data set.
        warps: of the first frame of each; frames with a side below 32 px get none.
        pace: the warps move 1 to so many times as fast as the original network saw the video move.
        still: weight of one more witness, the motion where the frames show that nothing moves, beside the 0.2, 0.4 and
            0.4 of round trips, colours and warps; 0: it is not asked.
        agreement: weight of another, by how much the motion changes under noise and blur.

    Raises:
        ConfigError: a number out of range.
    """
    sample_name = 'frame pair'

    def __init__(self, pairs: int = 32, warps: int = 2, pace: float = 1., still: float = 0.,
                 agreement: float = 0.) -> None:
        self.pairs, self.warps = as_count('FlowWitnesses.pairs', pairs, 2), as_count('FlowWitnesses.warps', warps, 0)
        if not is_number(pace) or not 0 <= pace < float('inf'):
            raise ConfigError(f'FlowWitnesses.pace must be finite and not negative, got {pace!r}')
        self.pace, self.more = pace, dict(still=still, agreement=agreement)
        for name, weight in self.more.items():
            if not is_number(weight) or not 0 <= weight < float('inf'):
                raise ConfigError(f'FlowWitnesses.{name} must be finite and not negative, got {weight!r}')
        self.more = {name: weight for name, weight in self.more.items() if weight}
        self.weights = {**WEIGHTS, **self.more}
        self.floors = {**FLOORS, **{name: MORE_FLOORS[name] for name in self.more}}
        self.figures = (*FIGURES, *(figure for figure in MORE_FIGURES if figure.name in self.more))
        self.video: Optional[VideoProfile] = None
        # the original network, and what it showed on pairs by which it was asked how the video moves
        self._teacher: Any = None
        self._shown: Dict[int, Dict[str, float]] = {}

    @property
    def passes(self) -> Passes:
        """Of a network for each pair."""
        return Passes(one_way=self.warps + ('agreement' in self.more), both_ways=1)

    def prepare(self, dataset: Any, teacher: FlowEstimator, device: str, seed: int, log: Callable[[str], None]) -> None:
        """See :meth:`~mmrefine.structures.contracts.Witnesses.prepare`; ``seed`` is that of the warps."""
        self.dataset, self.device, self.seed = dataset, device, seed
        self._teacher, self._shown = teacher, {}
        count = len(dataset.pairs)
        self.chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(self.pairs, count))})
        self.samples = [(str(dataset.pairs[i]['scene']), str(dataset.pairs[i]['key'])) for i in self.chosen]
        self._overlays = self._find_overlays()
        beside = math.fsum(share_beside(fixed[0, 0].numpy()) for fixed in self._overlays.values())
        self._is_covered = beside > MOST_BESIDE * len({scene for scene, _ in self.samples})
        self.video = self._motion_of_video(teacher, log) if self.warps else None

    @torch.no_grad()
    def observe(self, network: FlowEstimator, index: int) -> Dict[str, float]:
        """See :func:`~mmrefine.evaluation.flow.witnesses.pair_witnesses`."""
        place, (frame1, frame2) = self.chosen[index], self._frames(self.chosen[index])
        fixed = self._overlays.get(self.samples[index][0])
        if network is self._teacher and place in self._shown:
            found = self._shown[place]
        else:
            found = self._on_pair(network, place, frame1, frame2, *self._both_ways(network, frame1, frame2))
        errors = self._errors(network, self._known_warps(place, frame1, fixed))
        known = [error for error in errors if not math.isnan(error)]  # nan: nothing of that warp stays in view
        return dict(found, warp=math.fsum(known) / len(known) if known else float('nan'))

    def objection(self, teacher: Sequence[Mapping[str, float]],
                  candidate: Sequence[Mapping[str, float]]) -> Optional[str]:
        """See :func:`~mmrefine.evaluation.flow.witnesses.objection`.

        Nothing speaks for any candidate where more than 30 % of what is seen of the scenes lies close beside what
        covers them, as under a pattern: what it learned there is as much of the pattern as of the scenes.
        """
        if self._is_covered:
            return 'learned from a video much of which lies close beside a picture or pattern that never changes'
        return objection(teacher, candidate)

    @torch.no_grad()
    def rendered(self, network: FlowEstimator, number: int) -> FlowTally:
        """The flow errors on a rendered pair of the source look, the same one each time.

        Raises:
            MMRefineError: a flow that is not finite.
        """
        pictures, truth = _rendered_pair(number)
        frames = as_frames(pictures)
        flow = self._flow(network, frames[:1], frames[1:])[0]
        return tally_flow(flow, truth, torch.ones_like(truth[:1], dtype=torch.bool))

    def describe(self) -> Dict[str, Any]:
        """The settings."""
        return dict(type='FlowWitnesses', pairs=self.pairs, warps=self.warps, pace=self.pace, **self.more)

    def _flow(self, network: FlowEstimator, frames1: Tensor, frames2: Tensor) -> Tensor:
        return network.estimate(frames1.to(self.device), frames2.to(self.device))[-1].float().cpu()

    def _both_ways(self, network: FlowEstimator, frame1: Tensor, frame2: Tensor) -> Sequence[Tensor]:
        batch = PairBatch(frame1.to(self.device), frame2.to(self.device))
        return run_pass(network, batch, PLAIN).float().cpu().chunk(2)

    def _on_pair(self, network: FlowEstimator, place: int, frame1: Tensor, frame2: Tensor, flow_fw: Tensor,
                 flow_bw: Tensor) -> Dict[str, float]:
        """All witnesses but the known warps, of a network that sees this motion on a pair."""
        fixed = self._overlays.get(str(self.dataset.pairs[place]['scene']))
        found = pair_witnesses(frame1, frame2, flow_fw, flow_bw, fixed=fixed)
        if 'still' in self.more:
            found['still'] = still_error(frame1, frame2, flow_fw, fixed)
        if 'agreement' in self.more:
            seeds = ((self.seed, place, number) for number in (0, 1))
            other = self._flow(network, *(disturbed(frame, seed) for frame, seed in zip((frame1, frame2), seeds)))
            shown = torch.ones_like(other[:, :1]) if fixed is None else (~fixed).float()
            found['agreement'] = limited_error(other, flow_fw, shown)
        return found

    def _errors(self, network: FlowEstimator, warps: Sequence[KnownWarp]) -> List[float]:
        """Of the motion that a network sees in each warp, px."""
        found: List[float] = []
        for begin in range(0, len(warps), AT_ONCE):
            some = warps[begin:begin + AT_ONCE]
            frames = (torch.cat(parts) for parts in zip(*(one[:2] for one in some)))
            flows = self._flow(network, *frames)
            found += [limited_error(flow[None], one.flow, one.visible) for flow, one in zip(flows, some)]
        return found

    def _known_warps(self, index: int, frame: Tensor, fixed: Optional[Tensor]) -> List[KnownWarp]:
        if self.video is None or min(frame.shape[-2:]) < SMALLEST_SIDE:
            return []
        warps = [self.video.warp(np.random.default_rng((self.seed, index, number)), frame[0], self.pace)
                 for number in range(self.warps)]
        return warps if fixed is None else [warp.beneath(frame, fixed) for warp in warps]

    def _find_overlays(self) -> Dict[str, Tensor]:
        """Scene -> what lies over it and never changes, ``(1, 1, H, W)``; none of data sets that cannot tell."""
        if not hasattr(self.dataset, 'overlay'):
            return {}
        found = {scene: self.dataset.overlay(scene) for scene in dict.fromkeys(scene for scene, _ in self.samples)}
        return {scene: torch.from_numpy(fixed)[None, None] for scene, fixed in found.items() if fixed is not None}

    def _frames(self, index: int) -> Sequence[Tensor]:
        item = self.dataset[index]
        return [as_frames([item[name]]) for name in ('frame1', 'frame2')]

    @torch.no_grad()
    def _motion_of_video(self, teacher: FlowEstimator, log: Callable[[str], None]) -> Optional[VideoProfile]:
        """How the video moves, from some of the pairs, the same in every process; None if all are too small to warp."""
        observed = self.chosen[::max(1, len(self.chosen) // OBSERVED)]
        observed = [i for i in observed if min(self._frames(i)[0].shape[-2:]) >= SMALLEST_SIDE]
        if not observed:
            return None
        progress = Progress('Guard: how the video moves, {} frame pairs', len(observed), log)

        def contexts() -> Iterator[PairContext]:
            for done, i in enumerate(observed, start=1):
                frame1, frame2 = self._frames(i)
                flow_fw, flow_bw = self._both_ways(teacher, frame1, frame2)
                self._shown[i] = self._on_pair(teacher, i, frame1, frame2, flow_fw, flow_bw)
                progress(done)
                yield PairContext(frame1, frame2, flow_fw, flow_bw)

        try:
            return VideoProfile.of(contexts())
        except NoLabelsError:
            # all motion leaves the frame: warps that hardly move and have no noise still show what a network can do
            return VideoProfile([1.], 0., [0.], 0.)


@functools.lru_cache(maxsize=16)
def _rendered_pair(number: int) -> Tuple[np.ndarray, Tensor]:
    """Two frames ``(2, H, W, 3)`` uint8 and the flow ``(2, H, W)`` px between them, which are only read; kept, as all
    networks of a process are asked about the same ones."""
    clip = render_clip(RENDERED_SEED + number, 2, RENDERED_SIZE, 'source')
    return clip.frames, torch.from_numpy(clip.flow_fw[0])

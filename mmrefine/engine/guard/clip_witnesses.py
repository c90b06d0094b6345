"""What the guard's witnesses of clips share: which clips are asked, how fast they move, and the rendered ones."""
from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from statistics import median
from typing import Any, Callable, List, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation import TrackTally, tally_errors
from mmrefine.structures import Tracks, as_frames
from mmrefine.synthetic import render_clip

OBSERVED = 8  # clips, to know how the video moves
RENDERED_SEED, RENDERED_SIZE = 80_000, (128, 192)  # as those of flow


class ClipWitnesses(ABC):
    """Base of the witnesses that judge on clips.

    Attributes:
        dataset: clips that were kept back.
        chosen: the numbers of those that are asked.
        samples: (scene, key) of each.
    """
    sample_name = 'clip'

    @abstractmethod
    def _speed(self, teacher: Any, frames: Tensor) -> float:
        """How fast a clip moves, as the original network sees it, px a frame."""

    @abstractmethod
    def _track(self, network: Any, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow queries ``(N, 3)`` (frame, y, x) through a clip."""

    def rendered(self, network: Any, number: int) -> TrackTally:
        """The errors of tracks on a rendered clip of the source look, the same one each time.

        Raises:
            MMRefineError: points that are not finite.
        """
        return rendered_tally(lambda frames, queries: self._track(network, frames, queries), number, self.device)

    def _choose(self, dataset: Any, pairs: int, device: str, seed: int) -> None:
        """At most so many clips, spread evenly over the data set."""
        self.dataset, self.device, self.seed = dataset, device, seed
        count = len(dataset.clips)
        self.chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(pairs, count))})
        self.samples: Sequence[Tuple[str, str]] = [
            (str(dataset.clips[i]['scene']), str(dataset.clips[i]['key'])) for i in self.chosen]

    @torch.no_grad()
    def _median_speed(self, teacher: Any, log: Callable[[str], None]) -> float:
        """Of a few of the clips."""
        observed = self.chosen[::-(-len(self.chosen) // OBSERVED)]
        progress = Progress('Guard: how the video moves, {} clips', len(observed), log)
        speeds: List[float] = []
        for done, i in enumerate(observed, start=1):
            speeds.append(self._speed(teacher, self._frames(i)))
            progress(done)
        return median(speeds)

    def _frames(self, index: int) -> Tensor:
        return as_frames(self.dataset[index]['frames'], self.device)


@torch.no_grad()
def rendered_tally(track: Callable[[Tensor, Tensor], Tracks], number: int, device: str = 'cpu') -> TrackTally:
    """The errors of tracks on the rendered clip of a number, of the source look, the same one each time.

    Args:
        track: follows queries ``(N, 3)`` (frame, y, x) through frames ``(T, 3, H, W)``.
        number: of the clip, from 0 on.
        device: where the frames are.

    Raises:
        MMRefineError: points that are not finite.
    """
    frames, tracks = _rendered_clip(number)
    truth = torch.from_numpy(tracks).transpose(0, 1)
    queries = torch.cat([torch.zeros(len(truth), 1), truth[:, 0].flip(1)], dim=1).to(device)
    found = track(as_frames(frames, device), queries)
    return tally_errors(found.points.cpu().numpy(), truth.numpy(), np.ones(truth.shape[:2], bool), RENDERED_SIZE)


@functools.lru_cache(maxsize=16)
def _rendered_clip(number: int) -> Tuple[np.ndarray, np.ndarray]:
    """Frames ``(T, H, W, 3)`` uint8 and tracks ``(T, N, 2)`` px, which are only read; kept, as all networks of a
    process are asked about the same ones."""
    clip = render_clip(RENDERED_SEED + number, 8, RENDERED_SIZE, 'source')
    return clip.frames, clip.tracks

"""The pairs that a guard keeps back, and what any network shows on them."""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.engine.runtime.processes import together
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import NoLabelsError
from mmrefine.evaluation import Witness, distance, witness
from mmrefine.geometry import SMALLEST_SIDE, KnownWarp
from mmrefine.labeling import PairContext, VideoLook
from mmrefine.structures import FlowEstimator, as_frames
from mmrefine.values import as_count

LOOKED_AT = 16  # pairs, to know how the video moves


class GuardPairs:
    """A few pairs of a video, each with known warps of its first frame, on which networks are compared without ground truth.

    The warps move, and are as noisy, as the network that came saw the video; they are the same for every network. Frames are read when
    they are needed, so memory does not grow with the video. The processes of a distributed run share the pairs, and all
    get the same.

    Args:
        dataset: frame pairs without a pipeline.
        teacher: the network as it came.
        pairs: how many at most, spread evenly over the data set.
        warps: of the first frame of each; frames with a side below 32 px get none.
        pace: the warps move 1 to so many times as fast as the teacher saw the video move.
        seed: of the warps.
        device: where the networks live.
        log: called with a line now and then while the teacher looks at the video; None: silent.

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(self,
                 dataset: Any,
                 teacher: FlowEstimator,
                 pairs: int = 32,
                 warps: int = 2,
                 pace: float = 1.,
                 seed: int = 0,
                 device: str = 'cpu',
                 log: Optional[Callable[[str], None]] = None) -> None:
        as_count('GuardPairs.pairs', pairs, 2)
        as_count('GuardPairs.warps', warps, 0)
        self.dataset, self.warps, self.seed, self.device = dataset, warps, seed, device
        self.chosen = sorted({int(i) for i in np.linspace(0, len(dataset.pairs) - 1, min(pairs, len(dataset.pairs)))})
        self._log = log
        self.look = self._look_of(teacher) if warps else None
        self.pace = pace

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def clusters(self) -> List[str]:
        """What each pair belongs to: its scene where there are several, else itself."""
        scenes = [str(self.dataset.pairs[i]['scene']) for i in self.chosen]
        return scenes if len(set(scenes)) > 3 else [str(self.dataset.pairs[i]['key']) for i in self.chosen]

    @property
    def keys(self) -> List[str]:
        """The names of the pairs."""
        return [str(self.dataset.pairs[i]['key']) for i in self.chosen]

    @property
    def share(self) -> int:
        """How many of the pairs this process looks at."""
        return len(self._mine())

    def _mine(self) -> List[Tuple[int, int]]:
        rank, world = get_dist_info()
        return list(enumerate(self.chosen))[rank::world]

    def witnesses(self, network: FlowEstimator, told: Optional[Callable[[int], None]] = None) -> List[Witness]:
        """What ``network`` shows on each pair, in order.

        Args:
            network: in evaluation mode.
            told: called with how many of its :attr:`share` this process is done with.

        Raises:
            InputError: a frame that cannot be read.
        """

        def look() -> List[Tuple[int, Witness]]:
            seen = []
            for place, i in self._mine():
                seen.append((place, self._witness(network, i)))
                if told is not None:
                    told(len(seen))
            return seen

        found: Dict[int, Witness] = dict(pair for part in all_gather_object(together(look)) for pair in part)
        return [found[place] for place in range(len(self.chosen))]

    @torch.no_grad()
    def _witness(self, network: FlowEstimator, index: int) -> Witness:
        frame1, frame2 = self._frames(index)
        both = self._asked(network, torch.cat([frame1, frame2]), torch.cat([frame2, frame1]))
        errors = [distance(self._asked(network, w.frames1, w.frames2), w.flow, w.visible) for w in self._warps(index, frame1)]
        known = [error for error in errors if not math.isnan(error)]  # nan: nothing of that warp stays in view
        return witness(frame1, frame2, both[:1], both[1:], math.fsum(known) / len(known) if known else float('nan'))

    def _asked(self, network: FlowEstimator, frames1: Tensor, frames2: Tensor) -> Tensor:
        return network.estimate(frames1.to(self.device), frames2.to(self.device))[-1].float().cpu()

    def _warps(self, index: int, frame: Tensor) -> Iterator[KnownWarp]:
        if self.look is not None and min(frame.shape[-2:]) >= SMALLEST_SIDE:
            for number in range(self.warps):
                yield self.look.warp(np.random.default_rng((self.seed, index, number)), frame[0], self.pace)

    def _frames(self, index: int) -> Sequence[Tensor]:
        item = self.dataset[index]
        return [as_frames([item[name]]) for name in ('frame1', 'frame2')]

    @torch.no_grad()
    def _look_of(self, teacher: FlowEstimator) -> Optional[VideoLook]:
        """How the video moves, from some of the pairs; None if all are too small to warp. Every process finds the same."""
        asked = self.chosen[::max(1, len(self.chosen) // LOOKED_AT)]
        asked = [i for i in asked if min(self._frames(i)[0].shape[-2:]) >= SMALLEST_SIDE]
        if not asked:
            return None

        progress = Progress('Guard: how the video moves, {} pairs', len(asked), self._log or (lambda line: None))

        def contexts() -> Iterator[PairContext]:
            for done, i in enumerate(asked, start=1):
                one, two = self._frames(i)
                both = self._asked(teacher, torch.cat([one, two]), torch.cat([two, one]))
                progress(done)
                yield PairContext(one, two, both[:1], both[1:])

        try:
            return VideoLook.of(contexts())
        except NoLabelsError:
            # all motion leaves the frame: warps that hardly move and have no noise still show what a network can do
            return VideoLook([1.], 0., [0.], 0.)

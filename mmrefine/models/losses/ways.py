"""One direction of a batch of frame pairs, as losses without labels compare it."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

from torch import Tensor

from mmrefine.structures import FlowOutputs, FlowTargets, WholeFrames


@dataclass(frozen=True)
class Way:
    """The motion one way, forward or backward in time.

    Args:
        flows: ``(B, 2, H, W)`` px each, from coarse to fine.
        back: the same the other way; None if the network was not asked for it.
        frames: the crops of the frames that the motion begins in, ``(B, 3, H, W)`` RGB in [0, 1].
        whole: the frames it leads to; this way is forward in them.
        labelled: the weight of its labels, ``(B, 1, H, W)`` in [0, 1]; None where it has none.
    """
    flows: Sequence[Tensor]
    back: Optional[Sequence[Tensor]]
    frames: Tensor
    whole: WholeFrames
    labelled: Optional[Tensor] = None

    def iterates(self) -> Iterator[Tuple[Tensor, Optional[Tensor]]]:
        """Each iterate with that of the other way, from the last one back."""
        yield from zip(reversed(self.flows), reversed(self.back) if self.back else [None] * len(self.flows))


def ways_of(outputs: FlowOutputs, sample: FlowTargets) -> List[Way]:
    """The forward way, and the backward way where the network was asked for it.

    The frames are the whole ones of the sample, whose colours are as in the video, and else those that the network saw.
    """
    height, width = outputs.frames1.shape[-2:]
    dtype = outputs.frames1.dtype
    whole = WholeFrames.of_crops(outputs.frames1, outputs.frames2) if sample.whole is None else sample.whole
    flows = [flow.to(dtype) for flow in outputs.flows]
    if outputs.flows_bw is None:
        return [Way(flows, None, whole.crops(height, width), whole, sample.weight)]
    back = [flow.to(dtype) for flow in outputs.flows_bw]
    backwards = whole.backwards()
    return [Way(flows, back, whole.crops(height, width), whole, sample.weight),
            Way(back, flows, backwards.crops(height, width), backwards)]

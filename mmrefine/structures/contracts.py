"""What the labeler, the metrics and the hooks ask of a network, whoever made it."""
from __future__ import annotations

from typing import List, Optional, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class FlowEstimator(Protocol):
    """Anything that estimates the motion between two frames.

    ``accepts_flow_init`` says whether ``flow_init`` is used (RAFT, GMA) or must be ``None`` (the
    pyramid families). A network whose iterations can be chosen takes ``estimate(..., iters=)``, too; it is given only where a view
    of the teacher asks for a number of its own.
    """

    @property
    def accepts_flow_init(self) -> bool:
        """Whether ``flow_init`` may be given."""
        ...

    def estimate(self,
                 frames1: Tensor,
                 frames2: Tensor,
                 flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """The flow from ``frames1`` to ``frames2``, coarse to fine.

        Args:
            frames1: ``(B, 3, H, W)`` RGB in [0, 1], any H and W.
            frames2: the same shape.
            flow_init: ``(B, 2, H, W)`` px to start from.

        Returns:
            flows ``(B, 2, H, W)`` px, full size; the last one is the answer.
        """
        ...

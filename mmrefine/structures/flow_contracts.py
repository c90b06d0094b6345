"""The seams of flow: what its labeler and its scores ask of networks, views and pair guards."""
from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Protocol, Tuple, runtime_checkable

from mmrefine.structures.pairs import Look, LookRequest, Names, PairBatch, PairContext

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class FlowEstimator(Protocol):
    """Anything that estimates the motion between two frames.

    ``accepts_flow_init`` says whether ``flow_init`` is used (RAFT, GMA, CRAFT) or must be ``None`` (the pyramid
    families). A network whose iterations can be chosen takes ``estimate(..., iters=)``, too; it is given only where a
    view of the teacher asks for a number of its own.
    """

    @property
    def accepts_flow_init(self) -> bool:
        """Whether ``flow_init`` may be given."""

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


@runtime_checkable
class TwoWayEstimator(Protocol):
    """A ``FlowEstimator`` that can be asked for both directions at once, for less than two passes."""

    def estimate_both(self,
                      frames1: Tensor,
                      frames2: Tensor,
                      flow_init_fw: Optional[Tensor] = None,
                      flow_init_bw: Optional[Tensor] = None,
                      names: Optional[Names] = None) -> Tuple[Tensor, Tensor]:
        """The last flows from ``frames1`` to ``frames2`` and back, each ``(B, 2, H, W)`` px.

        Frames that have ``names`` may be encoded once along a video; names change nothing else. ``iters=`` as for
        ``FlowEstimator``.
        """


class Guard(Protocol):
    """Decides over frame pairs as a whole."""

    def passes(self, ctx: PairContext) -> Tensor:
        """Which pairs may be used: bool ``(B,)``."""


class View(Protocol):
    """How a flow teacher is asked about frame pairs: in which sizes, how often, and what its answers come to."""

    @property
    def uses_middles(self) -> bool:
        """Whether it looks at the frames between the two of a pair."""

    def look(self, teacher: FlowEstimator, batch: PairBatch, request: LookRequest = LookRequest()) -> Look:
        """What the teacher saw of the pairs: all that filters and weights need to know of it.

        Raises:
            TeacherError: the teacher gave no flow, or one of another size than it was shown.
            ConfigError: iterations for a network that does not iterate.
        """

    def pass_sizes(self, size: Tuple[int, int]) -> List[Tuple[int, int]]:
        """The sizes (height, width) px in which the teacher is shown frames of ``size``; empty if that is not known."""

"""What is made of several passes over the same pairs by whoever judges them."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Tuple, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class Verdict(NamedTuple):
    """What a judge makes of passes over B pairs, forward, then backward.

    Args:
        motion: ``(2 B, 2, H, W)`` px, nan where no pass is finite.
        shares: ``(K, 2 B, 1, H, W)`` in [0, 1], of each pass, then of what the judge itself has measured in the
            picture; they add up to 1.
        error: ``(2 B, 1, H, W)`` px, above 0: the end point error of the motion that is to be expected.
        sure: ``(2 B, 1, H, W)``, the logit of the chance that this error is below 1 px.
        start: ``(2 B, 2, H, W)`` px, what the passes came to before.
    """
    motion: Tensor
    shares: Tensor
    error: Tensor
    sure: Tensor
    start: Tensor


@runtime_checkable
class PassJudge(Protocol):
    """Weighs the passes over a pair at each pixel, and says how wrong what comes of them is."""

    def verify(self, frames1: Tensor, frames2: Tensor, passes: Tensor, traits: Tensor, start: Tensor,
               shares: Tensor) -> Verdict:
        """What the passes come to.

        Args:
            frames1: ``(2 B, 3, H, W)`` RGB in [0, 1]: the first frames of B pairs, then the second frames.
            frames2: the second frames, then the first.
            passes: ``(P, 2 B, 2, H, W)`` px of the frames, forward, then backward.
            traits: ``(P, 2)``: log2 of the scale of each pass, and 1 for mirrored frames, else 0.
            start: ``(2 B, 2, H, W)`` px, what the passes come to without the judge.
            shares: ``(P, 2 B, 1, H, W)`` in [0, 1], of each pass in that.
        """

    def pass_bytes(self, size: Tuple[int, int], passes: int = 4) -> int:
        """Bytes that it must hold at once for so many passes over frames of ``size`` (height, width) px; 0 if not
        known."""

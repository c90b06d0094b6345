"""The seam of propagation: labels and points of some frames of a video, carried to all of them."""
from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterator, Mapping, Protocol, Tuple, runtime_checkable

from mmrefine.structures.tracks import Tracks

if TYPE_CHECKING:
    from torch import Tensor

# the number of a frame -> the frame, (3, H, W) RGB in [0, 1], where the network lives
FrameOf = Callable[[int], 'Tensor']


@runtime_checkable
class FeatureEncoder(Protocol):
    """A network that gives features of frames at a quarter of their size."""

    def encode(self, frames: Tensor) -> Tensor:
        """``(B, 3, H, W)`` RGB in [0, 1], sides in multiples of 8 -> ``(B, C, H / 4, W / 4)``."""


@runtime_checkable
class Propagator(Protocol):
    """Anything that carries labels and points through a video, forwards and backwards."""

    def propagate(self, frame: FrameOf, count: int, given: Mapping[int, Tensor]) -> Iterator[Tuple[int, Tensor]]:
        """Labels of all frames from those of some.

        The labels of the first given frame go backwards to frame 0 and forwards; those of a later one go forwards from
        there. A later one corrects what it says something about: where its maps sum to 0, what was propagated stays.
        So objects may be added or corrected one by one, see :func:`~mmrefine.geometry.one_hot`.

        Args:
            frame: gives frame t; in order on each way, some of them more than once.
            count: frames of the video.
            given: number of a frame -> ``(K, H, W)``, background, object 1, …, each at least 0, the sum at most 1; of
                the first one, what is missing is background. Maps of fewer objects than others lack the last ones.

        Yields:
            each frame once, as its number and maps ``(K, H, W)`` that sum to 1: the first given frame, those before it
            in falling order, those after it in rising order.

        Raises:
            InputError: nothing given, maps of other shapes or values, frames that are not in the video or of another
                size.
        """

    def follow(self, frame: FrameOf, count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """Points of all frames from those of some.

        Args:
            frame: as above.
            count: frames of the video.
            size: (height, width) of the frames, px.
            queries: ``(N, 3)``: frame, y, x; px of these frames.

        Returns:
            tracks that are known in every frame, before the queries, too.

        Raises:
            InputError: a query that is not in the video, or frames of another size.
        """

"""The seams of long-range tracks: what their labeler and their scores ask of trackers."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Protocol, Sequence, Tuple, runtime_checkable

from mmrefine.structures.tracks import TrackLook, Tracks

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class TrackEstimator(Protocol):
    """Anything that follows points through a clip."""

    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow points to the end of a clip.

        Args:
            frames: ``(T, 3, H, W)`` RGB in [0, 1].
            queries: ``(N, 3)``: frame, y, x; px of these frames.

        Raises:
            InputError: a query that is not in the clip.
            TeacherError: points that are not finite.
        """

    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Follow points from the first frame to the last, and from where they end up back to the first.

        Args:
            frames: as in :meth:`track`.
            points: ``(N, 2)`` px (x, y), in the first frame.

        Returns:
            the way there ``(N, T, 2)`` px, the way back in the same order of frames, and how surely each point is
            seen on the way there, ``(N, T)`` in [0, 1].
        """


@runtime_checkable
class StreamTracker(Protocol):
    """A tracker that also follows points through videos that do not fit into memory."""

    def track_stream(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                     queries: Tensor) -> Tracks:
        """Follow points to the end of a video.

        Args:
            frame: gives frame t, ``(3, H, W)`` RGB in [0, 1], where the network lives; asked in rising order, at most
                once each.
            count: frames of the video.
            size: (height, width) of the frames, px.
            queries: ``(N, 3)``: frame, y, x; px of these frames.

        Raises:
            InputError: a query that is not in the video.
            TeacherError: points that are not finite.
        """


@runtime_checkable
class ErrorTracker(StreamTracker, Protocol):
    """A tracker that also says how far each point may be from where it should be."""

    def track_with_errors(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                          queries: Tensor) -> Tracks:
        """Follow points as :meth:`track_stream` does: the same points, with their expected errors.

        Args:
            frame: gives frame t, ``(3, H, W)`` RGB in [0, 1], where the network lives; asked in rising order, perhaps
                from the first to the last once more.
            count, size, queries: see there.

        Raises:
            InputError, TeacherError: see there.
        """

    def describe_errors(self) -> Mapping[str, Any]:
        """What decides over the errors beside weights and network; JSON-able. Its ``by`` is ``'steps'`` or
        ``'round trips'``."""


@runtime_checkable
class GivenTracks(Protocol):
    """Tracks that are there already and begin where they begin: nobody can be asked about other points."""

    @property
    def has_way_back(self) -> bool:
        """Whether there are tracks back, too."""

    def tracks_of(self, scene: str, frames: Sequence[int], size: Tuple[int, int]) -> Tuple[Tensor, Tensor, Tensor]:
        """The tracks that are seen in the first of some frames and known in all of them.

        Args:
            scene: the video.
            frames: the numbers of T of its frames.
            size: (height, width) of the frames, px.

        Returns:
            as of :meth:`TrackEstimator.track_both`; the way back is nan if there is none.

        Raises:
            InputError: there are no tracks of the scene, or of frames of another number or size.
        """


class TrackView(Protocol):
    """How a track teacher is asked about a clip: in which sizes, at which strides, and what its answers come to."""

    @property
    def needs_between(self) -> bool:
        """Whether it wants to see the frames of the video between those of a clip."""

    def look(self, teacher: TrackEstimator, frames: Tensor, points: Tensor,
             between: Sequence[Tensor] = ()) -> TrackLook:
        """What the teacher saw: all that filters need to know of it.

        Args:
            teacher: that is asked.
            frames: ``(T, 3, H, W)`` RGB in [0, 1].
            points: ``(N, 2)`` px (x, y), in the first frame.
            between: for each of the T - 1 steps of the clip the frames ``(K, 3, H, W)`` of the video in between, as
                many as there are; empty: none.

        Raises:
            TeacherError: the teacher gave no tracks, or other shapes than it was asked for.
        """

    def pass_sizes(self, size: Tuple[int, int]) -> Sequence[Tuple[int, int]]:
        """The sizes (height, width) px in which the teacher is shown frames of ``size``; empty if that is not known."""


class TrackFilter(Protocol):
    """Decides over tracks one by one.

    Optional members: ``needs_back = True`` where it cannot do without the way back; ``describe()``, what is hashed into
    the fingerprint of labels beside its config; ``peak_bytes(size)``, what it must hold at once, bytes, for frames of
    ``size`` = (height, width) px.
    """

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""


class TrackBalance(Protocol):
    """Says which tracks a label of limited size should rather have."""

    def __call__(self, look: TrackLook) -> Tensor:
        """How likely each track is in proportion to the others: ``(N,)``, above 0."""


class QuerySource(Protocol):
    """Where tracks of a clip begin."""

    def points(self, frame: Tensor, scene: str, number: int) -> Tensor:
        """Points ``(N, 2)`` px (x, y) in a frame.

        Args:
            frame: ``(3, H, W)`` RGB in [0, 1], the first of the clip.
            scene: of the clip.
            number: of the frame in the scene.
        """

    def describe(self) -> List[str]:
        """What is hashed into the fingerprint of labels beside its config, such as the digest of a file of points."""

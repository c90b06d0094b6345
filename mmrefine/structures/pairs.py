"""Frame pairs on their way through a teacher: what it is shown, what it saw, and what its motion is judged by."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Hashable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mmrefine.structures.flow_contracts import Guard

# px; motion that is not known is so long: it leaves every frame, so no filter that looks inside keeps it, and no store
# can hold it
FAR = 1e5
# for each first and for each second frame of a batch what names its picture
Names = Tuple[Sequence[Hashable], Sequence[Hashable]]


class NamedFrame(NamedTuple):
    """A frame with the name of its picture.

    Args:
        frame: ``(3, H, W)`` RGB in [0, 1].
        name: hashable, the same for the same picture only; None if it has none.
    """
    frame: Tensor
    name: Optional[Hashable] = None


@dataclass(frozen=True)
class PairBatch:
    """Frame pairs of one size, with the frames around them that may be asked about, too.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        thirds: for each pair a third frame of its scene ``(3, H, W)``, or None where it has none. None: nobody needs
            them.
        names: of the pictures in ``frames1`` and in ``frames2``; a teacher that can encodes each name once along a
            video.
        middles: for each pair the frames between its two, in the order from frame 1 to frame 2. None: no pair has any.

    Raises:
        ValueError: frames of other shapes, or third frames or frames in between of another number or shape.
    """
    frames1: Tensor
    frames2: Tensor
    thirds: Optional[Sequence[Optional[Tensor]]] = None
    names: Optional[Names] = None
    middles: Optional[Sequence[Sequence[NamedFrame]]] = None

    def __post_init__(self) -> None:
        one, two = tuple(self.frames1.shape), tuple(self.frames2.shape)
        if len(one) != 4 or one[1] != 3 or one != two:
            raise ValueError(f'frames1 and frames2 must both be (B, 3, H, W), got {one} and {two}')
        if self.thirds is not None:
            found = [None if frame is None else tuple(frame.shape) for frame in self.thirds]
            if len(found) != one[0] or any(shape not in (None, one[1:]) for shape in found):
                raise ValueError(f'thirds must be {one[0]} frames of shape {one[1:]} or None, got {found}')
        if self.middles is not None:
            shapes = [[tuple(middle.frame.shape) for middle in between] for between in self.middles]
            if len(shapes) != one[0] or any(shape != one[1:] for between in shapes for shape in between):
                raise ValueError(f'middles must be for {one[0]} pairs a list of frames of shape {one[1:]} each, '
                                 f'got {shapes}')

    def __len__(self) -> int:
        return len(self.frames1)

    @property
    def size(self) -> Tuple[int, int]:
        """(height, width) of the frames, px."""
        return self.frames1.shape[-2], self.frames1.shape[-1]

    def both_ways(self) -> Tuple[Tensor, Tensor]:
        """``(2 B, 3, H, W)`` twice: the first frames of the pairs followed by those of the pairs reversed, and the
        second frames."""
        return torch.cat([self.frames1, self.frames2]), torch.cat([self.frames2, self.frames1])

    def select(self, pairs: Sequence[int]) -> PairBatch:
        """Some of the pairs, without the frames around them."""
        names = None if self.names is None else ([self.names[0][i] for i in pairs], [self.names[1][i] for i in pairs])
        return PairBatch(self.frames1[list(pairs)], self.frames2[list(pairs)], names=names)

    def mirrored(self) -> PairBatch:
        """The pairs mirrored left to right, without names and the frames around them: a mirrored frame is another
        picture."""
        return PairBatch(self.frames1.flip(-1), self.frames2.flip(-1))

    def path(self, pair: int) -> List[NamedFrame]:
        """The frames of a pair from its first to its second, those in between included."""
        ends = [NamedFrame(frames[pair], None if self.names is None else self.names[i][pair])
                for i, frames in enumerate((self.frames1, self.frames2))]
        return [ends[0], *(self.middles[pair] if self.middles else ()), ends[1]]


@dataclass(frozen=True)
class LookRequest:
    """What a view is asked for beside the motion from frame 1 to frame 2.

    Args:
        backward: whether the motion back is needed. A view that needs it itself gives it in any case.
        plain: whether it is needed what a plain pass sees: at the frames' own size, from rest, as the student will see
            them.
        guards: decide whether two neighbouring frames may tell anything of one another; a view that goes over frames
            between the two of a pair does without those of a pair of which a guard refuses a step.
    """
    backward: bool = True
    plain: bool = False
    guards: Sequence[Guard] = ()


@dataclass(frozen=True)
class Look:
    """What a teacher saw of a batch of pairs.

    Args:
        flow_fw: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        flow_bw: the same shape, frame 2 -> frame 1; nan all over if it was not asked for.
        plain_fw: what a plain pass saw, frame 1 -> frame 2; None if there was none, or none beside the one that became
            ``flow_fw``.
        plain_bw: the same, frame 2 -> frame 1.
        shares_fw: for each pair the mean share in [0, 1] that each pass has in the motion of its pixels, by name, such
            as ``{'from_1x': 0.2, 'from_2x': 0.8}``; a pass over frames in between that there were not, or that a guard
            refused, has 0. Empty if the view does not weigh its passes against one another.
        shares_bw: the same for the way back.
        error_fw: ``(B, 1, H, W)`` px, the end point error of ``flow_fw`` that is to be expected; None if the view has
            no verifier, which would know it.
        error_bw: the same for the way back.
        sure_fw: ``(B, 1, H, W)`` in [0, 1], the chance that the error of ``flow_fw`` is below 1 px; None likewise.
        sure_bw: the same for the way back.
    """
    flow_fw: Tensor
    flow_bw: Tensor
    plain_fw: Optional[Tensor] = None
    plain_bw: Optional[Tensor] = None
    shares_fw: Sequence[Mapping[str, float]] = ()
    shares_bw: Sequence[Mapping[str, float]] = ()
    error_fw: Optional[Tensor] = None
    error_bw: Optional[Tensor] = None
    sure_fw: Optional[Tensor] = None
    sure_bw: Optional[Tensor] = None

    @classmethod
    def of(cls,
           pairs: int,
           motion: Tensor,
           plain: Optional[Tensor] = None,
           shares: Optional[Mapping[str, Tensor]] = None,
           error: Optional[Tensor] = None,
           sure: Optional[Tensor] = None) -> Look:
        """A look from what was seen of ``pairs`` pairs forward, then backward, or forward only.

        Args:
            pairs: how many.
            motion: ``(2 B, 2, H, W)`` or ``(B, 2, H, W)`` px.
            plain: likewise.
            shares: of each pass by its name, ``(2 B, 1, H, W)`` or ``(B, 1, H, W)``.
            error: ``(2 B, 1, H, W)`` px, that is to be expected.
            sure: ``(2 B, 1, H, W)`` in [0, 1], the chance that it is below 1 px.
        """
        means: List[Mapping[str, float]] = []
        if shares:
            found = torch.stack(list(shares.values())).double().mean(dim=(2, 3, 4)).t().tolist()
            means = [dict(zip(shares, each)) for each in found]
        flow_fw, flow_bw = cls._ways(motion, pairs)
        plain_fw, plain_bw = (None, None) if plain is None else cls._ways(plain, pairs)
        error_fw, error_bw = (None, None) if error is None else cls._ways(error, pairs)
        sure_fw, sure_bw = (None, None) if sure is None else cls._ways(sure, pairs)
        return cls(flow_fw, flow_bw, plain_fw, plain_bw, means[:pairs], means[pairs:], error_fw, error_bw, sure_fw,
                   sure_bw)

    def both_ways(self) -> Tensor:
        """``(2 B, 2, H, W)`` px, forward, then backward."""
        return torch.cat([self.flow_fw, self.flow_bw])

    def reversed(self) -> Look:
        """The same of the pairs turned round: frame 2, then frame 1."""
        return Look(self.flow_bw, self.flow_fw, self.plain_bw, self.plain_fw, self.shares_bw, self.shares_fw,
                    self.error_bw, self.error_fw, self.sure_bw, self.sure_fw)

    @staticmethod
    def _ways(seen: Tensor, pairs: int) -> Tuple[Tensor, Tensor]:
        return seen[:pairs], seen[pairs:] if len(seen) > pairs else torch.full_like(seen, float('nan'))


@dataclass(frozen=True)
class PairContext:
    """What filters and weights judge a motion by.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1], the frame that is labelled.
        frames2: the same shape, the frame that its motion leads to.
        flow_fw: ``(B, 2, H, W)`` px, frame 1 -> frame 2: the label to be.
        flow_bw: ``(B, 2, H, W)`` px, frame 2 -> frame 1.
        third1: ``(B, 2, H, W)`` px, frame 1 -> a third frame of the scene, the same for both directions; nan all over
            for a pair that has none, or one that a guard refuses. None if no filter needs it (``needs_third = True``)
            or no pair has one.
        third2: the same, frame 2 -> the third frame.
        plain_fw: ``(B, 2, H, W)`` px, what a plain pass saw, frame 1 -> frame 2, see :class:`Look`. None if nobody
            needs it (``needs_plain = True``) or the view has none.
        plain_bw: the same, frame 2 -> frame 1.
        error_fw: ``(B, 1, H, W)`` px, the error of ``flow_fw`` that is to be expected, see :class:`Look`; None if the
            view does not know it.
        error_bw: the same for ``flow_bw``.
    """
    frames1: Tensor
    frames2: Tensor
    flow_fw: Tensor
    flow_bw: Tensor
    third1: Optional[Tensor] = None
    third2: Optional[Tensor] = None
    plain_fw: Optional[Tensor] = None
    plain_bw: Optional[Tensor] = None
    error_fw: Optional[Tensor] = None
    error_bw: Optional[Tensor] = None

    def reversed(self) -> PairContext:
        """The same pairs backwards in time."""
        return PairContext(self.frames2, self.frames1, self.flow_bw, self.flow_fw, self.third2, self.third1,
                           self.plain_bw, self.plain_fw, self.error_bw, self.error_fw)

"""Points followed through a video."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

import torch
from torch import Tensor

from mmrefine.errors import InputError


@dataclass(frozen=True)
class Tracks:
    """N points followed through T frames.

    Args:
        points: ``(N, T, 2)`` float32 px, (x, y), pixel centres at integers; nan in frames where a point was not
            followed. Points may leave the frame.
        visible: ``(N, T)`` float32, how surely a point is seen, in [0, 1]; 0 where it was not followed.
        queries: ``(N, 3)`` float32: frame, y, x where each track begins, as in TAP-Vid.
        size: (height, width) of the frames, px.
        error: ``(N, T)`` float32 px, how far each point is expected to be from where it should be; 0 in the frame of
            its query, nan where it was not followed. None where nobody has asked for it.

    Raises:
        ValueError: shapes that do not fit together.
    """
    points: Tensor
    visible: Tensor
    queries: Tensor
    size: Tuple[int, int]
    error: Optional[Tensor] = None

    def __post_init__(self) -> None:
        count, frames = self.points.shape[:2] if self.points.dim() == 3 else (-1, -1)
        wanted = ((count, frames, 2), (count, frames), (count, 3))
        found = tuple(tuple(part.shape) for part in (self.points, self.visible, self.queries))
        if found != wanted:
            raise ValueError('points, visible and queries of tracks must be (N, T, 2), (N, T) and (N, 3), got '
                             f'{found[0]}, {found[1]} and {found[2]}')
        if self.error is not None and tuple(self.error.shape) != wanted[1]:
            raise ValueError(f'error of tracks must be (N, T), {wanted[1]}, got {tuple(self.error.shape)}')

    def within(self, most: float) -> Tracks:
        """The same tracks, seen only where their expected error is at most so many px.

        Args:
            most: px.

        Raises:
            ValueError: the error is not known.
        """
        if self.error is None:
            raise ValueError('these tracks have no expected error to hold against a threshold')
        # nan, where nothing is followed, is at most nothing
        return replace(self, visible=self.visible.masked_fill(~(self.error <= most), 0.))


@dataclass(frozen=True)
class TrackLook:
    """What a teacher saw of N points in a clip of T frames.

    Args:
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        there: ``(N, T, 2)`` px (x, y) of ``frames``, from the first frame to the last.
        back: ``(N, T, 2)`` px, from the last point of ``there`` back to the first frame, in the order of the frames;
            nan where no way back is known.
        visible: ``(N, T)``, how surely each point is seen, in [0, 1].
        plain: ``(N, T, 2)`` px, the way there of one pass over the frames as they are; None where ``there`` is that
            pass, or where there was none.
    """
    frames: Tensor
    there: Tensor
    back: Tensor
    visible: Tensor
    plain: Optional[Tensor] = None

    @property
    def cycle_errors(self) -> Tensor:
        """``(N, T)`` px, how far the ways there and back are apart."""
        return (self.there - self.back).norm(dim=-1)


def check_queries(queries: Tensor, frames: int, size: Tuple[int, int]) -> Tensor:
    """Queries ``(N, 3)`` (frame, y, x) as float32.

    Args:
        queries: pixel centres at integers, so inside is from -0.5 to side - 0.5.
        frames: of the video.
        size: (height, width) of its frames, px.

    Raises:
        InputError: another shape, or a query that is not a number, not inside the frame or not in the video; names the
            first such.
    """
    if queries.dim() != 2 or queries.shape[1] != 3:
        raise InputError(f'queries must be (N, 3), each frame, y and x, got {tuple(queries.shape)}')
    queries = queries.float()
    last = queries.new_tensor([frames - 1., size[0] - 0.5, size[1] - 0.5])
    sound = ((queries >= queries.new_tensor([0., -0.5, -0.5])) & (queries <= last)).all(dim=1)
    sound &= queries[:, 0] == queries[:, 0].round()
    if not bool(sound.all()):
        number = int(torch.nonzero(~sound)[0])
        t, y, x = queries[number].tolist()
        raise InputError(f'query {number} is at frame {t:g}, y {y:g}, x {x:g}, and the video has the frames 0 to '
                         f'{frames - 1} of {size[0]}x{size[1]} px (height x width); correct it or leave it out')
    return queries

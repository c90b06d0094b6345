"""What all ways of propagation share: in which order frames are reached, and what given labels do."""
from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from itertools import zip_longest
from typing import Dict, Iterator, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import InputError
from mmrefine.geometry import fill_background
from mmrefine.structures.propagation import FrameOf
from mmrefine.structures.tracks import Tracks

_ROUNDING = 1e-4  # by which given maps may miss their range


class LabelPropagator(ABC):
    """Base of the ways to propagate labels. Implements ``Propagator``."""

    kept_views = 2  # of the frames that a way needs last

    def propagate(self, frame: FrameOf, count: int, given: Mapping[int, Tensor]) -> Iterator[Tuple[int, Tensor]]:
        """See :meth:`~mmrefine.structures.Propagator.propagate`."""
        return self._propagate(frame, count, checked_maps(given, count))

    @abstractmethod
    def follow(self, frame: FrameOf, count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """See :meth:`~mmrefine.structures.Propagator.follow`."""

    @abstractmethod
    def _carry(self, views: FrameOf, numbers: Sequence[int], labels: Tensor) -> Iterator[Tensor]:
        """The labels ``(K, H, W)`` of ``numbers[1:]``, one after the other, from those of ``numbers[0]``."""

    def _view(self, frame: Tensor) -> Tensor:
        """What the propagator needs of a frame."""
        return frame

    def _views(self, frame: FrameOf, size: Tuple[int, int], kept: int) -> FrameOf:
        """The views of frames, made once each on a way; that of frame ``kept`` is held until the end."""
        view = lru_cache(self.kept_views)(lambda number: self._view(checked_frame(frame, number, size)))
        start = view(kept)
        return lambda number: start if number == kept else view(number)

    @torch.no_grad()  # also of a generator, in each of its steps
    def _propagate(self, frame: FrameOf, count: int, maps: Dict[int, Tensor]) -> Iterator[Tuple[int, Tensor]]:
        first, *later = maps
        views = self._views(frame, _size(maps[first]), first)
        maps = {number: given.to(views(first).device) for number, given in maps.items()}
        labels = corrected(maps[first], None)
        yield first, labels
        before = range(first, -1, -1)
        yield from zip(before[1:], self._carry(views, before, labels))
        for begin, end in zip_longest([first, *later], later):
            way = range(begin, count if end is None else end + 1)
            for number, carried in zip(way[1:], self._carry(views, way, labels)):
                labels = corrected(maps[number], carried) if number in maps else carried
                yield number, labels


def corrected(given: Tensor, carried: Optional[Tensor]) -> Tensor:
    """Given maps ``(K, H, W)``, and where they do not sum to 1 as much of what was carried there; without it of the
    background."""
    if carried is None:
        return fill_background(given)
    return given + (1 - given.sum(dim=0, keepdim=True)).clamp(min=0.) * carried


def checked_maps(given: Mapping[int, Tensor], count: int) -> Dict[int, Tensor]:
    """Given maps in the order of their frames, as float32 and with as many maps each.

    Raises:
        InputError: none, a frame that is not in the video, or maps of another shape, size or range.
    """
    if not given:
        raise InputError('no labels are given; give those of at least one frame')
    most = max(maps.shape[0] if maps.dim() == 3 else 0 for maps in given.values())
    size = tuple(given[min(given)].shape[-2:])
    found = {}
    for number in sorted(given):
        maps = given[number].float()
        if not 0 <= number < count:
            raise InputError(f'labels are given for frame {number}, and the video has the frames 0 to {count - 1}')
        if maps.dim() != 3 or not maps.numel() or tuple(maps.shape[-2:]) != size:
            raise InputError(f'the labels of frame {number} must be (K, H, W), of one size in all given frames, got '
                             f'{tuple(maps.shape)}, and of frame {min(given)} {tuple(given[min(given)].shape)}')
        sums = maps.sum(dim=0)
        if not bool(maps.min() >= -_ROUNDING and sums.max() <= 1 + _ROUNDING):  # false for nan, too
            raise InputError(f'the labels of frame {number} must be at least 0 and sum to at most 1 in each pixel, got '
                             f'{float(maps.min()):g} and a sum of {float(sums.max()):g}')
        found[number] = torch.cat([maps, maps.new_zeros(most - len(maps), *size)])
    return found


def checked_frame(frame: FrameOf, number: int, size: Tuple[int, int]) -> Tensor:
    """A frame of the video.

    Raises:
        InputError: it is of another size.
    """
    found = frame(number)
    if _size(found) != tuple(size):
        raise InputError(f'frame {number} is {found.shape[-2]}x{found.shape[-1]} px (height x width), and what is '
                         f'given is for {size[0]}x{size[1]} px; give labels at the size of the frames')
    return found


def _size(image: Tensor) -> Tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])

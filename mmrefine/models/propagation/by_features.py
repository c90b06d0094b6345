"""Labels copied by what looks alike: CorrFlow's propagation (Lai and Xie, BMVC 2019, sections 3.3 and 4)."""
from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.geometry import (FramePad, cell_coordinates, cells_of, copy_labels, heat_maps, ids_of, one_hot, pixels_of,
                               read_heat_maps)
from mmrefine.models.propagation.walk import LabelPropagator
from mmrefine.structures.propagation import FeatureEncoder, FrameOf
from mmrefine.structures.tracks import Tracks, check_queries
from mmrefine.values import as_choice, as_count

STRIDE, DIVISOR = 4, 8  # px
_AT_ONCE = 256  # points whose maps are copied at once, which takes several times the memory of the maps
Feed = Callable[[Tensor], Tensor]


class FeaturePropagator(LabelPropagator):
    """Each cell of a frame takes the mean of the labels of cells nearby in frames that have labels, weighed by how much
    their features are alike (:func:`~mmrefine.geometry.copy_labels`). Implements ``Propagator``.

    Frames are padded to multiples of 8 px by repeating their border, and the padding is cut off again. Labels stay soft
    on their way. A point is a map that is shared between the four cells around it, read out by
    :func:`~mmrefine.geometry.read_heat_maps`; it counts as seen as far as its map stays together.

    Args:
        network: in evaluation mode; each frame is encoded once.
        radius: of the window in which a cell looks, in cells of 4 px; None: the whole frame.
        memory: a cell looks into the frame before only (0, as in the paper), or into the given frame and so many before
            it.
        most: best candidates that get a weight; None: all of them, as in the paper.
        hard: decide at every frame, as the reference code does: a pixel takes the one label with the most, a point is
            drawn again where it was read.
        shrink: how labels of pixels become labels of cells, see :func:`~mmrefine.geometry.cells_of`; ``'bilinear'`` in
            the reference code.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self,
                 network: FeatureEncoder,
                 radius: Optional[int] = 6,
                 memory: int = 0,
                 most: Optional[int] = None,
                 hard: bool = False,
                 shrink: str = 'area') -> None:
        self.network, self.hard = network, hard
        self.radius = None if radius is None else as_count('FeaturePropagator.radius', radius, 0)
        self.memory = as_count('FeaturePropagator.memory', memory, 0)
        self.most = None if most is None else as_count('FeaturePropagator.most', most)
        self.shrink = as_choice('FeaturePropagator.shrink', shrink, ('area', 'bilinear'))

    @torch.no_grad()
    def follow(self, frame: FrameOf, count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """See :meth:`~mmrefine.structures.Propagator.follow`. Points of one query frame share a pass."""
        queries = check_queries(queries.cpu(), count, size)
        begins = queries[:, 0].long()
        points = queries[:, None, [2, 1]].repeat(1, count, 1)
        visible = torch.ones(len(queries), count)
        if len(queries):
            views = self._views(frame, size, int(begins[0]))
            for way in (range(count), range(count - 1, -1, -1)):
                self._follow(views, way, size, begins, points, visible)
        return Tracks(points, visible, queries, size)

    def _follow(self, views: FrameOf, way: Sequence[int], size: Tuple[int, int], begins: Tensor, points: Tensor,
                visible: Tensor) -> None:
        """Fill in what comes after the queries on a way. All that are on their way take each step together, so that a
        frame is encoded once; they take it in groups, so that only one map of each point is in memory."""
        pad = FramePad(*size, DIVISOR)
        corner = torch.tensor([pad.left, pad.top])
        running: List[Tuple[Tensor, Iterator[Tensor]]] = []
        for at, number in enumerate(way):
            for rows, steps in running:
                found, sure = read_heat_maps(next(steps))
                found = (found * STRIDE + (STRIDE - 1) / 2).cpu() - corner
                # a map that has vanished leaves its point where it was
                points[rows, number] = torch.where(found.isnan(), points[rows, way[at - 1]], found)
                visible[rows, number] = sure.cpu()
            rows = (begins == number).nonzero()[:, 0]
            if len(rows) and at + 1 < len(way):
                view = views(number)
                for group in rows.split(_AT_ONCE):
                    cells = cell_coordinates(points[group, number] + corner, STRIDE).to(view.device)
                    maps = heat_maps(cells, (view.shape[-2], view.shape[-1]))
                    running.append((group, self._copy(views, way[at:], maps, _drawn_again)))

    def _carry(self, views: FrameOf, numbers: Sequence[int], labels: Tensor) -> Iterator[Tensor]:
        pad = FramePad(labels.shape[-2], labels.shape[-1], DIVISOR)

        def decided(cells: Tensor) -> Tensor:
            ids = ids_of(pixels_of(cells, STRIDE)).long()
            return cells_of(one_hot(ids, len(cells) - 1).to(cells), STRIDE, self.shrink)

        start = cells_of(pad.pad(labels[None])[0], STRIDE, self.shrink)
        for cells in self._copy(views, numbers, start, decided):
            yield pad.crop(pixels_of(cells, STRIDE))

    def _copy(self, views: FrameOf, numbers: Sequence[int], maps: Tensor, decided: Feed) -> Iterator[Tensor]:
        """The maps of ``numbers[1:]``; ``decided`` gives those that are fed back if labels are hard."""
        recent: Deque[Tuple[Tensor, Tensor]] = deque([(views(numbers[0]), maps)], maxlen=max(self.memory, 1))
        given = recent[0] if self.memory else None
        for number in numbers[1:]:
            target = views(number)
            known = [*recent] if given is None or recent[0] is given else [given, *recent]
            maps = self._copied(target, known)
            # before the maps are handed out, and without known, so that older ones do not stay until the next step
            recent.append((target, decided(maps) if self.hard else maps))
            del known
            yield maps

    def _copied(self, target: Tensor, known: Sequence[Tuple[Tensor, Tensor]]) -> Tensor:
        references, labels = (torch.stack(parts)[None] for parts in zip(*known))
        return copy_labels(target[None], references, labels, self.radius, self.most)[0]

    def _view(self, frame: Tensor) -> Tensor:
        pad = FramePad(frame.shape[-2], frame.shape[-1], DIVISOR)
        return self.network.encode(pad.pad(frame[None]))[0].float()


def _drawn_again(maps: Tensor) -> Tensor:
    """Heat maps of the points that were read from others; those that have vanished stay so."""
    return heat_maps(read_heat_maps(maps)[0], (maps.shape[-2], maps.shape[-1])).nan_to_num(0.)

"""Labels carried by points that are followed through the video."""
from __future__ import annotations

from typing import Iterator, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.geometry import query_grid, sample
from mmrefine.models.propagation.walk import LabelPropagator
from mmrefine.models.trackers.ways import follow_both_ways
from mmrefine.structures import StreamTracker, TrackEstimator
from mmrefine.structures.propagation import FrameOf
from mmrefine.structures.tracks import Tracks
from mmrefine.values import as_count, as_number

_TILE = 16  # px, of the squares whose pixels share their candidates


class TrackPropagator(LabelPropagator):
    """A grid of points is followed from each given frame, and each pixel of another frame takes the mean of the labels
    of the nearest points that are seen there, weighed by the inverse of their distance. Implements ``Propagator``.

    Args:
        tracker: in evaluation mode; one that cannot read a video as a stream gets its frames at once.
        step: px from one point of the grid to the next.
        nearest: points that a pixel asks. Where fewer are seen, all are asked, seen or not.
        seen: a point is seen above this confidence, in [0, 1].

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(self, tracker: Union[TrackEstimator, StreamTracker], step: int = 8, nearest: int = 4,
                 seen: float = 0.5) -> None:
        self.tracker = tracker
        self.step, self.nearest = (as_count(f'TrackPropagator.{name}', value)
                                   for name, value in (('step', step), ('nearest', nearest)))
        self.seen = as_number('TrackPropagator.seen', seen, '[0, 1]')

    @torch.no_grad()
    def follow(self, frame: FrameOf, count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """See :meth:`~mmrefine.structures.Propagator.follow`.

        Raises:
            TeacherError: points that are not finite.
        """
        if not len(queries):
            return Tracks(queries.new_zeros(0, count, 2), queries.new_zeros(0, count), queries, size)
        views = self._views(frame, size, int(queries[0, 0].clamp(0, count - 1)))
        return follow_both_ways(lambda way, asked: self._track(views, way, size, asked), count, queries)

    def _carry(self, views: FrameOf, numbers: Sequence[int], labels: Tensor) -> Iterator[Tensor]:
        if len(numbers) < 2:
            return
        size = (labels.shape[-2], labels.shape[-1])
        grid = query_grid(size, self.step).to(labels)
        of_points = sample(labels[None], grid.t()[None, :, :, None], 'border')[0, :, :, 0].t()
        found = self._track(views, numbers, size, torch.cat([torch.zeros_like(grid[:, :1]), grid.flip(1)], dim=1))
        points, visible = found.points.to(labels), found.visible.to(labels.device)
        for t in range(1, len(numbers)):
            seen = visible[:, t] > self.seen
            if int(seen.sum()) < self.nearest:
                seen = torch.ones_like(seen)
            yield labels_of_nearest(points[seen, t], of_points[seen], size, self.nearest)

    def _track(self, views: FrameOf, way: Sequence[int], size: Tuple[int, int], queries: Tensor) -> Tracks:
        """Points followed through the frames ``way``, from the first to the last."""
        if isinstance(self.tracker, StreamTracker):
            return self.tracker.track_stream(lambda t: views(way[t]), len(way), size, queries)
        return self.tracker.track(torch.stack([views(number) for number in way]), queries)


def labels_of_nearest(points: Tensor, labels: Tensor, size: Tuple[int, int], nearest: int) -> Tensor:
    """Labels of all pixels from those of points: the mean of the ``nearest`` ones, weighed by ``1 / (distance + 1)``.

    Of a square of pixels only the points are asked that can be among the nearest of one of them: those that are no
    farther from its middle than the k-th nearest of the middle and the diagonal of the square.

    Args:
        points: ``(N, 2)`` px (x, y), finite.
        labels: ``(N, K)``.
        size: (height, width) of the frame, px.
        nearest: points that are asked, all of them if there are fewer.

    Returns:
        ``(K, H, W)``.
    """
    found = labels.new_empty(labels.shape[1], *size)
    nearest = min(nearest, len(points))
    for top in range(0, size[0], _TILE):
        for left in range(0, size[1], _TILE):
            y, x = torch.meshgrid(torch.arange(top, min(top + _TILE, size[0]), device=points.device),
                                  torch.arange(left, min(left + _TILE, size[1]), device=points.device), indexing='ij')
            pixels = torch.stack([x, y], dim=-1).flatten(0, 1).to(points)
            middle = (pixels[0] + pixels[-1]) / 2
            off = (points - middle).norm(dim=1)
            reach = off.kthvalue(nearest).values + (pixels[0] - pixels[-1]).norm()
            near = off <= reach
            distance, which = (pixels[:, None] - points[near]).norm(dim=-1).topk(nearest, dim=1, largest=False)
            weight = 1 / (distance + 1)
            mean = (labels[near][which] * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
            found[:, top:top + _TILE, left:left + _TILE] = mean.t().view(-1, *x.shape)
    return found

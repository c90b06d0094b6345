"""Where tracks begin: on a grid, at corners, in windows around points of interest, or several of these."""
from __future__ import annotations

import math
from collections import Counter
from typing import Any, Dict, List, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.fileio.annotations.interest_points import read_interest_points
from mmrefine.geometry import luma, query_grid, query_windows, resize_points
from mmrefine.labeling.description import with_contents
from mmrefine.registry import QUERIES
from mmrefine.values import as_count, brief


@QUERIES.register_module()
class GridQueries:
    """A regular grid over the frame (:func:`~mmrefine.geometry.query_grid`). Implements ``QuerySource``.

    Args:
        step: from one query to the next, px.
        border: px along the edges of the frame without queries.

    Raises:
        ConfigError: a step below 1, or a negative border.
    """

    def __init__(self, step: int = 16, border: int = 0) -> None:
        self.step, self.border = as_count('GridQueries.step', step), as_count('GridQueries.border', border, 0)

    def points(self, frame: Tensor, scene: str, number: int) -> Tensor:
        """Points ``(N, 2)`` px (x, y), by rows, the same for all frames of one size."""
        return query_grid(_size(frame), self.step, self.border).to(frame.device)

    def describe(self) -> List[str]:
        """Nothing: the settings say it all."""
        return []


@QUERIES.register_module()
class TextureQueries:
    """Corners, whose motion can be seen in every direction, spread over the frame. Implements ``QuerySource``.

    Corners are those of Shi & Tomasi (CVPR 1994) as OpenCV finds them, the strongest first and none nearer than
    ``distance`` to a stronger one. The frame is cut into square tiles with room for four
    queries each, and every tile gives its strongest corner before any gives its second: so one textured part of the
    frame does not take all, and what flat tiles leave goes to the others. The same frame gives the same points.

    Args:
        count: queries of a frame at most; a frame with fewer corners gives fewer.
        distance: least distance between two queries, px.
        border: px along the edges of the frame without queries.

    Raises:
        ConfigError: a count or distance below 1, or a negative border.
    """

    # a corner has at least this share of the eigenvalue of the strongest one
    QUALITY = 0.01
    BLOCK = 7  # px of the window of an eigenvalue
    PER_TILE = 4

    def __init__(self, count: int = 512, distance: int = 8, border: int = 8) -> None:
        name = type(self).__name__
        self.count, self.distance = as_count(f'{name}.count', count), as_count(f'{name}.distance', distance)
        self.border = as_count(f'{name}.border', border, 0)

    def points(self, frame: Tensor, scene: str, number: int) -> Tensor:
        """Points ``(N, 2)`` px (x, y), by rows; none in a frame without texture."""
        corners = self._corners(frame.detach().cpu())
        height, width = _size(frame)
        tile = math.ceil(math.sqrt(self.PER_TILE * height * width / self.count))
        taken: Counter[Tuple[int, int]] = Counter()
        ranks = []
        for y, x in corners:
            ranks.append(taken[y // tile, x // tile])
            taken[y // tile, x // tile] += 1
        first = sorted(range(len(corners)), key=lambda i: (ranks[i], i))[:self.count]
        chosen = sorted(corners[i] for i in first)
        return torch.tensor([(x, y) for y, x in chosen], dtype=torch.float32, device=frame.device).view(-1, 2)

    def describe(self) -> List[str]:
        """Nothing: the settings say it all."""
        return []

    def _corners(self, frame: Tensor) -> List[Tuple[int, int]]:
        """(y, x) px, the strongest first, none nearer than ``distance`` to an earlier one."""
        height, width = _size(frame)
        inner = np.zeros((height, width), np.uint8)
        inner[self.border:max(height - self.border, 0), self.border:max(width - self.border, 0)] = 1
        found = cv2.goodFeaturesToTrack(luma(frame[None].float())[0, 0].numpy(), 0, self.QUALITY, self.distance,
                                        mask=inner, blockSize=self.BLOCK)
        return [] if found is None else [(int(y), int(x)) for x, y in found[:, 0].tolist()]


@QUERIES.register_module()
class WindowQueries:
    """Every pixel of a square window around each point of interest (:func:`~mmrefine.geometry.query_windows`), so that
    one point becomes ``side^2`` tracks. Implements ``QuerySource``.

    Source: Refine (Sun et al. 2024), where the points are heads (CroHD) or joints (Horse30). A frame of which the file
    knows no point gives no queries, and its clip an empty label.

    Args:
        points: file of points of interest, see
            :func:`~mmrefine.fileio.annotations.interest_points.read_interest_points`: a table ``.csv`` with the columns
            scene, frame (from 0), x and y in px of the frames; or tracks, ``<scene>.npz`` or a folder of them, whose
            points are scaled to the frames. Its contents are part of what labels are made of, its path is not.
        side: of a window, px: 24 for CroHD at 768x1280, 40 for Horse30 at 256x448.
        border: px along the edges of the frame without queries.

    Raises:
        ConfigError: a side below 1, or a negative border.
        InputError: a file of points that is missing or broken.
    """

    described_by_contents = ('points', )

    def __init__(self, points: str, side: int = 24, border: int = 0) -> None:
        self.side, self.border = as_count('WindowQueries.side', side), as_count('WindowQueries.border', border, 0)
        self.interest = read_interest_points(points)

    def points(self, frame: Tensor, scene: str, number: int) -> Tensor:
        """Points ``(N, 2)`` px (x, y), by rows; each pixel once. None where no point of interest is known."""
        size = _size(frame)
        points = torch.from_numpy(self.interest.of(scene, number))
        points = resize_points(points, self.interest.sizes.get(scene, size), size)
        return query_windows(points, self.side, size, self.border)[0].to(frame.device)

    def describe(self) -> List[str]:
        """The digest of the file of points."""
        return [self.interest.digest]


@QUERIES.register_module()
class JoinedQueries:
    """The queries of several sources together, such as corners all over the frame and windows around points of
    interest. Implements ``QuerySource``.

    Args:
        sources: configs of parts of ``QUERIES``, one or more.

    Raises:
        ConfigError: no sources, or one that is invalid.
        InputError: a file of theirs that is missing or broken.
    """

    described_by_contents = ('sources', )  # of which some have files

    def __init__(self, sources: Sequence[Dict[str, Any]]) -> None:
        if not isinstance(sources, (list, tuple)) or not sources:
            raise ConfigError('JoinedQueries.sources must be a list of one or more configs of queries, such as '
                              f"[dict(type='TextureQueries')], got {brief(sources)}")
        self.configs, self.sources = list(sources), [QUERIES.build(config) for config in sources]

    def points(self, frame: Tensor, scene: str, number: int) -> Tensor:
        """Points ``(N, 2)`` px (x, y): those of the first source, then those of the next that are not there yet."""
        found = torch.cat([source.points(frame, scene, number).float() for source in self.sources])
        first = {tuple(point): i for i, point in reversed(list(enumerate(found.tolist())))}
        return found[sorted(first.values())]

    def describe(self) -> List[str]:
        """Each source with its settings and the contents of its files."""
        return [repr(with_contents(source, config)) for source, config in zip(self.sources, self.configs)]


def _size(frame: Tensor) -> Tuple[int, int]:
    return frame.shape[-2], frame.shape[-1]

"""The guard's witnesses of features: what comes home through a clip and back, and known motion."""
from __future__ import annotations

from statistics import fmean
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.engine.guard.clip_witnesses import ClipWitnesses
from mmrefine.engine.judging.track_scores import grid_points
from mmrefine.engine.runtime.passes import Passes
from mmrefine.errors import ConfigError
from mmrefine.evaluation.features.witnesses import (FIGURES, FLOORS, WEIGHTS, label_patches, objection, point_error,
                                                    wrong_labels)
from mmrefine.geometry import (KnownClip, cell_coordinates, copy_labels, heat_maps, known_clip, pixel_grid,
                               points_inside, read_heat_maps, track_speed)
from mmrefine.models import FeaturePropagator
from mmrefine.registry import WITNESSES
from mmrefine.structures import Tracks
from mmrefine.values import as_count, as_number

DIVISOR = 8  # px; frames are cut to multiples of it, as no cell may lie half outside
LEAST_CELLS = 2  # that known motion goes from the first frame to the last, or who copies in place would hardly be wrong
MOST_OF_WINDOW = 1 / 3  # of its radius in a step; half as much again is drawn, and corners are faster


class _Cargo(NamedTuple):
    """Labels and points that are copied along a clip."""
    labels: Tensor  # (h, w), the number of each cell
    points: Tensor  # (N, 2) px
    maps: Tensor  # (K + N, h, w), of both

    def split(self, maps: Tensor, stride: int) -> Tuple[Tensor, Tensor]:
        """Maps of the labels, and points ``(N, 2)`` px, of maps that were copied."""
        count = len(maps) - len(self.points)
        return maps[:count], read_heat_maps(maps[count:])[0] * stride + (stride - 1) / 2


@WITNESSES.register_module()
class FeatureWitnesses(ClipWitnesses):
    """What is copied along clips that were kept back comes home, and known motion of the first frame is followed.

    Patches of cells with labels of their own and a grid of points are copied by what looks alike nearby
    (:func:`~mmrefine.geometry.copy_labels`), from each frame to the next, to the last frame and back. Known motion is
    as fast as the original network saw the video move, but goes two cells at least and stays in the window of the
    network; it is the same for every network. What is weighed how: :mod:`mmrefine.evaluation.features.witnesses`.

    Frames are cut to multiples of 8 px.

    Args:
        pairs: how many clips at most, spread evenly over the data set.
        labels: patches, about.
        points: of the grid, about.
        warps: clips of known motion that are made of the first frame of each, at least 1.
        pace: these move so many times as fast as the original network saw the video move.

    Raises:
        ConfigError: a number out of range; when it is prepared, a network without features.
    """
    weights, floors, figures = WEIGHTS, FLOORS, FIGURES

    def __init__(self, pairs: int = 32, labels: int = 256, points: int = 100, warps: int = 1, pace: float = 1.) -> None:
        self.pairs = as_count('FeatureWitnesses.pairs', pairs, 2)
        self.labels = as_count('FeatureWitnesses.labels', labels, 2)
        self.points, self.warps = as_count('FeatureWitnesses.points', points), as_count('FeatureWitnesses.warps', warps)
        self.pace = as_number('FeatureWitnesses.pace', pace, '[0, 1000]')
        self.speed = 0.

    @property
    def passes(self) -> Passes:
        """Of a network over each clip."""
        return Passes(both_ways=1 + self.warps)

    def prepare(self, dataset: Any, teacher: Any, device: str, seed: int, log: Callable[[str], None]) -> None:
        """See :meth:`~mmrefine.structures.contracts.Witnesses.prepare`; ``seed`` is that of the known motion."""
        if not callable(getattr(teacher, 'encode', None)):
            raise ConfigError('FeatureWitnesses judge a network by its features, such as a CorrespondenceLearner, got '
                              f'{type(teacher).__name__}; set the witnesses of RegressionGuardHook to its kind')
        self._choose(dataset, self.pairs, device, seed)
        self.speed = self._median_speed(teacher, log)

    @torch.no_grad()
    def observe(self, network: Any, index: int) -> Dict[str, float]:
        """What a network shows on a clip: ``labels``, % of the cells whose label is another after the way there and
        back, ``points``, how far points are then from their start, px; ``known_labels`` and ``known_points``, the same
        by the truth in all frames of known motion after the first; ``motion``, how far points are from their start in
        the last frame of the clip, and ``known_still``, how far off they are on known motion if they stay where they
        are, px."""
        frames = self._frames(self.chosen[index])
        features, stride = _features(network, frames)
        cargo = self._cargo(frames, features, stride)
        way = list(_carried([*features, *features[-2::-1]], cargo.maps, network.radius))
        last, home = (cargo.split(way[number], stride) for number in (len(frames) - 2, -1))
        found = dict(labels=wrong_labels(home[0], cargo.labels), points=point_error(home[1], cargo.points),
                     motion=point_error(last[1], cargo.points))
        known: List[Tuple[float, float, float]] = []
        for number in range(self.warps):
            clip = known_clip(np.random.default_rng((self.seed, self.chosen[index], number)), frames[0], len(frames),
                              self._known_speed(network.radius, stride, frames))
            known += _on_known_motion(network, clip, features[0], cargo, stride)
        for place, name in enumerate(('known_labels', 'known_points', 'known_still')):
            values = [one[place] for one in known if one[place] == one[place]]  # nan where all of it has left the frame
            found[name] = fmean(values) if values else float('nan')
        return found

    def objection(self, teacher: Sequence[Mapping[str, float]],
                  candidate: Sequence[Mapping[str, float]]) -> Optional[str]:
        """See :func:`~mmrefine.evaluation.features.witnesses.objection`."""
        return objection(teacher, candidate)

    def describe(self) -> Dict[str, Any]:
        """The settings."""
        return dict(type='FeatureWitnesses', pairs=self.pairs, labels=self.labels, points=self.points, warps=self.warps,
                    pace=self.pace)

    def _frames(self, index: int) -> Tensor:
        frames = super()._frames(index)
        height, width = (side // DIVISOR * DIVISOR for side in frames.shape[-2:])
        return frames[..., :height, :width]

    def _cargo(self, frames: Tensor, features: Sequence[Tensor], stride: int) -> _Cargo:
        size = (features[0].shape[-2], features[0].shape[-1])
        labels = label_patches(size, self.labels).to(frames.device)
        points = grid_points((frames.shape[-2], frames.shape[-1]), self.points).to(frames.device)
        maps = F.one_hot(labels).permute(2, 0, 1).float(), heat_maps(cell_coordinates(points, stride), size)
        return _Cargo(labels, points, torch.cat(maps))

    def _speed(self, teacher: Any, frames: Tensor) -> float:
        """Of the points of a clip, px a frame."""
        features, stride = _features(teacher, frames)
        cargo = self._cargo(frames, features, stride)
        way = [cargo.split(maps, stride)[1] for maps in _carried(features, cargo.maps, teacher.radius)]
        return float(track_speed(torch.stack([cargo.points, *way], dim=1).double().nan_to_num(0.)).mean())

    def _track(self, network: Any, frames: Tensor, queries: Tensor) -> Tracks:
        size = (frames.shape[-2], frames.shape[-1])
        return FeaturePropagator(network, network.radius).follow(frames.__getitem__, len(frames), size, queries)

    def _known_speed(self, radius: Optional[int], stride: int, frames: Tensor) -> float:
        reach = min(frames.shape[-2:]) / 4 if radius is None else radius * stride
        return max(min(self.pace * self.speed, MOST_OF_WINDOW * reach), LEAST_CELLS * stride / (len(frames) - 1))


def _features(network: Any, frames: Tensor) -> Tuple[List[Tensor], int]:
    """Of each frame ``(C, h, w)``, and px a cell."""
    features = [network.encode(frame[None])[0].float() for frame in frames]
    return features, frames.shape[-1] // features[0].shape[-1]


def _carried(features: Sequence[Tensor], maps: Tensor, radius: Optional[int]) -> Iterator[Tensor]:
    """Maps of the first frame in each frame after it, copied from each to the next."""
    for reference, target in zip(features, features[1:]):
        maps = copy_labels(target[None], reference[None, None], maps[None, None], radius)[0]
        yield maps


def _on_known_motion(network: Any, clip: KnownClip, first: Tensor, cargo: _Cargo,
                     stride: int) -> Iterator[Tuple[float, float, float]]:
    """How many cells are wrong (%), how far points are off, and how far they would be if they stayed in place (px), in
    each frame after the first."""
    size = (clip.frames.shape[-2], clip.frames.shape[-1])
    height, width = cargo.labels.shape
    cells = pixel_grid(height, width, clip.frames) * stride + (stride - 1) / 2  # their middles, px
    tracks = clip.tracks(cargo.points)
    features = [first, *_features(network, clip.frames[1:])[0]]
    for number, maps in enumerate(_carried(features, cargo.maps, network.radius), start=1):
        labels, points = cargo.split(maps, stride)
        came_from = (cells + clip.motions[number].inverse().motion(cells))[0]  # (2, h, w) px of the first frame
        x, y = cell_coordinates(came_from, stride).round().long()
        seen = points_inside(came_from.permute(1, 2, 0), size)
        truth = cargo.labels[y.clamp(0, height - 1), x.clamp(0, width - 1)]
        there = points_inside(tracks[:, number], size)
        yield (wrong_labels(labels, truth, seen), point_error(points, tracks[:, number], there),
               point_error(cargo.points, tracks[:, number], there))

"""A tracker that cannot change any more."""
from __future__ import annotations

from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor

from mmrefine.models.teachers.frozen import FrozenCopy, FrozenTeacher
from mmrefine.models.teachers.verifier import FrozenVerifier
from mmrefine.structures import FeatureEncoder, PassJudge, TrackEstimator, Tracks


class FrozenTracker(FrozenCopy):
    """A frozen tracker. Implements ``TrackEstimator``; arguments: see
    :class:`~mmrefine.models.teachers.frozen.FrozenCopy`."""

    @torch.no_grad()
    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow points to the end of a clip; see :meth:`TrackRefiner.track`."""
        with self.precision(frames):
            return self.refiner.track(frames, queries)

    @torch.no_grad()
    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Follow points there and back; see :meth:`TrackRefiner.track_both`."""
        with self.precision(frames):
            return self.refiner.track_both(frames, points)

    def describe(self) -> Dict[str, Any]:
        """What decides over its answers beside the weights: network, its sizes, iterations."""
        found = dict(network=type(self.refiner.estimator).__name__, **self.refiner.describe())
        return found if self.dtype == 'float32' else dict(found, dtype=self.dtype)

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """Bytes that a pass must hold at once; 0 if not known.

        Args:
            size: (height, width) of the frames as they are shown, px.
            pairs: clips shown at a time.
        """
        return pairs * int(self.refiner.pass_bytes(size))

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that it takes less memory."""
        return list(self.refiner.memory_settings())


class FrozenFeatures(FrozenTracker):
    """A frozen network of correspondences. Implements ``FeatureEncoder``, and ``TrackEstimator`` by its features."""

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Features of frames; see :meth:`CorrespondenceLearner.encode`."""
        with self.precision(frames):
            return self.refiner.encode(frames)


def freeze(refiner: Any, dtype: str = 'float32') -> FrozenCopy:
    """What a refiner of flow, of tracks or of features, or a verifier, makes; see
    :class:`~mmrefine.models.teachers.frozen.FrozenCopy`."""
    if isinstance(refiner, PassJudge):
        return FrozenVerifier(refiner, dtype)
    if isinstance(refiner, FeatureEncoder):
        return FrozenFeatures(refiner, dtype)
    return FrozenTracker(refiner, dtype) if isinstance(refiner, TrackEstimator) else FrozenTeacher(refiner, dtype)

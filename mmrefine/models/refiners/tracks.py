"""A tracker of points that learns from tracks."""
from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.models.losses.build import build_losses, checked_losses
from mmrefine.models.networks.pips import PIPs
from mmrefine.models.refiners.estimators import build_estimator
from mmrefine.models.trackers.pips_chain import PIPsChain
from mmrefine.models.trackers.round_trips import RoundTripErrors
from mmrefine.models.trackers.ways import predict_sample, there_and_back
from mmrefine.registry import MODELS
from mmrefine.structures import TrackOutputs, Tracks, TrackSample, TrackTargets
from mmrefine.values import as_count


@MODELS.register_module()
class TrackRefiner(RoundTripErrors, BaseModel):
    """PIPs, with losses of ours. Implements ``TrackEstimator``.

    Keys of the state dict are those of the network behind ``estimator.``.

    Args:
        estimator: config of :class:`~mmrefine.models.PIPs`, or the network itself.
        losses: configs of losses ``(outputs, sample) -> scalar`` on :class:`~mmrefine.structures.TrackOutputs` and
            :class:`~mmrefine.structures.TrackTargets`; they are added up. May be empty for a network that only
            predicts.
        train_iters: iterations in mode 'loss'.
        test_iters: iterations elsewhere.
        chunk: points that share a pass at most; fewer take less memory.
        data_preprocessor: config of what comes before; default :class:`~mmrefine.models.FramePreprocessor`.
        init_cfg: MMEngine's, for the refiner as a whole.

    Raises:
        ConfigError: another kind of network, a number below 1, or a loss that needs what this network cannot provide.
    """

    def __init__(self,
                 estimator: Union[Mapping[str, Any], nn.Module],
                 losses: Sequence[Mapping[str, Any]] = (),
                 train_iters: int = 6,
                 test_iters: int = 6,
                 chunk: int = 512,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmrefine.FramePreprocessor'), init_cfg)
        network = build_estimator(estimator)
        if not isinstance(network, PIPs):
            raise ConfigError('model.estimator of a TrackRefiner must be a tracker, such as '
                              f"dict(type='mmrefine.PIPs'), got {type(network).__name__}")
        self.estimator: PIPs = network
        self.losses, self.needs = build_losses(losses, {'labels', 'features'})
        self.train_iters = as_count('model.train_iters', train_iters)
        self.test_iters, self.chunk = as_count('model.test_iters', test_iters), as_count('model.chunk', chunk)

    def init_weights(self) -> None:
        """Initialise as the network says; its initialisers are looked up in MMEngine's scope (F16)."""
        with DefaultScope.overwrite_default_scope('mmengine'):
            super().init_weights()

    def forward(self, inputs: Tensor, data_samples: Optional[List[TrackSample]] = None,
                mode: str = 'tensor') -> Union[Dict[str, Tensor], List[TrackSample], Tensor]:
        """MMEngine's entry.

        Args:
            inputs: ``(B, T, 3, H, W)`` RGB in [0, 1].
            data_samples: one per clip; with ``points``, ``visible`` and ``weight`` in mode 'loss'; in mode 'predict'
                their ``queries`` are followed, or else ``points`` of the first frame, see
                :func:`~mmrefine.models.trackers.ways.predict_sample`.
            mode: 'loss', 'predict' or 'tensor'.

        Returns:
            'loss': ``loss_*`` by loss, and diagnostics whose names hold no "loss" (F11): ``error_to_label`` (px, mean
            of the final points). 'predict': the samples, each with ``pred_points`` ``(N, T, 2)`` px and
            ``pred_visible`` ``(N, T)``. 'tensor': features of the frames.

        Raises:
            ValueError: another mode.
            ConfigError: no labels where they are needed, or a loss that returns no scalar.
            MMRefineError: a loss that is nan or infinite.
        """
        if mode == 'loss':
            return self._loss(inputs, TrackTargets.of(data_samples or []))
        if mode == 'predict':
            return self._predict(inputs, data_samples or [])
        if mode == 'tensor':
            return self.estimator.encode(inputs)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    @property
    def clip_frames(self) -> int:
        """Frames of the clips that it learns from; it follows points through more or fewer."""
        return self.estimator.window

    @torch.no_grad()
    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow points to the end of a clip of any length; see :class:`~mmrefine.structures.TrackEstimator`."""
        return self.track_stream(frames.__getitem__, len(frames), _size(frames), queries)

    @torch.no_grad()
    def track_stream(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                     queries: Tensor) -> Tracks:
        """Follow points to the end of a video whose frames are asked for one by one; see
        :class:`~mmrefine.structures.StreamTracker`. The features of one window are in memory."""
        return self.chain().track(frame, count, size, queries)

    @torch.no_grad()
    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Follow points there and back. No more features are kept than a window has: the frames of a clip as long as
        that are encoded once, those of a longer one once each way but for its last window. See
        :func:`~mmrefine.models.trackers.ways.there_and_back`."""
        size, count = _size(frames), len(frames)

        @lru_cache(self.estimator.window)
        def features(t: int) -> Tensor:
            return self.estimator.encode(frames[t])

        def follow(queries: Tensor, backwards: bool) -> Tracks:
            return self.chain().follow(lambda t: features(count - 1 - t if backwards else t), count, size, queries)

        return there_and_back(follow, points, size)

    def describe(self) -> Dict[str, Any]:
        """What decides over its tracks beside the weights; JSON-able."""
        return dict(stride=self.estimator.stride, window=self.estimator.window, iters=self.test_iters)

    def pass_bytes(self, size: Tuple[int, int]) -> int:
        """Bytes of the features of a window and of what points look up in it.

        Args:
            size: (height, width) of the frames, px.
        """
        network = self.estimator
        cells = (size[0] // network.stride) * (size[1] // network.stride)
        # a scale has a quarter of the places of the one before
        features = 4 / 3 * network.feat_channels * cells
        seen = self.chunk * (2 * network.corr_radius + 2)**2 * network.feat_channels
        return int(4 * network.window * (features + seen))  # of float32

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that it takes less memory."""
        return [f'model.chunk (now {self.chunk})']

    def chain(self) -> PIPsChain:
        """The network along videos."""
        return PIPsChain(self.estimator, self.test_iters, self.chunk)

    def _loss(self, frames: Tensor, sample: TrackTargets) -> Dict[str, Tensor]:
        if not self.losses:
            raise ConfigError('model.losses is empty, so there is nothing to learn from; add '
                              "dict(type='TrackSequenceLoss')")
        points, _, weight = sample.label()
        if frames.shape[1] != self.clip_frames:
            raise ConfigError(f'this network learns from clips of {self.clip_frames} frames (model.estimator.window), '
                              f'and these have {frames.shape[1]}; set frames={self.clip_frames}')
        features = self.estimator.encode(frames)
        first = points[:, :, 0].nan_to_num(0.)  # of tracks without weight it may be anything
        found = self.estimator(features, first, self.train_iters)
        outputs = TrackOutputs([each.transpose(1, 2) for each in found.points], found.visibility.transpose(1, 2),
                               frames, found.track_features, features, self.estimator.stride)
        results = checked_losses(self.losses, outputs, sample)
        with torch.no_grad():
            error = (outputs.points[-1].float() - points).masked_fill(weight[..., None] == 0, 0.).norm(dim=-1)
            results['error_to_label'] = (weight * error).sum() / weight.sum().clamp(min=1e-6)
        return results

    def _predict(self, inputs: Tensor, samples: List[TrackSample]) -> List[TrackSample]:
        if len(samples) != len(inputs):
            raise ValueError(f'{len(inputs)} clips need as many data_samples, got {len(samples)}')
        for frames, sample in zip(inputs, samples):
            predict_sample(self, frames, sample)
        return samples


def _size(frames: Tensor) -> Tuple[int, int]:
    return int(frames.shape[-2]), int(frames.shape[-1])

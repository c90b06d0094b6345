"""A network that learns correspondences by copying colours along unlabelled video."""
from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.models.correspondence import ColorClasses
from mmrefine.models.losses.build import build_losses, checked_losses
from mmrefine.models.networks import CorrFlowEncoder
from mmrefine.models.propagation.by_features import FeaturePropagator
from mmrefine.models.refiners.estimators import build_estimator
from mmrefine.models.trackers.round_trips import RoundTripErrors
from mmrefine.models.trackers.ways import there_and_back
from mmrefine.registry import MODELS
from mmrefine.structures import ColorOutputs, Tracks, TrackSample
from mmrefine.values import as_count


@MODELS.register_module()
class CorrespondenceLearner(RoundTripErrors, BaseModel):
    """CorrFlow (Lai and Xie, BMVC 2019): an encoder whose features tell where a place of one frame is in another.

    Keys of the state dict are those of the encoder behind ``estimator.``. Each frame is encoded once in a step.

    Args:
        estimator: config of :class:`~mmrefine.models.CorrFlowEncoder`, or the network itself.
        losses: configs of losses ``(outputs, sample) -> scalar`` on :class:`~mmrefine.structures.ColorOutputs`; they
            are added up. May be empty for a network that only encodes.
        radius: of the window in which a cell looks for another, in training and in use, cells; None: no window, all
            cells of the frame.
        bottleneck: config of what becomes of the colours that the network sees:
            :class:`~mmrefine.models.ChannelDropout`, :class:`~mmrefine.models.GreyInput`, or None for all colours.
        colors: config of the classes of colours. Default: :class:`~mmrefine.models.ColorClasses`.
        warp: config of :class:`~mmrefine.models.CropWarp`: the way back of ``CycleColorLoss`` leads over frames that
            are cropped by the same known warp, a new one for each clip, as are the colours that it is compared with.
            Default: over the frames as they are, as in CorrFlow.
        data_preprocessor: config of what comes before; default :class:`~mmrefine.models.FramePreprocessor`.
        init_cfg: MMEngine's, for the model as a whole.

    Raises:
        ConfigError: another kind of network, a radius below 0, or a loss that needs what this network cannot provide.
    """

    def __init__(self,
                 estimator: Union[Mapping[str, Any], nn.Module],
                 losses: Sequence[Mapping[str, Any]] = (),
                 radius: Optional[int] = 6,
                 bottleneck: Optional[Mapping[str, Any]] = None,
                 colors: Optional[Mapping[str, Any]] = None,
                 warp: Optional[Mapping[str, Any]] = None,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmrefine.FramePreprocessor'), init_cfg)
        network = build_estimator(estimator)
        if not isinstance(network, CorrFlowEncoder):
            raise ConfigError('model.estimator of a CorrespondenceLearner must be an encoder, such as '
                              f"dict(type='mmrefine.CorrFlowEncoder'), got {type(network).__name__}")
        self.estimator: CorrFlowEncoder = network
        self.losses, self.needs = build_losses(losses, {'colors'})
        self.radius = None if radius is None else as_count('model.radius', radius, 0)
        self.bottleneck, self.warp = (None if part is None else MODELS.build({'_scope_': 'mmrefine', **part})
                                      for part in (bottleneck, warp))
        self.colors: ColorClasses = MODELS.build({'_scope_': 'mmrefine', **(colors or dict(type='ColorClasses'))})

    def init_weights(self) -> None:
        """Initialise as the network says; its initialisers are looked up in MMEngine's scope (F16)."""
        with DefaultScope.overwrite_default_scope('mmengine'):
            super().init_weights()

    def forward(self, inputs: Tensor, data_samples: Optional[List[TrackSample]] = None,
                mode: str = 'tensor') -> Union[Dict[str, Tensor], Tensor]:
        """MMEngine's entry.

        Args:
            inputs: ``(B, T, 3, H, W)`` RGB in [0, 1].
            data_samples: one per clip, or None; where they have ``plain_frames``, those give the colours to be found.
            mode: 'loss' or 'tensor'.

        Returns:
            'loss': ``loss_*`` by loss, and diagnostics whose names hold no "loss" (F11), shares in [0, 1] of the cells
            of frame 1: ``color_found``, whose colour class is that copied from frame 0, and ``color_still``, whose
            class is that of the same cell of frame 0, what a network without any features would find. 'tensor':
            features ``(B, T, C, h, w)``.

        Raises:
            ValueError: another mode.
            ConfigError: no loss, clips of one frame, or a loss that returns no scalar.
            MMRefineError: a loss that is nan or infinite.
        """
        if mode == 'loss':
            return self._loss(inputs, data_samples or [])
        if mode == 'tensor':
            return self._features(inputs)
        raise ValueError(f"mode must be 'loss' or 'tensor', got {mode!r}")

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Features to propagate with, as a network in use sees frames, whatever mode it is in: batch norm by its
        statistics, no channel dropped.

        Args:
            frames: ``(B, 3, H, W)`` RGB in [0, 1].

        Returns:
            ``(B, C, H / 4, W / 4)``, rounded up.
        """
        was_training = self.training
        self.eval()
        try:
            return self.estimator(self._seen(frames))
        finally:
            self.train(was_training)

    def propagator(self) -> FeaturePropagator:
        """What carries labels and points along by its features, in the window that it has learned with."""
        return FeaturePropagator(self, self.radius)

    @torch.no_grad()
    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow points through a clip of any length; see :class:`~mmrefine.structures.TrackEstimator`."""
        return self.track_stream(frames.__getitem__, len(frames), (frames.shape[-2], frames.shape[-1]), queries)

    def track_stream(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                     queries: Tensor) -> Tracks:
        """Follow points through a video whose frames are asked for one by one; see
        :class:`~mmrefine.structures.StreamTracker`. The features of three frames are in memory."""
        return self.propagator().follow(frame, count, size, queries)

    @torch.no_grad()
    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Follow points there and back, see :func:`~mmrefine.models.trackers.ways.there_and_back`."""
        size = (frames.shape[-2], frames.shape[-1])

        def follow(queries: Tensor, backwards: bool) -> Tracks:
            return self.track(frames.flip(0) if backwards else frames, queries)

        return there_and_back(follow, points, size)

    def describe(self) -> Dict[str, Any]:
        """What decides over its features, and over what is copied by them, beside the weights; JSON-able."""
        return dict(radius=self.radius, stride=self.estimator.stride, channels=self.estimator.out_channels,
                    bottleneck=None if self.bottleneck is None else type(self.bottleneck).__name__)

    def learned_with(self) -> Dict[str, Any]:
        """What its weights must be used with, as they have learned with it; kept with them. JSON-able."""
        return dict(radius=self.radius, bottleneck=type(self.bottleneck).__name__ if self._shows_in_use else None)

    def pass_bytes(self, size: Tuple[int, int]) -> int:
        """Bytes of what the encoder holds at once of a frame, without gradients, about.

        Args:
            size: (height, width) of the frames, px.
        """
        stride = self.estimator.stride
        cells = -(-size[0] // stride) * -(-size[1] // stride)
        # the widest stage: a block's input, its two halves, and what the next convolution makes of them; float32
        return 4 * 256 * 4 * cells

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that it takes less memory: none, as the encoder takes most of it, and what is
        copied is worked out in parts."""
        return []

    @property
    def _shows_in_use(self) -> bool:
        """Whether the bottleneck also decides what the network sees in use."""
        return self.bottleneck is not None and getattr(self.bottleneck, 'in_use', True)

    def _seen(self, frames: Tensor) -> Tensor:
        return frames if self.bottleneck is None else self.bottleneck(frames)

    def _features(self, frames: Tensor) -> Tensor:
        """``(B, T, 3, H, W)`` -> ``(B, T, C, h, w)``; each frame once."""
        seen = self._seen(frames)
        # of frames without some of their colours the statistics are others than those of frames in use, but if there
        # are no others, they must do
        foreign = seen is not frames and not self._shows_in_use and not getattr(self.bottleneck, 'is_constant', False)
        with _statistics_kept(self.estimator) if foreign else nullcontext():
            found: Tensor = self.estimator(seen.flatten(0, 1))
        return found.unflatten(0, frames.shape[:2])

    def _loss(self, frames: Tensor, samples: Sequence[TrackSample]) -> Dict[str, Tensor]:
        if not self.losses:
            raise ConfigError('model.losses is empty, so there is nothing to learn from; add '
                              "dict(type='ColorClassLoss')")
        if frames.shape[1] < 2:
            raise ConfigError(f'colours are copied from frame to frame, and these clips have {frames.shape[1]}; set '
                              'frames=2 or more of the data set')
        outputs = self._outputs(frames, _plain_frames(samples, frames))
        results = checked_losses(self.losses, outputs, None)
        results['color_found'] = outputs.share_found((0, 1))
        still = outputs.cells[:, :2].argmax(dim=2)
        results['color_still'] = (still[:, 0] == still[:, 1]).float().mean()
        return results

    def _outputs(self, frames: Tensor, plain: Tensor) -> ColorOutputs:
        count = frames.shape[1]
        seen, ways_back = frames, list(range(count))
        # neither scores nor colours are for autocast
        with torch.autocast(frames.device.type, enabled=False):
            if self.warp is not None:
                points = self.warp.points(frames[:, 0])
                # where a way back turns round, at the last frame, is on the way there
                more, more_plain = (torch.stack([self.warp(clip[:, t], points) for t in range(count - 1)], dim=1)
                                    for clip in (frames, plain))
                seen, plain = torch.cat([frames, more], dim=1), torch.cat([plain, more_plain], dim=1)
                ways_back = [*range(count, 2 * count - 1), count - 1]
        features = self._features(seen)
        with torch.autocast(frames.device.type, enabled=False), torch.no_grad():
            classes = self.colors(plain.flatten(0, 1))
            cells = self.colors.cells(classes, (features.shape[-2], features.shape[-1]))
        return ColorOutputs(frames, features.float(), classes.unflatten(0, seen.shape[:2]),
                            cells.unflatten(0, seen.shape[:2]), self.radius, ways_back)


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """In training, batch norm normalises by the batch as ever, but its statistics for use stay what they are."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum


def _plain_frames(samples: Sequence[TrackSample], frames: Tensor) -> Tensor:
    """The frames before their colours were changed, ``(B, T, 3, H, W)`` RGB in [0, 1]; the frames themselves unless
    samples have them."""
    if not samples or any('plain_frames' not in sample for sample in samples):
        return frames
    return torch.stack([sample.plain_frames for sample in samples]).to(frames) / 255

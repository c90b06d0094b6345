"""A stock flow network that learns from weighted labels."""
from __future__ import annotations

import contextlib
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.geometry import FramePad
from mmrefine.registry import MODELS
from mmrefine.structures import FlowSample

from .estimators import FrameNormalizer, build_estimator
from .readout import readout_for, takes_flow_init

Outputs = Union[Dict[str, Tensor], List[FlowSample], List[Tensor]]


@MODELS.register_module()
class FlowRefiner(BaseModel):
    """Any flow estimator of mmflow, with losses that listen to the weight of a label.

    The network itself stays as it is: its own ``loss()`` never sees the valid mask (F1) and its ``predict()`` forgets all
    samples but the first (F2), so it is only asked for ``mode='tensor'``, and the answer is read out here. Keys of the
    state dict are the stock keys behind ``estimator.``.

    Frames of any size are padded by repeating their border (to multiples of 8 for RAFT and GMA, of 64 for the
    pyramids), flows are cropped back.

    Args:
        estimator: a stock model config (see :func:`~mmrefine.models.refiners.build_estimator`), or a built network.
        losses: configs of losses ``(flows, target, weight) -> scalar``; they are added up. May be empty for a network that
            only predicts.
        feature_losses: configs of losses ``(feat1, feat2, target, weight) -> scalar`` on the matching features, added too; only RAFT
            and GMA have one feature grid to put them on.
        train_start: config of where their iterations begin in mode 'loss', ``(target, weight) -> flow``, such as
            :class:`~mmrefine.models.RandomStart`. Default: zero.
        train_iters: iterations of RAFT and GMA in mode 'loss'. Default: what the estimator's config says.
        test_iters: iterations elsewhere. Default: the estimator's ``test_cfg.iters``, else its decoder's.
        freeze_bn: keep the statistics of batch norm as they are while training, as RAFT's finetuning does; unlike mmflow's
            switch this one survives ``.train()`` (F3).
        data_preprocessor: config of what comes before; default :class:`~mmrefine.models.FramePreprocessor`.
        init_cfg: MMEngine's, for the refiner as a whole.

    Raises:
        ConfigError: an estimator of no known family, or iterations for one that has none.
    """

    def __init__(self,
                 estimator: Union[Mapping[str, Any], nn.Module],
                 losses: Sequence[Mapping[str, Any]] = (),
                 feature_losses: Sequence[Mapping[str, Any]] = (),
                 train_start: Optional[Mapping[str, Any]] = None,
                 train_iters: Optional[int] = None,
                 test_iters: Optional[int] = None,
                 freeze_bn: bool = True,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        if data_preprocessor is None:
            data_preprocessor = dict(type='mmrefine.FramePreprocessor')
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.estimator = build_estimator(estimator)
        self.normalize = FrameNormalizer(getattr(self.estimator, 'data_preprocessor', None))
        self.readout = readout_for(self.estimator)
        self.accepts_flow_init = takes_flow_init(self.estimator)
        self.losses, self.feature_losses = _built(losses), _built(feature_losses)
        if feature_losses and not self.accepts_flow_init:
            raise ConfigError(f'model.feature_losses: {type(self.estimator).__name__} has no single feature grid; '
                              'leave them out (only RAFT and GMA take them)')
        self.train_start: Optional[nn.Module] = None
        if train_start is not None:
            if not self.accepts_flow_init:
                raise ConfigError(f'model.train_start: {type(self.estimator).__name__} cannot start from a flow; '
                                  'leave it out (only RAFT and GMA take it)')
            self.train_start = MODELS.build({'_scope_': 'mmrefine', **train_start})
        self.freeze_bn = freeze_bn
        self.train_iters = self._checked_iters('train_iters', train_iters)
        self.test_iters = self._checked_iters('test_iters', test_iters)
        if self.test_iters is None:
            self.test_iters = (getattr(self.estimator, 'test_cfg', None) or {}).get('iters')

    def _checked_iters(self, name: str, iters: Optional[int]) -> Optional[int]:
        if iters is None:
            return None
        if not hasattr(getattr(self.estimator, 'decoder', None), 'iters'):
            raise ConfigError(f'model.{name}={iters}: {type(self.estimator).__name__} does not iterate; '
                              'leave it out (only RAFT and GMA take it)')
        if iters < 1:
            raise ConfigError(f'model.{name} must be at least 1, got {iters}')
        return int(iters)

    def init_weights(self) -> None:
        """Initialise as the stock config says; its initialisers are looked up in mmflow's scope (F16)."""
        with DefaultScope.overwrite_default_scope('mmflow'):
            super().init_weights()

    def train(self, mode: bool = True) -> 'FlowRefiner':
        """Switch the mode; batch norm stays in evaluation mode when ``freeze_bn`` (F3)."""
        super().train(mode)
        if mode and self.freeze_bn:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[List[FlowSample]] = None,
                mode: str = 'tensor') -> Outputs:
        """MMEngine's entry.

        Args:
            inputs: ``(B, 2, 3, H, W)`` RGB in [0, 1], frame 1 and frame 2.
            data_samples: one per pair; ``flow`` and ``weight`` are wanted in mode 'loss'.
            mode: 'loss', 'predict' or 'tensor'.

        Returns:
            'loss': ``loss_*`` by loss, and diagnostics whose names hold no "loss" (F11): ``epe_to_label`` (px, weighted
            mean of the final flow) and ``label_share`` (mean weight). 'predict': the samples, each with ``pred_flow``
            ``(2, H, W)`` px. 'tensor': flows ``(B, 2, H, W)`` px, coarse to fine.

        Raises:
            ValueError: another mode, or no labels in mode 'loss'.
            MMRefineError: a loss that is nan or infinite.
        """
        frames1, frames2 = inputs[:, 0], inputs[:, 1]
        if mode == 'loss':
            return self._loss(frames1, frames2, data_samples or [])
        if mode == 'predict':
            return self._predict(frames1, frames2, data_samples)
        if mode == 'tensor':
            return self.estimate(frames1, frames2)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def estimate(self,
                 frames1: Tensor,
                 frames2: Tensor,
                 flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """The flow from ``frames1`` to ``frames2``, coarse to fine, with ``test_iters`` iterations.

        Args:
            frames1: ``(B, 3, H, W)`` RGB in [0, 1], any H and W.
            frames2: the same shape.
            flow_init: ``(B, 2, H, W)`` px to start from; only where ``accepts_flow_init``.

        Returns:
            flows ``(B, 2, H, W)`` px, full size; the last one is the answer.

        Raises:
            ValueError: frames of different shapes, or ``flow_init`` for a network that cannot use it.
        """
        return self._flows(frames1, frames2, flow_init, self.test_iters)

    def _flows(self,
               frames1: Tensor,
               frames2: Tensor,
               flow_init: Optional[Tensor],
               iters: Optional[int]) -> List[Tensor]:
        if frames1.shape != frames2.shape or frames1.dim() != 4:
            raise ValueError('frames must be two equal (B, 3, H, W), '
                             f'got {tuple(frames1.shape)} and {tuple(frames2.shape)}')
        height, width = frames1.shape[-2:]
        pad = FramePad(height, width, self.readout.divisor, self.readout.least)
        pair = [pad.pad(self.normalize(frames)) for frames in (frames1, frames2)]
        inputs = torch.cat(pair, dim=1)
        with self._iterating(iters):
            if flow_init is None:
                output = self.estimator(inputs, mode='tensor')
            else:
                output = self._from_init(inputs, flow_init, pad)
        return [pad.crop(flow) for flow in self.readout(output, (inputs.shape[-2], inputs.shape[-1]))]

    def _from_init(self, inputs: Tensor, flow_init: Tensor, pad: FramePad) -> List[Tensor]:
        """The iterates of RAFT or GMA, starting from a flow: it lives on the feature grid, in cells of (as a rule) 8 px."""
        if not self.accepts_flow_init:
            raise ValueError(f'{type(self.estimator).__name__} cannot start from a flow; '
                             'pass flow_init=None (accepts_flow_init is False)')
        network: Any = self.estimator
        feat1, feat2, hidden, context = network.extract_feat(inputs)
        # the decoder scales its answer up by this many px a cell; a cell starts from the mean motion of its pixels
        cell = 2**(network.decoder.num_levels - 1)
        flow = F.avg_pool2d(pad.pad(flow_init.float()), cell) / cell
        return network.decoder(feat1, feat2, flow=flow, h_feat=hidden, cxt_feat=context)

    @contextlib.contextmanager
    def _iterating(self, iters: Optional[int]) -> Iterator[None]:
        """mmflow's decoder takes its number of iterations from an attribute only: set it for one call."""
        if iters is None:
            yield
            return
        decoder: Any = self.estimator.decoder
        before = decoder.iters
        decoder.iters = iters
        try:
            yield
        finally:
            decoder.iters = before

    @contextlib.contextmanager
    def _features(self) -> Iterator[List[Tensor]]:
        """Listens in on the encoder, whose features mmflow does not hand out: those of frame 1 and of frame 2, in a list."""
        features: List[Tensor] = []
        if not self.feature_losses:
            yield features
            return

        def listen(module: nn.Module, inputs: Any, output: Tensor) -> None:
            features.append(output)

        encoder: Any = self.estimator.encoder
        handle = encoder.register_forward_hook(listen)
        try:
            yield features
        finally:
            handle.remove()

    def _padded(self, target: Tensor, weight: Tensor) -> Tuple[Tensor, Tensor]:
        """A label on the padded frames that the features belong to; what was added has no weight."""
        pad = FramePad(target.shape[-2], target.shape[-1], self.readout.divisor, self.readout.least)
        return pad.pad(target), F.pad(weight, [pad.left, pad.right, pad.top, pad.bottom])

    def _loss(self, frames1: Tensor, frames2: Tensor, samples: List[FlowSample]) -> Dict[str, Tensor]:
        if not self.losses:
            raise ConfigError('model.losses is empty, so there is nothing to learn from; '
                              "add dict(type='MaskedSequenceLoss') (RAFT, GMA) or dict(type='MaskedPyramidLoss')")
        target, weight = _labels(samples)
        start = None if self.train_start is None else self.train_start(target, weight)
        with self._features() as features:
            flows = self._flows(frames1, frames2, start, self.train_iters)
        results = {}
        # autocast must not touch sums over all pixels
        with torch.autocast(target.device.type, enabled=False):
            for name, loss in self.losses.items():
                results[name] = loss(flows, target, weight)
            for name, loss in self.feature_losses.items():
                results[name] = loss(*features, *self._padded(target, weight))
        for name in results:
            if not bool(torch.isfinite(results[name])):
                raise MMRefineError(
                    f'{name} is {results[name].item():g}: training has diverged or started from broken weights; '
                    'lower optim_wrapper.optimizer.lr, set optim_wrapper.clip_grad=dict(max_norm=1.0), '
                    'and check the checkpoint it started from')
        with torch.no_grad():
            off_x, off_y = (flows[-1].float() - target).masked_fill(weight == 0, 0.).split(1, dim=1)
            error = torch.hypot(off_x, off_y)
            results['epe_to_label'] = (weight * error).sum() / weight.sum().clamp(min=1e-6)
            results['label_share'] = weight.mean()
        return results

    def _predict(self, frames1: Tensor, frames2: Tensor,
                 samples: Optional[List[FlowSample]]) -> List[FlowSample]:
        flow = self.estimate(frames1, frames2)[-1].float()
        samples = [FlowSample() for _ in flow] if samples is None else samples
        if len(samples) != len(flow):
            raise ValueError(f'{len(flow)} frame pairs need as many data_samples, got {len(samples)}')
        for sample, pred_flow in zip(samples, flow):
            sample.pred_flow = pred_flow
        return samples


def _labels(samples: Sequence[FlowSample]) -> Tuple[Tensor, Tensor]:
    """The stacked labels of a batch: ``(B, 2, H, W)`` px and ``(B, 1, H, W)``."""
    if not samples or any('flow' not in s or 'weight' not in s for s in samples):
        raise ValueError("mode 'loss' needs data_samples with flow and weight; "
                         'does the train pipeline load labels (LoadLabel) and pack them (PackPair)?')
    return (torch.stack([s.flow for s in samples]).float(), torch.stack([s.weight for s in samples]).float())


def _built(configs: Sequence[Mapping[str, Any]]) -> nn.ModuleDict:
    losses = nn.ModuleDict()
    for config in configs:
        loss = MODELS.build({'_scope_': 'mmrefine', **config})
        losses[_loss_name(loss, taken=losses)] = loss
    return losses


def _loss_name(loss: nn.Module, taken: nn.ModuleDict) -> str:
    """``MaskedSequenceLoss`` -> ``loss_masked_sequence``; a second one of its kind gets a number."""
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', type(loss).__name__).lower()
    name = 'loss_' + (words[:-len('_loss')] if words.endswith('_loss') else words)
    if name not in taken:
        return name
    number = 2
    while f'{name}_{number}' in taken:
        number += 1
    return f'{name}_{number}'

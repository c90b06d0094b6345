"""A stock flow network that learns: from weighted labels, or without any."""
from __future__ import annotations

import contextlib
from functools import partial
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmrefine.errors import ConfigError
from mmrefine.geometry import FramePad
from mmrefine.models.losses.build import build_losses, checked_losses, in_present_precision
from mmrefine.models.losses.parts import is_mixed, losses_by_part
from mmrefine.models.refiners.matching_features import WHO_HAS_THEM, MatchingFeatures
from mmrefine.models.refiners.pair_estimator import PairEstimator
from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs, FlowSample, FlowTargets
from mmrefine.values import as_count

Outputs = Union[Dict[str, Tensor], List[FlowSample], List[Tensor]]


@MODELS.register_module()
class FlowRefiner(PairEstimator):
    """Any flow estimator of mmflow, with losses of ours.

    The network itself stays as it is: its own ``loss()`` never sees the valid mask (F1) and its ``predict()`` forgets
    all samples but the first (F2), so it is only asked for ``mode='tensor'``, and the answer is read out here. Keys of
    the state dict are the stock keys behind ``estimator.``.

    Args:
        estimator: a stock model config (see :func:`~mmrefine.models.refiners.build_estimator`), or a built network.
        losses: configs of losses ``(outputs, sample) -> scalar`` (:class:`~mmrefine.structures.contracts.MotionLoss`);
            they are added up. Each says what it needs: labels, the matching features (of RAFT, GMA, CRAFT and the
            pyramids that compare features), the way back, the network itself. May be empty for a network that only
            predicts.
        train_start: config of where their iterations begin in mode 'loss', ``(target, weight) -> flow``, such as
            :class:`~mmrefine.models.RandomStart`. Default: zero.
        train_iters: iterations of RAFT, GMA and CRAFT in mode 'loss'. Default: what the estimator's config says.
        test_iters: iterations elsewhere. Default: the estimator's ``test_cfg.iters``, else its decoder's.
        freeze_bn: keep the statistics of batch norm as they are while training, as RAFT's finetuning does; unlike
            mmflow's switch this one survives ``.train()`` (F3).
        max_corr_bytes: RAFT, GMA and CRAFT compare each cell with each. Where that takes more memory than this and no
            gradient is wanted, the frames of a batch and the two directions take turns, and what does not fit alone is
            compared on demand (but for CRAFT): the same flows, slower. The default holds one direction of a frame of
            872 x 2048 px.
        max_train_bytes: of what the iterations of RAFT, GMA and CRAFT keep for their gradients in training on a CPU;
            where all would keep more, they are computed again in the backward pass, one at a time: a third slower, in
            much less memory, the same gradients. Default: no limit.
        exit_below: px; without gradients iterations end once no pair of the batch moves by this much on average in one.
            Default: never.
        feat: which features losses see: of a pyramid a level, such as ``'level3'``, by default the finest one that the
            network compares; of CRAFT ``'fnet'``, those of the encoder, its default, or ``'trans'``, those of frame 2
            after CRAFT has smoothed them, as it compares them. RAFT and GMA have no choice.
        data_preprocessor: config of what comes before; default :class:`~mmrefine.models.FramePreprocessor`.
        init_cfg: MMEngine's, for the refiner as a whole.

    Raises:
        ConfigError: an estimator of no known family, or iterations, ``exit_below`` and the like for one that has none;
            a loss that needs what this network cannot provide; a ``feat`` that it does not have.
    """

    clip_frames = 2  # of the samples that it learns from

    def __init__(self,
                 estimator: Union[Mapping[str, Any], nn.Module],
                 losses: Sequence[Mapping[str, Any]] = (),
                 train_start: Optional[Mapping[str, Any]] = None,
                 train_iters: Optional[int] = None,
                 test_iters: Optional[int] = None,
                 freeze_bn: bool = True,
                 max_corr_bytes: int = 4 * 2**30,
                 max_train_bytes: Optional[int] = None,
                 exit_below: Optional[float] = None,
                 feat: Optional[str] = None,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(estimator, test_iters, max_corr_bytes, exit_below, data_preprocessor, init_cfg)
        self.feat = feat
        found = MatchingFeatures(self.estimator, feat)
        provided = {'labels', 'backward', 'estimate'} | ({'features'} if found.there else set())
        self.losses, self.needs = build_losses(losses, provided, dict(features=WHO_HAS_THEM))
        self.train_start: Optional[nn.Module] = None
        if train_start is not None:
            if not self.accepts_flow_init:
                raise ConfigError(f'model.train_start: {type(self.estimator).__name__} cannot start from a flow; '
                                  'leave it out (only RAFT, GMA and CRAFT take it)')
            self.train_start = MODELS.build({'_scope_': 'mmrefine', **train_start})
        self.freeze_bn = freeze_bn
        self.train_iters = self._checked_iters('model.train_iters', train_iters)
        if max_train_bytes is not None:
            if not self.accepts_flow_init:
                raise ConfigError(f'model.max_train_bytes: {type(self.estimator).__name__} does not iterate; leave it '
                                  'out (only RAFT, GMA and CRAFT take it)')
            self.max_train_bytes = as_count('model.max_train_bytes', max_train_bytes, 0)

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
            data_samples: one per pair; with ``flow`` and ``weight`` where a loss or ``train_start`` needs labels.
            mode: 'loss', 'predict' or 'tensor'.

        Returns:
            'loss': ``loss_*`` by loss, and diagnostics whose names hold no "loss" (F11): ``epe_to_label`` (px, weighted
            mean of the final flow) and ``label_share`` (mean weight), where all samples have labels; of a mixed
            training both of each part, too, and its share of the batch
            (:func:`~mmrefine.models.losses.parts.losses_by_part`). 'predict': the samples, each with ``pred_flow``
            ``(2, H, W)`` px. 'tensor': flows ``(B, 2, H, W)`` px, coarse to fine.

        Raises:
            ValueError: another mode.
            ConfigError: no labels in mode 'loss' where they are needed, or a loss that returns no scalar.
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

    def _loss(self, frames1: Tensor, frames2: Tensor, samples: List[FlowSample]) -> Dict[str, Tensor]:
        if not self.losses:
            raise ConfigError('model.losses is empty, so there is nothing to learn from; '
                              "add dict(type='MaskedSequenceLoss') (RAFT, GMA, CRAFT) or "
                              "dict(type='MaskedPyramidLoss')")
        sample = FlowTargets.of(samples)
        if 'labels' in self.needs:
            sample.label()
        start = None if self.train_start is None else self.train_start(*sample.label())
        outputs = self._outputs(frames1, frames2, start)
        losses = partial(checked_losses, self.losses)
        mixed = is_mixed(samples)
        results = losses_by_part(losses, _diagnostics, outputs, samples) if mixed else losses(outputs, sample)
        if sample.has_labels:
            results.update(_diagnostics(outputs, sample))
        return results

    def _outputs(self, frames1: Tensor, frames2: Tensor, start: Optional[Tensor]) -> FlowOutputs:
        """What the losses need, and no more."""
        pad = FramePad(frames1.shape[-2], frames1.shape[-1], self.readout.divisor, self.readout.least)
        padding = (pad.left, pad.right, pad.top, pad.bottom)
        if 'backward' not in self.needs:
            with self._features() as features:
                flows = self._flows(frames1, frames2, start, self.train_iters)
            return FlowOutputs(flows, frames1, frames2, None, (features[0], features[1]) if features else None, padding)
        with self._features() as features:
            there, back = self._both_ways(frames1, frames2, start)
        found = (features[0].chunk(2)[0], features[1].chunk(2)[0]) if features else None
        again = in_present_precision(self._both_ways, frames1.device.type) if 'estimate' in self.needs else None
        return FlowOutputs(there, frames1, frames2, back, found, padding, again)

    def _both_ways(self, frames1: Tensor, frames2: Tensor,
                   start: Optional[Tensor] = None) -> Tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The flows there and back, from one pass."""
        if start is not None:
            start = torch.cat([start, torch.zeros_like(start)])  # the way back starts from rest
        flows = self._flows(torch.cat([frames1, frames2]), torch.cat([frames2, frames1]), start, self.train_iters)
        there, back = zip(*(flow.chunk(2) for flow in flows))
        return there, back

    def _features(self) -> ContextManager[List[Tensor]]:
        """Where the features of both frames are collected, if a loss needs them."""
        if 'features' not in self.needs:
            return contextlib.nullcontext([])
        return MatchingFeatures(self.estimator, self.feat).collected()

    def _predict(self, frames1: Tensor, frames2: Tensor,
                 samples: Optional[List[FlowSample]]) -> List[FlowSample]:
        flow = self.estimate(frames1, frames2)[-1].float()
        samples = [FlowSample() for _ in flow] if samples is None else samples
        if len(samples) != len(flow):
            raise ValueError(f'{len(flow)} frame pairs need as many data_samples, got {len(samples)}')
        for sample, pred_flow in zip(samples, flow):
            sample.pred_flow = pred_flow
        return samples


@torch.no_grad()
def _diagnostics(outputs: FlowOutputs, sample: FlowTargets) -> Dict[str, Tensor]:
    """How far the final flow is from the label, and how much label there is."""
    target, weight = sample.label()
    off_x, off_y = (outputs.flows[-1].float() - target).masked_fill(weight == 0, 0.).split(1, dim=1)
    error = torch.hypot(off_x, off_y)
    return dict(epe_to_label=(weight * error).sum() / weight.sum().clamp(min=1e-6), label_share=weight.mean())

"""CRAFT, a RAFT whose correlation and context are attention (Sui et al., CVPR 2022), of mmflow's parts and its own."""
from __future__ import annotations

from typing import Any, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmflow.models.decoders.gma_decoder import GMADecoder
from mmflow.models.flow_estimators.raft import RAFT
from torch import Tensor, nn

from mmrefine.models.networks.craft_attention import (DROPPED_FEATURES, DROPPED_WEIGHTS, EPS, AttentionWeights,
                                                      ExpandedAggregation, ExpandedAttention, ModeMean, as_cells,
                                                      as_map, begin_with_identity, initialise, over_rows, tiles_of)
from mmrefine.registry import MODELS


class SemanticSmoothing(nn.Module):
    """The transformer that smooths the features of frame 2 before they are compared, as they become more alike within a
    thing that moves as one.

    Args:
        channels: of the features.
        modes: of the attention.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.attention = ExpandedAttention(channels, modes, weight=0.5)
        self.aggregation = ExpandedAggregation(channels, modes)
        initialise(self.aggregation)
        begin_with_identity(self.aggregation.value)
        self.drop_features, self.drop_weights = nn.Dropout(DROPPED_FEATURES), nn.Dropout(DROPPED_WEIGHTS)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        size = (features.shape[-2], features.shape[-1])
        cells = self.drop_features(as_cells(features))
        scores, values = self.attention(cells, cells, size), self.aggregation.values(cells)

        def collect(rows: Tuple[int, int]) -> Tensor:
            return self.aggregation.collect(self.drop_weights(scores(rows).softmax(dim=-1)), values)

        found = over_rows(collect, size, len(features), self.attention.modes)
        return as_map(self.aggregation.add(cells, found), size)


class CrossFrameCorrelation(nn.Module):
    """The correlation pyramid of RAFT from cross-frame attention: the mean score of all modes, which stays
    a score, without a softmax over the cells; the volume of a pair is normed as a whole.

    Args:
        channels: of the features.
        modes: of the attention.
        levels: of the pyramid, each half of the one before.
    """

    def __init__(self, channels: int, modes: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.attention = ExpandedAttention(channels, modes, weight=0.5, tied=True)
        self.mean: Optional[ModeMean] = None
        if modes > 1:
            self.mean = ModeMean()
            initialise(self.mean)
        self.drop_features = nn.Dropout(DROPPED_FEATURES)

    def volume(self, feat1: Tensor, feat2: Tensor) -> Tensor:
        """Features of both frames ``(B, C, H, W)`` -> ``(B, H * W, H * W)``, at least float32."""
        size = (feat1.shape[-2], feat1.shape[-1])
        dtype = torch.promote_types(feat1.dtype, torch.float32)
        # half precision would move the matches
        with torch.autocast(feat1.device.type, enabled=False):
            cells1, cells2 = (self.drop_features(as_cells(feat.to(dtype))) for feat in (feat1, feat2))
            scores = self.attention(cells1, cells2, size)

            def merged(rows: Tuple[int, int]) -> Tensor:
                found: Tensor = scores(rows)[:, 0] if self.mean is None else self.mean(scores(rows))
                return found

            found = over_rows(merged, size, len(feat1), self.attention.modes)
            if found.requires_grad:
                return F.layer_norm(found, found.shape[1:], eps=EPS)
            var, mean = torch.var_mean(found, dim=(1, 2), correction=0, keepdim=True)
            return found.sub_(mean).mul_((var + EPS).rsqrt_())  # in place: it is the largest of all

    def forward(self, feat1: Tensor, feat2: Tensor) -> List[Tensor]:
        """Levels ``(B * H * W, 1, h, w)``, fine to coarse, as mmflow's ``CorrelationPyramid`` gives them."""
        pyramid = [self.volume(feat1, feat2).view(-1, 1, *feat1.shape[-2:])]
        while len(pyramid) < self.levels:
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))
        return pyramid


class IntraFrameAttention(nn.Module):
    """The attention of the context with itself, whose weights carry motion to where it is hidden, as in GMA.

    Args:
        channels: of the context.
        modes: of the attention.
        max_bytes: weights of a call that take more are computed again in every iteration instead of being kept,
            unless gradients are wanted.
    """

    def __init__(self, channels: int, modes: int, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self.attention = ExpandedAttention(channels, modes, weight=1.)
        if modes > 1:
            # The authors' network has these two numbers and never uses them; frozen, they keep its checkpoints whole.
            self.mode_score = nn.Linear(1, 1).requires_grad_(False)
            initialise(self.mode_score)
        self.drop_features, self.drop_weights = nn.Dropout(DROPPED_FEATURES), nn.Dropout(DROPPED_WEIGHTS)

    def forward(self, context: Tensor) -> AttentionWeights:
        """``(B, C, H, W)`` -> the weights of each cell in all others."""
        size, modes = (context.shape[-2], context.shape[-1]), self.attention.modes
        cells = self.drop_features(as_cells(context))
        keep = 4 * len(context) * modes * (size[0] * size[1])**2 <= self.max_bytes
        return AttentionWeights(self.attention(cells, cells, size), tiles_of(size, len(context), modes),
                                self.drop_weights, keep)


class MotionAggregation(ExpandedAggregation):
    """Motion features that each cell collects from the cells that it resembles."""

    def forward(self, attention: AttentionWeights, motion: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        size = (motion.shape[-2], motion.shape[-1])
        cells = motion.flatten(2).mT
        values = self.values(cells)
        return as_map(self.add(cells, torch.cat([self.collect(weights, values) for weights in attention], dim=1)), size)


@MODELS.register_module()
class CRAFTDecoder(GMADecoder):
    """The decoder of CRAFT: that of GMA with another correlation and another attention.

    Args:
        match_channels: of the features that are compared.
        motion_channels: of the motion features: 128 of the ``'Basic'`` network, 82 of the ``'Small'`` one.
        inter_modes: modes of the attention between frames.
        intra_modes: modes of the attention within frame 1.
        max_attention_bytes: of the attention weights within frame 1, all modes of all pairs of a call. Where they take
            more and no gradient is wanted, they are computed again in every iteration: the same flow, slower. The
            default keeps those of a frame of 376 x 1248 px both ways.
        args: see mmflow's ``RAFTDecoder``.
        kwargs: likewise.

    Raises:
        ConfigError: modes that do not divide the channels.
    """

    def __init__(self,
                 *args: Any,
                 match_channels: int,
                 motion_channels: int,
                 inter_modes: int = 4,
                 intra_modes: int = 4,
                 max_attention_bytes: int = 2 * 2**30,
                 **kwargs: Any) -> None:
        super().__init__(*args, heads=1, motion_channels=motion_channels, **kwargs)
        self.corr_block = CrossFrameCorrelation(match_channels, inter_modes, self.num_levels)
        self.attn = IntraFrameAttention(self.cxt_channels, intra_modes, max_attention_bytes)
        self.aggregator = MotionAggregation(motion_channels, intra_modes)


@MODELS.register_module()
class CRAFT(RAFT):
    """RAFT with a transformer over the features of frame 2; its decoder is a :class:`CRAFTDecoder`.

    In a config of a flow network it is ``estimator=dict(type='mmrefine.CRAFT', ...)``; see
    ``configs/_base_/models/craft.py``. The weights of the authors' code are converted by
    ``tools/convert_checkpoint.py``.

    Args:
        f2_modes: modes of the attention within frame 2.
        kwargs: see mmflow's ``RAFT``.

    Raises:
        ConfigError: modes that do not divide the channels.
    """

    def __init__(self, f2_modes: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.f2_trans = SemanticSmoothing(self.encoder.out_channels, f2_modes)

    def extract_feat(self, imgs: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Two frames side by side ``(B, 6, H, W)`` -> features of frame 1, smoothed features of frame 2, hidden state
        and context of frame 1, each ``(B, C, H / 8, W / 8)``."""
        feat1, feat2, hidden, context = super().extract_feat(imgs)
        return feat1, self.f2_trans(feat2), hidden, context

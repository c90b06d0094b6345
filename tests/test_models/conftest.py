"""A stock RAFT that is small enough to run in a moment."""
from __future__ import annotations

import copy
from typing import Any, Callable, Dict

import pytest
import torch

from mmrefine.models import FlowRefiner
from mmrefine.structures import FlowSample

SMALL_RAFT: Dict[str, Any] = dict(
    type='RAFT',
    data_preprocessor=dict(
        type='FlowDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=False),
    num_levels=4,
    radius=3,
    cxt_channels=64,
    h_channels=96,
    encoder=dict(type='RAFTEncoder', in_channels=3, out_channels=128, net_type='Small', norm_cfg=dict(type='IN')),
    cxt_encoder=dict(
        type='RAFTEncoder', in_channels=3, out_channels=160, net_type='Small', norm_cfg=dict(type='SyncBN')),
    decoder=dict(
        type='RAFTDecoder',
        net_type='Small',
        num_levels=4,
        radius=3,
        iters=3,
        corr_op_cfg=dict(type='CorrLookup', align_corners=True),
        gru_type='Conv',
        feat_channels=32),
    train_cfg=dict(),
    test_cfg=dict(iters=2))


@pytest.fixture
def raft_config() -> Dict[str, Any]:
    """A config of mmflow's RAFT with the small encoders; 3 iterations in training, 2 in test."""
    return copy.deepcopy(SMALL_RAFT)


@pytest.fixture
def build_raft(raft_config: Dict[str, Any]) -> Callable[..., FlowRefiner]:
    """Builds a FlowRefiner around that RAFT; keyword arguments go to the refiner."""

    def build(**settings: Any) -> FlowRefiner:
        settings.setdefault('losses', [dict(type='MaskedSequenceLoss')])
        return FlowRefiner(estimator=raft_config, **settings)

    return build


@pytest.fixture
def label() -> Callable[..., FlowSample]:
    """A labelled sample ``(height, width, flow=px, weight=...)`` with constant values."""

    def build(height: int, width: int, flow: float = 3., weight: float = 1.) -> FlowSample:
        return FlowSample(
            flow=torch.full((2, height, width), flow), weight=torch.full((1, height, width), weight))

    return build

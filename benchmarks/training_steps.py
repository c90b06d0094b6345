"""Optimiser steps of RAFT beside their rivals: the stock network, and the code of RAFT's authors, of equal weights."""
from __future__ import annotations

import contextlib
import copy
import functools
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence, Tuple

import torch
from authors_raft import official_raft
from torch import Tensor, nn

from mmrefine.models import FlowRefiner
from mmrefine.models.losses import build_losses
from mmrefine.structures import FlowSample
from mmrefine.synthetic import render_clip

OURS, STOCK, AUTHORS = 'mmrefine', 'stock network', "authors' code"
GAMMA = .85
Step = Callable[[], None]
CONTRASTIVE = dict(
    dense=dict(type='ContrastiveFlowLoss'),
    sampled=dict(type='ContrastiveFlowLoss', mode='sampled'),
    batch=dict(type='ContrastiveFlowLoss', mode='sampled', negatives='batch'))


def ways_of_a_step(refiner: FlowRefiner, name: str, batch: Tuple[int, int, int], iters: int, device: str,
                   official: Optional[Path], contrastive: Sequence[str] = ()) -> Dict[str, Step]:
    """Forward, loss, backward, clipping and AdamW, by the name of the way; all weights learn.

    Args:
        refiner: the network whose weights all ways begin with.
        name: ``'raft'``, ``'raft-small'``, or without ``official`` any.
        batch: pairs, height and width, px.
        iters: iterations.
        device: ``'cpu'`` or ``'cuda'``.
        official: a checkout of the authors' code; None: without this rival. Its half precision is float16 on a GPU with
            a scaled loss, as theirs, and bfloat16 on a CPU.
        contrastive: keys of :data:`CONTRASTIVE`; each is a further way, with this loss beside the other.
    """
    pairs, height, width = batch
    frames = video_frames(pairs + 1, (height, width)).to(device)
    inputs = torch.stack([frames[:-1], frames[1:]], dim=1)
    target = torch.randn(pairs, 2, height, width).to(device)
    weight = torch.rand(pairs, 1, height, width).round().to(device)
    samples = [FlowSample(flow=flow, weight=share) for flow, share in zip(target, weight)]
    steps: Dict[str, Step] = {}
    for dtype in ('float32', 'bfloat16'):
        ours, stock = copy.deepcopy(refiner).to(device).train(), copy.deepcopy(refiner).to(device).train()
        ours.train_iters = stock.estimator.decoder.iters = iters
        normal = torch.cat([stock.normalize(inputs[:, 0]), stock.normalize(inputs[:, 1])], dim=1)
        steps[f'{STOCK}, {dtype}'] = _step(
            stock.estimator, dtype, device,
            lambda net=stock.estimator, x=normal: sequence_loss(net(x, mode='tensor'), target, weight))
        learners = {OURS: ours}
        for mode in contrastive:
            learner = learners[f'{OURS} with the {mode} contrastive loss'] = copy.deepcopy(ours)
            learner.losses, learner.needs = build_losses(
                [dict(type='MaskedSequenceLoss', gamma=GAMMA), CONTRASTIVE[mode]],
                {'labels', 'features'})
        for way, learner in learners.items():
            steps[f'{way}, {dtype}'] = _step(learner, dtype, device, lambda net=learner: net.parse_losses(
                net(inputs, samples, mode='loss'))[0])
        if official:
            half = 'float16' if device == 'cuda' and dtype != 'float32' else dtype
            theirs = official_raft(official, name == 'raft-small', refiner, half == 'float16', device).train()
            theirs.freeze_bn()
            steps[f'{AUTHORS}, {half}'] = _step(theirs, half, device, lambda net=theirs: sequence_loss(
                net(255 * inputs[:, 0], 255 * inputs[:, 1], iters=iters), target, weight))
    return steps


@functools.lru_cache(maxsize=None)
def video_frames(count: int, size: Tuple[int, int]) -> Tensor:
    """Frames of a rendered video, ``(count, 3, H, W)`` RGB in [0, 1]."""
    return torch.from_numpy(render_clip(20000, count, size, 'target').frames).permute(0, 3, 1, 2).float() / 255


def _step(network: nn.Module, dtype: str, device: str, loss_of: Callable[[], Tensor]) -> Step:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    scaler = torch.amp.GradScaler(device, enabled=dtype == 'float16')

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16) if dtype == 'bfloat16' else contextlib.nullcontext():
            loss = loss_of()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 1.)
        scaler.step(optimizer)
        scaler.update()

    return step


def sequence_loss(flows: Sequence[Tensor], target: Tensor, weight: Tensor) -> Tensor:
    """The rivals' loss: weighted means of the errors ``(B, 2, H, W)`` px, earlier iterates counting less."""
    last = len(flows) - 1
    return sum(GAMMA**(last - i) * (weight * (flow.float() - target).abs()).mean() for i, flow in enumerate(flows))

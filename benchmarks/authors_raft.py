"""The code of RAFT's authors as a rival: with the weights of our network, and with the kernels of localcorr."""
from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Callable, Tuple

import torch
from torch import Tensor, nn

from mmrefine.compat.official_checkpoints import convert_raft
from mmrefine.geometry import FramePad
from mmrefine.models import FlowRefiner

Flows = Tuple[Tensor, Tensor]


def official_raft(folder: Path, small: bool, refiner: FlowRefiner, mixed: bool,
                  device: str = 'cuda') -> nn.Module:
    """Their network with the weights of ours.

    Args:
        folder: a checkout of their repository.
        small: RAFT-small, else RAFT.
        refiner: ours, of the same kind.
        mixed: with their mixed precision, float16.
        device: where it runs.
    """
    if str(folder / 'core') not in sys.path:
        sys.path.insert(0, str(folder / 'core'))
        warnings.filterwarnings('ignore', message='.*torch.cuda.amp.autocast.*', category=FutureWarning)
    from raft import RAFT
    network = RAFT(argparse.Namespace(small=small, mixed_precision=mixed, dropout=0, alternate_corr=False))
    network.load_state_dict(convert_raft(refiner.estimator.state_dict(), 'princeton')[0], strict=True)
    return network.to(device)


@torch.no_grad()
def two_calls(network: nn.Module, pad: FramePad, a: Tensor, b: Tensor, iters: int) -> Flows:
    """Both ways of a pair, one after the other; frames ``(1, 3, H, W)`` RGB in [0, 1], flows px."""
    a, b = pad.pad(255 * a), pad.pad(255 * b)
    forward, backward = (pad.crop(network(*pair, iters=iters, test_mode=True)[1]) for pair in ((a, b), (b, a)))
    return forward, backward


@torch.no_grad()
def one_batch(network: nn.Module, pad: FramePad, a: Tensor, b: Tensor, iters: int) -> Flows:
    """The same in one call."""
    both, turned = pad.pad(255 * torch.cat([a, b])), pad.pad(255 * torch.cat([b, a]))
    forward, backward = pad.crop(network(both, turned, iters=iters, test_mode=True)[1]).chunk(2)
    return forward, backward


def with_localcorr(call: Callable[[], Flows]) -> Flows:
    """What ``call`` gives while their code computes its correlation in windows only, by the kernels of localcorr."""
    import raft
    from localcorr import get_localcorr_block
    kept = raft.CorrBlock
    raft.CorrBlock = lambda one, other, radius: get_localcorr_block(one, other, num_levels=4, radius=radius)
    try:
        return call()
    finally:
        raft.CorrBlock = kept

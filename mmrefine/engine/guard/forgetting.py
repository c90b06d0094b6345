"""What refinement unlearned: the error on rendered pairs that have nothing to do with the video."""
from __future__ import annotations

from typing import Callable, Optional

import torch

from mmrefine.evaluation import FlowTally, tally_flow
from mmrefine.structures import FlowEstimator
from mmrefine.synthetic import render_clip

FIRST_SEED = 80_000  # far from those of demo, tests and trainings
SIZE = (128, 192)  # px


@torch.no_grad()
def general_epe(network: FlowEstimator, pairs: int, device: str = 'cpu', told: Optional[Callable[[int], None]] = None) -> float:
    """EPE of a network on rendered pairs of the source look, px; the same pairs each time.

    Args:
        network: in evaluation mode.
        pairs: how many, at least 1.
        device: where it lives.
        told: called with how many are done.

    Raises:
        MMRefineError: a flow that is not finite.
    """
    tally = FlowTally()
    for i in range(pairs):
        clip = render_clip(FIRST_SEED + i, 2, SIZE, 'source')
        frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float().to(device) / 255
        truth = torch.from_numpy(clip.flow_fw)[0]
        flow = network.estimate(frames[:1], frames[1:])[-1][0].float().cpu()
        tally = tally + tally_flow(flow, truth, torch.ones_like(truth[:1], dtype=torch.bool))
        if told is not None:
            told(i + 1)
    return tally.scores()['EPE']

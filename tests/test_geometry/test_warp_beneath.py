"""A known warp of a scene under something that does not move."""
from __future__ import annotations

import pytest
import torch

from mmrefine.geometry import known_warp

H, W = 40, 56


@pytest.mark.parametrize('shift', [(0., 0.), (5., 0.), (-3., 4.)])
def test_the_scene_moves_and_what_lies_over_it_does_not(shift):
    frame = torch.rand(3, H, W, generator=torch.Generator().manual_seed(0))
    flow = torch.tensor(shift).view(1, 2, 1, 1).expand(1, 2, H, W).contiguous()
    fixed = torch.zeros(1, 1, H, W, dtype=torch.bool)
    fixed[..., 10:18, 20:30] = True
    plain = known_warp(frame, flow, [])
    made = plain.beneath(frame[None], fixed)
    hidden = torch.zeros_like(fixed)  # pixels of frame 1 whose motion ends beneath it
    dx, dy = (int(part) for part in shift)
    hidden[..., 10 - dy:18 - dy, 20 - dx:30 - dx] = True
    covered = fixed | hidden
    for frames, where in ((made.frames1, covered), (made.frames2, fixed)):
        assert torch.equal(torch.where(where, frames, torch.zeros_like(frames)),
                           torch.where(where, frame[None], torch.zeros_like(frames)))
    assert torch.equal(torch.where(covered, plain.frames1, made.frames1), plain.frames1)
    assert torch.equal(made.flow, flow) and torch.equal(made.visible, plain.visible & ~covered)

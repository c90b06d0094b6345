"""Composed motion: do two steps in a row agree with the direct motion over both?

What survives the round trip of two frames (:mod:`.cycle`) may still be contradicted by a third. Not from a paper.
"""
from __future__ import annotations

from typing import Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.geometry.cycle import cycle_error
from mmrefine.geometry.range_map import range_map
from mmrefine.geometry.vectors import lengths
from mmrefine.geometry.warp import backwarp, lands_inside


def compose(flow_12: Tensor, flow_23: Tensor) -> Tuple[Tensor, Tensor]:
    """The motion from frame 1 to frame 3 by way of frame 2: ``c(p) = f12(p) + f23(p + f12(p))``, bilinear,
    pixel centres at integers.

    Args:
        flow_12: ``(B, 2, H, W)`` px, (x, y), frame 1 -> frame 2.
        flow_23: ``(B, 2, H, W)`` px, frame 2 -> frame 3.

    Returns:
        the motion ``(B, 2, H, W)`` px, and where it is valid: bool ``(B, 1, H, W)``,
        true where ``p + f12(p)`` and ``p + c(p)`` lie in the frame.
    """
    chained = flow_12 + backwarp(flow_23, flow_12)
    return chained, lands_inside(flow_12) & lands_inside(chained)


def compose_all(flows: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
    """The motion along several steps, each composed with all before it (:func:`compose`).

    Args:
        flows: at least one, each ``(B, 2, H, W)`` px, (x, y), frame k -> frame k + 1.

    Returns:
        the motion from the first frame to the last, ``(B, 2, H, W)`` px, and where it is valid: bool ``(B, 1, H, W)``,
        true where the path is in the frame after each step.
    """
    whole, inside = flows[0], lands_inside(flows[0])
    for step in flows[1:]:
        whole, within = compose(whole, step)
        inside = inside & within
    return whole, inside


def chain_error(flows: Sequence[Tensor], flows_back: Sequence[Tensor]) -> Tensor:
    """The longest round trip of any step of a chain, read where the chain passes: ``max_k e_k(p + c_k(p))``.

    ``e_k`` is the :func:`~mmrefine.geometry.cycle_error` of step k and ``c_k`` the motion along the steps before it. A
    chain is as good as its weakest link: where one step does not come back, the whole motion is a guess.

    Args:
        flows: of :func:`compose_all`.
        flows_back: as many: frame k + 1 -> frame k.

    Returns:
        ``(B, 1, H, W)`` px, at most ``height + width``; not meaningful where the chain leaves the frame.
    """
    most = sum(flows[0].shape[-2:])
    worst = cycle_error(flows[0], flows_back[0]).clamp(max=most)
    for k in range(1, len(flows)):
        error = cycle_error(flows[k], flows_back[k]).clamp(max=most)
        worst = torch.maximum(worst, backwarp(error, compose_all(flows[:k])[0]))
    return worst


def composite_error(flow_12: Tensor, flow_23: Tensor, flow_13: Tensor) -> Tuple[Tensor, Tensor]:
    """Distance between where the motion by way of frame 2 ends and where the direct one does:
    ``e(p) = | c(p) - f13(p) |``.

    Where a motion is nan, such as one to a frame that does not exist, nothing is compared.

    Args:
        flow_12: ``(B, 2, H, W)`` px, (x, y), frame 1 -> frame 2.
        flow_23: ``(B, 2, H, W)`` px, frame 2 -> frame 3.
        flow_13: ``(B, 2, H, W)`` px, frame 1 -> frame 3.

    Returns:
        ``(B, 1, H, W)`` px, and where the two can be compared: bool ``(B, 1, H, W)``, true where both stay in the
        frame. Elsewhere the error is ``inf``.
    """
    chained, inside = compose(flow_12, flow_23)
    comparable = inside & lands_inside(flow_13)
    error = lengths(chained - flow_13)
    return error.masked_fill(~comparable, float('inf')), comparable


def composite_tolerance(flow_12: Tensor, flow_23: Tensor, flow_13: Tensor, alpha: float = 0.02,
                        beta: float = 1.) -> Tensor:
    """How far apart the two motions may end: ``alpha (|f12(p)| + |f23(p + f12(p))| + |f13(p)|) + beta``.

    Args:
        flow_12: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        flow_23: ``(B, 2, H, W)`` px, frame 2 -> frame 3.
        flow_13: ``(B, 2, H, W)`` px, frame 1 -> frame 3.
        alpha: tolerance that grows with the motion, no unit.
        beta: tolerance at rest, px.

    Returns:
        ``(B, 1, H, W)`` px.
    """
    sizes = [lengths(flow) for flow in (flow_12, backwarp(flow_23, flow_12), flow_13)]
    return alpha * (sizes[0] + sizes[1] + sizes[2]) + beta


def landing_claims(flow: Tensor) -> Tensor:
    """How many pixels of frame 1 claim the place where each pixel lands, itself included.

    Every pixel that lands inside makes one claim, spread bilinearly over the four pixels around its landing point; the
    result is their sum read at the landing point, bilinear again. 1 where the motion is one to one and does not scale;
    about 2 where one object covers another, for both of them, since only one of the two can be visible there;
    ``1 / s^2`` where everything shrinks to the scale ``s``.

    Args:
        flow: ``(B, 2, H, W)`` px, (x, y), frame 1 -> frame 2.

    Returns:
        ``(B, 1, H, W)``, not negative; 0 where ``p + f(p)`` leaves the frame.
    """
    inside = lands_inside(flow)
    laid = range_map(flow, inside)
    return torch.where(inside, backwarp(laid, flow), torch.zeros_like(laid))

"""The forward-backward check: does a motion survive the round trip?

Sun et al., "Refining Pre-Trained Motion Models", ICRA 2024, arXiv 2401.00850 ("Refine" below);
Meister et al., "UnFlow", AAAI 2018, arXiv 1711.07837, section 3.1.
"""
from __future__ import annotations

import torch
from torch import Tensor

from mmrefine.geometry.vectors import lengths
from mmrefine.geometry.warp import backwarp, lands_inside


def cycle_error(flow_fw: Tensor, flow_bw: Tensor) -> Tensor:
    """Distance between each pixel and where its round trip lands.

    ``e(p) = | f(p) + b(p + f(p)) |``, bilinear, pixel centres at integers.

    Args:
        flow_fw: ``(B, 2, H, W)`` px, (x, y), frame 1 -> frame 2.
        flow_bw: ``(B, 2, H, W)`` px, frame 2 -> frame 1.

    Returns:
        ``(B, 1, H, W)`` px; ``inf`` where ``p + f(p)`` leaves the frame.
    """
    error = lengths(flow_fw + backwarp(flow_bw, flow_fw))
    return error.masked_fill(~lands_inside(flow_fw), float('inf'))


def cycle_tolerance(flow_fw: Tensor,
                    flow_bw: Tensor,
                    alpha: float = 0.002,
                    beta: float = 0.1,
                    form: str = 'norm',
                    magnitude: str = 'unwarped') -> Tensor:
    """How far the round trip may end from where it started: ``alpha (|f|^k + |b|^k) + beta``.

    Arguments and errors as in :func:`cycle_consistent`.

    Returns:
        ``(B, 1, H, W)``, px for ``'norm'`` (k = 1), px^2 for ``'squared'`` (k = 2).
    """
    if form not in ('norm', 'squared'):
        raise ValueError(f"form must be 'norm' or 'squared', got {form!r}")
    if magnitude not in ('unwarped', 'warped'):
        raise ValueError(f"magnitude must be 'unwarped' or 'warped', got {magnitude!r}")
    back = flow_bw if magnitude == 'unwarped' else backwarp(flow_bw, flow_fw)
    power = 1 if form == 'norm' else 2
    size = lengths(flow_fw)**power + lengths(back)**power
    return alpha * size + beta


def cycle_consistent(flow_fw: Tensor,
                     flow_bw: Tensor,
                     alpha: float = 0.002,
                     beta: float = 0.1,
                     form: str = 'norm',
                     magnitude: str = 'unwarped') -> Tensor:
    """Which pixels come back close enough to where they started.

    ``'norm'``:    ``e <= alpha (|f| + |b|) + beta``            (the reference code of Refine)
    ``'squared'``: ``e^2 <= alpha (|f|^2 + |b|^2) + beta``      (UnFlow's own form)

    with ``e`` of :func:`cycle_error`, ``b = flow_bw(p)`` for ``magnitude='unwarped'`` (the
    reference) and ``flow_bw(p + f(p))`` for ``'warped'`` (UnFlow). We depart from the reference in
    one place: a pixel that leaves the frame is never consistent, where zero padding would accept
    it if it moves less than the bound.

    Args:
        flow_fw: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        flow_bw: ``(B, 2, H, W)`` px, frame 2 -> frame 1.
        alpha: tolerance that grows with the motion; the reference's labels use 0.002, UnFlow 0.01.
        beta: tolerance at rest, px (``'norm'``) or px^2 (``'squared'``); the reference uses 0.1,
            UnFlow 0.5.
        form: ``'norm'`` or ``'squared'``.
        magnitude: ``'unwarped'`` or ``'warped'``.

    Returns:
        bool ``(B, 1, H, W)``, true where the motion is kept; nan and inf are never kept.

    Raises:
        ValueError: a ``form`` or ``magnitude`` that does not exist.
    """
    tolerance = cycle_tolerance(flow_fw, flow_bw, alpha, beta, form, magnitude)
    error = cycle_error(flow_fw, flow_bw)
    # an infinite motion has an infinite tolerance too, and inf <= inf holds
    finite = torch.isfinite(error) & torch.isfinite(tolerance)
    return (error**(1 if form == 'norm' else 2) <= tolerance) & finite

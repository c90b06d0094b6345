"""Which motion may become a label.

A filter gives each pixel a weight in [0, 1]; the weights of several filters multiply.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import color_residual, cycle_consistent, cycle_error, cycle_tolerance, lands_inside
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.registry import FILTERS
from mmrefine.values import is_number


@dataclass(frozen=True)
class PairContext:
    """What a filter may look at.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1], the frame that is labelled.
        frames2: the same shape, the frame that its motion leads to.
        flow_fw: ``(B, 2, H, W)`` px, frame 1 -> frame 2: the label to be.
        flow_bw: ``(B, 2, H, W)`` px, frame 2 -> frame 1.
        third1: ``(B, 2, H, W)`` px, frame 1 -> a third frame of the scene, the same for both
            directions; nan all over for a pair that has none. None if no filter asked for it
            (``needs_third = True``) or no pair has one.
        third2: the same, frame 2 -> the third frame.
    """
    frames1: Tensor
    frames2: Tensor
    flow_fw: Tensor
    flow_bw: Tensor
    third1: Optional[Tensor] = None
    third2: Optional[Tensor] = None

    def swapped(self) -> PairContext:
        """The same pair backwards in time."""
        return PairContext(self.frames2, self.frames1, self.flow_bw, self.flow_fw, self.third2,
                           self.third1)


def check_tolerances(name: str, **tolerances: float) -> None:
    """Refuse settings of the filter ``name`` that are no numbers, negative, infinite or nan, by key and value."""
    for key, value in tolerances.items():
        if not is_number(value) or not 0 <= value < float('inf'):
            raise ConfigError(f'{name}.{key} must be finite and not negative, got {value!r}')


def check_radius(name: str, radius: int) -> None:
    """Refuse a window of the filter ``name`` that has no neighbours."""
    if isinstance(radius, bool) or not isinstance(radius, int) or radius < 1:
        raise ConfigError(f'{name}.radius must be a whole number of px, at least 1, got {radius!r}')


@FILTERS.register_module()
class CycleFilter:
    """Keep what comes back: 1 where :func:`~mmrefine.geometry.cycle_consistent`, else 0.

    Source: Refine (PAPERS.md A.2). The defaults are what its reference code uses for labels.

    Args:
        alpha: tolerance that grows with the motion, no unit.
        beta: tolerance at rest, px (px^2 for ``form='squared'``).
        form: ``'norm'`` (Refine) or ``'squared'`` (UnFlow).
        magnitude: ``'unwarped'`` (Refine) or ``'warped'`` (UnFlow).

    Raises:
        ConfigError: a negative tolerance, or a ``form`` or ``magnitude`` that does not exist.
    """

    threshold = Threshold('beta', strictest=0.02, loosest=4., tied=('alpha', ))

    def __init__(self,
                 alpha: float = 0.002,
                 beta: float = 0.1,
                 form: str = 'norm',
                 magnitude: str = 'unwarped') -> None:
        check_tolerances('CycleFilter', alpha=alpha, beta=beta)
        if form not in ('norm', 'squared'):
            raise ConfigError(f"CycleFilter.form must be 'norm' or 'squared', got {form!r}")
        if magnitude not in ('unwarped', 'warped'):
            raise ConfigError(
                f"CycleFilter.magnitude must be 'unwarped' or 'warped', got {magnitude!r}")
        self.alpha, self.beta, self.form, self.magnitude = alpha, beta, form, magnitude

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        return cycle_consistent(ctx.flow_fw, ctx.flow_bw, self.alpha, self.beta, self.form,
                                self.magnitude).to(ctx.flow_fw.dtype)


@FILTERS.register_module()
class SoftCycleFilter:
    """Believe motion the less the farther off it comes back.

    ``w(p) = exp(-(e(p) / t(p))^2)`` with ``e`` of :func:`~mmrefine.geometry.cycle_error` and
    ``t = alpha (|f| + |b|) + beta``, ``b = flow_bw(p)``: 1 for a perfect round trip, 0.37 where
    :class:`CycleFilter` with the same numbers draws its line, 0 outside the frame. Ours, not the
    paper's.

    Args:
        alpha: tolerance that grows with the motion, no unit.
        beta: tolerance at rest, px, above 0. Wider than the hard filter's, since the soft edge
            already speaks against what lies beyond it (UnFlow's 0.5).

    Raises:
        ConfigError: a negative tolerance, or ``beta`` 0.
    """

    threshold = Threshold('beta', strictest=0.02, loosest=4., tied=('alpha', ))

    def __init__(self, alpha: float = 0.01, beta: float = 0.5) -> None:
        check_tolerances('SoftCycleFilter', alpha=alpha, beta=beta)
        if beta == 0:
            raise ConfigError('SoftCycleFilter.beta must be above 0 px, got 0: where nothing '
                              'moves, no error could be weighed')
        self.alpha, self.beta = alpha, beta

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        tolerance = cycle_tolerance(ctx.flow_fw, ctx.flow_bw, self.alpha, self.beta)
        return torch.exp(-(cycle_error(ctx.flow_fw, ctx.flow_bw) / tolerance)**2)


@FILTERS.register_module()
class ColorFilter:
    """Keep what still looks the same: 1 where the colour changes by less than ``tolerance``.

    ``c(p) < tolerance`` with ``c`` of :func:`~mmrefine.geometry.color_residual`; a pixel that
    leaves the frame is not kept. Source: Refine (PAPERS.md A.2), 0.005 on a scale of length 1.

    Args:
        tolerance: mean absolute difference over RGB, grey levels of 255.

    Raises:
        ConfigError: a negative tolerance.
    """

    threshold = Threshold('tolerance', strictest=0.5, loosest=50.)

    def __init__(self, tolerance: float = 1.275) -> None:
        check_tolerances('ColorFilter', tolerance=tolerance)
        self.tolerance = tolerance

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        residual = color_residual(ctx.frames1, ctx.frames2, ctx.flow_fw)
        return (residual < self.tolerance).to(ctx.flow_fw.dtype)


@FILTERS.register_module()
class InFrameFilter:
    """Keep what stays in view: 1 where ``p + f(p)`` lies between the outermost pixel centres."""

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        return lands_inside(ctx.flow_fw).to(ctx.flow_fw.dtype)

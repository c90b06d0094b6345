"""Which motion may become a label: what comes back, looks the same, and stays in the frame.

A filter gives each pixel a weight in [0, 1]; the weights of several filters multiply.
"""
from __future__ import annotations

import torch
from torch import Tensor

from mmrefine.geometry import color_residual, cycle_consistent, cycle_error, cycle_tolerance, lands_inside
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext
from mmrefine.values import as_choice, as_number


@FILTERS.register_module()
class CycleFilter:
    """Keep what comes back: 1 where :func:`~mmrefine.geometry.cycle_consistent`, else 0.

    Source: Refine (Sun et al. 2024). The defaults are what its reference code uses for labels.

    Args:
        alpha: tolerance that grows with the motion, no unit.
        beta: tolerance at rest, px (px^2 for ``form='squared'``).
        form: ``'norm'`` (Refine) or ``'squared'`` (UnFlow).
        magnitude: ``'unwarped'`` (Refine) or ``'warped'`` (UnFlow).

    Raises:
        ConfigError: a negative tolerance, or a ``form`` or ``magnitude`` that does not exist.
    """

    threshold = Threshold('beta', strictest=0.02, loosest=4., tied=('alpha', ))
    needs_backward = True

    def __init__(self,
                 alpha: float = 0.002,
                 beta: float = 0.1,
                 form: str = 'norm',
                 magnitude: str = 'unwarped') -> None:
        self.alpha, self.beta = as_number('CycleFilter.alpha', alpha), as_number('CycleFilter.beta', beta)
        self.form = as_choice('CycleFilter.form', form, ('norm', 'squared'))
        self.magnitude = as_choice('CycleFilter.magnitude', magnitude, ('unwarped', 'warped'))

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
    needs_backward = True

    def __init__(self, alpha: float = 0.01, beta: float = 0.5) -> None:
        self.alpha = as_number('SoftCycleFilter.alpha', alpha)
        self.beta = as_number('SoftCycleFilter.beta', beta, '(0, inf)',
                              ' px: where nothing moves, no error could be weighed')

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        tolerance = cycle_tolerance(ctx.flow_fw, ctx.flow_bw, self.alpha, self.beta)
        return torch.exp(-(cycle_error(ctx.flow_fw, ctx.flow_bw) / tolerance)**2)


@FILTERS.register_module()
class ColorFilter:
    """Keep what still looks the same: 1 where the colour changes by less than ``tolerance``.

    ``c(p) < tolerance`` with ``c`` of :func:`~mmrefine.geometry.color_residual`; a pixel that
    leaves the frame is not kept. Source: Refine (Sun et al. 2024), 0.005 on a scale of length 1.

    Args:
        tolerance: mean absolute difference over RGB, grey levels of 255.

    Raises:
        ConfigError: a negative tolerance.
    """

    threshold = Threshold('tolerance', strictest=0.5, loosest=50.)

    def __init__(self, tolerance: float = 1.275) -> None:
        self.tolerance = as_number('ColorFilter.tolerance', tolerance)

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

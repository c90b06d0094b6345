"""Three more ways to ask whether a pixel still looks the same; :class:`~mmrefine.labeling.ColorFilter` is the
paper's."""
from __future__ import annotations

from torch import Tensor

from mmrefine.geometry import (backwarp, census_residual, lab_residual, lands_inside, match_exposure,
                               match_local_exposure)
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext
from mmrefine.values import as_choice, as_count, as_number


@FILTERS.register_module()
class LabFilter:
    """Keep what an eye would call the same colour: 1 where the CIE Lab distance is less than ``tolerance``.

    ``c(p) < tolerance`` with ``c`` of :func:`~mmrefine.geometry.lab_residual`: an error counts as much in the dark as
    in the light, and a change of hue at equal brightness counts. A pixel that leaves the frame is not kept. Ours, not
    the paper's.

    Args:
        tolerance: CIE76 units (100 from black to white); a just noticeable difference is about 2.3 (Mahy et al. 1994).

    Raises:
        ConfigError: a negative tolerance.
    """

    threshold = Threshold('tolerance', strictest=0.5, loosest=50.)

    def __init__(self, tolerance: float = 2.3) -> None:
        self.tolerance = as_number('LabFilter.tolerance', tolerance)

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        return (lab_residual(ctx.frames1, ctx.frames2, ctx.flow_fw) < self.tolerance).to(ctx.flow_fw.dtype)


@FILTERS.register_module()
class CensusFilter:
    """Keep what keeps its surroundings: 1 where few neighbours change from brighter to darker than the pixel.

    ``c(p) <= tolerance`` with ``c`` of :func:`~mmrefine.geometry.census_residual`. Blind to exposure, gamma and white
    balance; needs texture, since in flat areas the noise of the camera decides over most comparisons. A pixel that
    leaves the frame is not kept. Ours, not the paper's.

    Args:
        tolerance: share of the comparisons that may differ, in [0, 1]; two windows of noise differ in half of them.
        radius: the window has ``2 radius + 1`` px on a side.
        tie: differences up to this count as none, grey levels of 255.

    Raises:
        ConfigError: a negative ``tolerance`` or ``tie``, or a radius below 1.
    """

    threshold = Threshold('tolerance', strictest=0.02, loosest=0.6)

    def __init__(self, tolerance: float = 0.3, radius: int = 3, tie: float = 0.1) -> None:
        self.tolerance, self.tie = as_number('CensusFilter.tolerance', tolerance), as_number('CensusFilter.tie', tie)
        self.radius = as_count('CensusFilter.radius', radius)

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        residual = census_residual(ctx.frames1, ctx.frames2, ctx.flow_fw, self.radius, self.tie)
        return (residual <= self.tolerance).to(ctx.flow_fw.dtype)


@FILTERS.register_module()
class GainRobustColorFilter:
    """Keep what looks the same once the light is: :class:`ColorFilter` after gain and offset of frame 2 are removed.

    ``255 mean_RGB | E I2(p + f(p)) - I1(p) | < tolerance`` with ``E`` of :func:`~mmrefine.geometry.match_exposure` (one
    for the frame) or :func:`~mmrefine.geometry.match_local_exposure` (one around each pixel). A pixel that leaves the
    frame is not kept. Ours, not the paper's.

    Args:
        tolerance: mean absolute difference over RGB, grey levels of 255, on the scale of frame 1.
        scope: ``'frame'`` for auto-exposure, flicker and white balance; ``'local'`` also for shadows and passing light,
            at the price of believing any flat area that lands on a flat one of similar colour.
        radius: for ``'local'``, the window has ``2 radius + 1`` px on a side.
        max_gain: what is beyond is no change of light and counts as one of colour; at least 1.
        max_offset: the same for a shift, grey levels of 255.

    Raises:
        ConfigError: a negative tolerance or offset, a gain below 1, a radius below 1, or a ``scope`` that does not
            exist.
    """

    threshold = Threshold('tolerance', strictest=0.5, loosest=50.)

    def __init__(self,
                 tolerance: float = 1.275,
                 scope: str = 'frame',
                 radius: int = 7,
                 max_gain: float = 2.,
                 max_offset: float = 64.) -> None:
        name = 'GainRobustColorFilter'
        self.tolerance = as_number(f'{name}.tolerance', tolerance)
        self.scope = as_choice(f'{name}.scope', scope, ('frame', 'local'))
        self.radius = as_count(f'{name}.radius', radius)
        self.max_gain = as_number(f'{name}.max_gain', max_gain, '[1, inf)')
        self.max_offset = as_number(f'{name}.max_offset', max_offset)

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        inside = lands_inside(ctx.flow_fw)
        warped = backwarp(ctx.frames2, ctx.flow_fw)
        if self.scope == 'frame':
            matched = match_exposure(ctx.frames1, warped, inside, self.max_gain, self.max_offset)
        else:
            matched = match_local_exposure(ctx.frames1, warped, inside, self.radius, self.max_gain, self.max_offset)
        residual = 255 * (matched - ctx.frames1).abs().mean(dim=1, keepdim=True)
        return ((residual < self.tolerance) & inside).to(ctx.flow_fw.dtype)

"""Texture as evidence: where there is nothing to see, motion cannot be verified."""
from __future__ import annotations

from torch import Tensor

from mmrefine.geometry import texture_strength
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext
from mmrefine.values import as_count, as_number


@FILTERS.register_module()
class TextureFilter:
    """Believe motion where the frame has texture in every direction: from 0 at ``least`` to 1 at ``full``, linearly.

    Measured by :func:`~mmrefine.geometry.texture_strength` of the labelled frame. In a flat area any motion looks the
    same and comes back; along a straight edge, any motion along it. Ours, not the paper's.

    Args:
        least: strength that does not count as evidence, grey levels of 255 per px. Noise of ``n`` grey levels in a flat
            area or along an edge stays below ``0.8 n``, so the standard deviation of the noise is a safe choice, and
            the default stands 2.
        full: strength from which on a pixel is fully believed, above ``least``.
        radius: the window has ``2 radius + 1`` px on a side.

    Raises:
        ConfigError: a negative strength, ``full`` not above ``least``, or a radius below 1.
    """

    threshold = Threshold('least', strictest=8., loosest=0.25, tied=('full', ))

    def __init__(self, least: float = 2., full: float = 4., radius: int = 3) -> None:
        self.least, self.radius = as_number('TextureFilter.least', least), as_count('TextureFilter.radius', radius)
        self.full = as_number('TextureFilter.full', full, f'({self.least}, inf)', '; it must be above least')

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        strength = texture_strength(ctx.frames1, self.radius)
        return ((strength - self.least) / (self.full - self.least)).clamp(0, 1).to(ctx.flow_fw.dtype)

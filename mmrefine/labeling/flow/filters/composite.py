"""A third frame as a witness: what two frames agree on can still be wrong."""
from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from mmrefine.geometry import backwarp, composite_error, composite_tolerance, landing_claims
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext
from mmrefine.values import as_number


@FILTERS.register_module()
class CompositeFilter:
    """Drop motion that a third frame contradicts: 0 where the way over frame 2 ends elsewhere than the direct way, else
    1.

    ``e(p) = | f12(p) + f23(p + f12(p)) - f13(p) |`` (:func:`~mmrefine.geometry.composite_error`) against
    ``t = alpha (|f12(p)| + |f23(p + f12(p))| + |f13(p)|) + beta``; dropped where ``e > t``, or weighed
    ``exp(-(e / t)^2)`` with ``soft``: 0.37 where the hard filter draws its line. ``f12`` is the label; it costs two
    more estimates per pair, for both directions together. A motion that is wrong there and back passes a cycle check,
    and hardly passes this one. Ours, not the paper's.

    Only evidence lowers a weight; a pixel is not judged, and keeps 1,

    * where a motion leaves the frame: ``p + f12(p)``, ``p + f13(p)``, or the end of the way over frame 2;
    * where it may be hidden in the third frame, so that ``f13`` or ``f23`` is a guess: where more than ``crowd`` pixels
      claim the place at which ``f13`` ends, or that at which ``f23`` does (:func:`~mmrefine.geometry.landing_claims`).
      Of two pixels that land on one place one is hidden, and which one the motion does not tell. The motions back from
      the third frame would tell some more, for two more estimates; what enters the frame and covers a pixel is seen by
      neither;
    * where the pair has no third frame, or one that a guard of the labeler refuses: one from beyond a cut
      (``CutGuard``), or in another light (``ExposureJumpGuard``).

    It lets pass what leaves the frame, so it stands beside a cycle filter and does not replace it.

    Args:
        alpha: tolerance that grows with the motion, no unit.
        beta: tolerance at rest, px; above 0 if ``soft``. Wider than that of a cycle, since the errors of three motions
            add up.
        soft: weigh instead of drop.
        crowd: claims from which on a pixel is not judged, at least 1; above 1 leaves room for what shrinks. None judges
            every pixel, hidden or not: it finds more wrong motion and drops more that is right.

    Raises:
        ConfigError: a negative tolerance, ``soft`` with ``beta`` 0, or a ``crowd`` below 1.
    """
    needs_third = True

    def __init__(self,
                 alpha: float = 0.02,
                 beta: float = 1.0,
                 soft: bool = False,
                 crowd: Optional[float] = 1.25) -> None:
        why = ' px with soft=True: where nothing moves, no error could be weighed' if soft else ''
        self.alpha, self.soft = as_number('CompositeFilter.alpha', alpha), soft
        self.beta = as_number('CompositeFilter.beta', beta, '(0, inf)' if soft else '[0, inf)', why)
        self.crowd = None if crowd is None else as_number('CompositeFilter.crowd', crowd, '[1, inf)', ' (or None)')

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1, in [0, 1] if ``soft``; 1 where there is no evidence."""
        unjudged = torch.ones_like(ctx.flow_fw[:, :1])
        if ctx.third1 is None or ctx.third2 is None:
            return unjudged
        error, judged = composite_error(ctx.flow_fw, ctx.third2, ctx.third1)
        tolerance = composite_tolerance(ctx.flow_fw, ctx.third2, ctx.third1, self.alpha, self.beta)
        if self.crowd is not None:
            judged = judged & (landing_claims(ctx.third1) <= self.crowd)
            judged = judged & (backwarp(landing_claims(ctx.third2), ctx.flow_fw) <= self.crowd)
        weight = torch.exp(-(error / tolerance)**2) if self.soft else (error <= tolerance).to(unjudged.dtype)
        return torch.where(judged, weight, unjudged)

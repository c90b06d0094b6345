"""What the manifest of a label store says of each flow label."""
from __future__ import annotations

from typing import Dict, List, Optional

from torch import Tensor

from mmrefine.geometry import backwarp, color_residual, cycle_error, lands_inside, lengths
from mmrefine.geometry.stillness import STILL_MOTION
from mmrefine.structures import PairContext
from mmrefine.structures.pairs import FAR


def label_stats(ctx: PairContext,
                verified: Tensor,
                weight: Tensor,
                flow: Optional[Tensor] = None) -> List[Dict[str, float]]:
    """What a person wants to know of each label, rounded to 6 decimals.

    * ``kept``: mean weight, in [0, 1];
    * ``verified``: mean of what the filters alone gave, in [0, 1];
    * ``inside``: share of pixels that land inside the frame, in [0, 1];
    * ``mean_motion``: px, weighted by ``weight``; 0 if nothing is kept;
    * ``cycle_error_median`` (the lower one of two), ``cycle_error_mean``: px, over the pixels that land inside, and
      where the motion back is known, if it is anywhere; 0 if there is none;
    * ``color_residual``: mean in grey levels of 255, over the pixels that land inside; 0 if none;
    * ``along_motion``, ``in_place``: change of colour along the motion and without any, grey levels of 255, summed over
      the pixels that move by 0.5 px and land inside, over the number of all pixels.

    All but ``mean_motion`` judge the teacher's motion, also where the label got another one.

    Args:
        ctx: the pairs.
        verified: ``(B, 1, H, W)`` in [0, 1].
        weight: ``(B, 1, H, W)`` in [0, 1].
        flow: ``(B, 2, H, W)`` px, the motion of the label; None: the teacher's.
    """
    inside = lands_inside(ctx.flow_fw)
    motion = lengths(ctx.flow_fw if flow is None else flow).double()
    errors = cycle_error(ctx.flow_fw, ctx.flow_bw).double()
    back = _known_back(ctx)
    residuals = color_residual(ctx.frames1, ctx.frames2, ctx.flow_fw).double()
    in_place = 255 * (ctx.frames2 - ctx.frames1).abs().mean(dim=1, keepdim=True).double()
    moving = inside & (lengths(ctx.flow_fw) > STILL_MOTION)
    stats = []
    for i in range(len(weight)):
        judged = inside[i] & back[i] if (inside[i] & back[i]).any() else inside[i]
        w, error, residual = weight[i].double(), errors[i][judged], residuals[i][inside[i]]
        found = dict(
            kept=w.mean(),
            verified=verified[i].double().mean(),
            inside=inside[i].double().mean(),
            mean_motion=(w * motion[i]).sum() / w.sum().clamp(min=1e-12),
            cycle_error_median=error.median() if error.numel() else 0.,
            cycle_error_mean=error.sum() / max(error.numel(), 1),
            color_residual=residual.sum() / max(residual.numel(), 1),
            along_motion=residuals[i][moving[i]].sum() / moving[i].numel(),
            in_place=in_place[i][moving[i]].sum() / moving[i].numel())
        stats.append({key: rounded(value) for key, value in found.items()})
    return stats


def _known_back(ctx: PairContext) -> Tensor:
    """Where a round trip reads motion back that the teacher knows: bool ``(B, 1, H, W)``."""
    unknown = (ctx.flow_bw.abs() >= FAR).any(dim=1, keepdim=True)
    # one unknown neighbour is enough, as its 1e5 px are in the mean of the four
    return backwarp(unknown.to(ctx.flow_fw.dtype), ctx.flow_fw) <= 0


def rounded(value: object) -> float:
    """Six decimals, so that the order of summation (threads, device) does not show in a manifest."""
    return round(float(value), 6)  # type: ignore[arg-type]

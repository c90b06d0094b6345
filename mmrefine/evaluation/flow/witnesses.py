"""What speaks for or against the motion of a network on a frame pair whose truth nobody knows.

Three witnesses. None of them can be trusted alone: a slow motion comes back, a smooth one warps the colours nearly as
well, and known warps are easier than the video. The labels are not a witness: they repeat what their teacher believes,
so a student that left its errors behind would be further from them than it is.
"""
from __future__ import annotations

from typing import Dict, Optional, Sequence

import torch
from torch import Tensor

from mmrefine.evaluation.flow.label_free import exposure_gain
from mmrefine.evaluation.guard.comparison import Observation, mean_observation
from mmrefine.evaluation.guard.measures import FLOORS, limited
from mmrefine.evaluation.guard.objections import LEAST_KEPT, worse_by_all
from mmrefine.geometry import backwarp, cycle_error, lands_inside, lengths
from mmrefine.geometry.window import box_mean
from mmrefine.structures.figures import LABEL_FREE, Figure

MOST_PIXELS = 1_000_000  # that a quantile is taken of
FIGURES = (
    Figure('cycle', '', 'lower', title='what a round trip misses, of the motion', decided_by=LABEL_FREE),
    Figure('color', 'grey levels', 'lower', title='colour along the motion', decided_by=LABEL_FREE),
    Figure('warp', 'px', 'lower', title='error on known warps', decided_by=LABEL_FREE),
    Figure('motion', 'px', title='mean motion', decided_by=LABEL_FREE),
    Figure('confirmed', '%', title='pixels whose motion the colours confirm', decided_by=LABEL_FREE),
)
# The colours confirm a motion where, in a window of 11x11 px, what they differ by along it is at most two thirds of
# what they differ by without any motion, and less by a quarter of a grey level, after a mean over 3x3 px. Two frames
# that differ by independent noise alone do not reach that: resampling between pixels takes away a fifth at most.
SMOOTHING_RADIUS = 1
CONFIRMING_RADIUS, CONFIRMING_RATIO, CONFIRMING_LEVELS = 5, 2 / 3, 0.25
# % of the pixels; where the colours confirm less of both networks nothing shows that the video moves. In rendered video
# that moves it is 1.6 and more, in a still one under strong compression 0.001 (`benchmarks/guard_situations.py`).
LEAST_SEEN = 0.1
LEAST_CONFIRMED = 1.  # % of the pixels, mean over the samples; what is less is no motion that could be lost


def pair_witnesses(frames1: Tensor,
                   frames2: Tensor,
                   flow_fw: Tensor,
                   flow_bw: Tensor,
                   warp: float = float('nan'),
                   fixed: Optional[Tensor] = None) -> Dict[str, float]:
    """What is seen of a network on one frame pair.

    Args:
        frames1: ``(1, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow_fw: ``(1, 2, H, W)`` px, frame 1 -> frame 2.
        flow_bw: ``(1, 2, H, W)`` px, frame 2 -> frame 1.
        warp: mean end-point error on known warps of the first frame, px, at most 20 for each pixel, without what
            ``fixed`` covers; nan where there are none.
        fixed: bool ``(1, 1, H, W)``, what lies over the scene and never changes, such as a logo (see
            :func:`~mmrefine.fileio.video.overlay.fixed_overlay`): it is left out. None: nothing.

    Returns:
        ``cycle``, the mean distance by which a round trip misses, at most 20 px for each pixel, as for one that leaves
        the frame; divided by 1 px more than the mean length of the motion, since who moves less misses by less.
        ``color``, the mean difference of colours along the motion, grey levels of 255, after the gain between the
        frames; pixels that leave the frame count like the worst tenth of the others. ``warp`` as it was given.
        ``motion``, its mean length in px; for reading, not for judging. ``confirmed``, % of the pixels where the
        colours say that the motion is right and not 0 (:data:`CONFIRMING_RATIO`); see :func:`objection`.
    """
    flow_fw, flow_bw = flow_fw.float(), flow_bw.float()
    error, inside = cycle_error(flow_fw, flow_bw), lands_inside(flow_fw)
    error = limited(error, inside & error.isfinite())
    shown = torch.ones_like(inside) if fixed is None or bool(fixed.all()) else ~fixed.to(inside.device)
    color, confirmed = 255., torch.zeros_like(inside)
    if bool((inside & shown).any()):
        warped, there = backwarp(frames2, flow_fw)[0], inside[0, 0]
        gain = exposure_gain(frames1[0], warped, there & shown[0, 0])
        difference = 255 * (warped / gain - frames1[0])
        residual = difference.abs().mean(dim=0)
        seen = residual[there & shown[0, 0]].double()
        some = seen[::-(-len(seen) // MOST_PIXELS)]  # from all over the frame
        color = float(torch.where(there, residual.double(), torch.quantile(some, 0.9))[shown[0, 0]].mean())
        confirmed = inside & _confirmed(difference, frames1[0], frames2[0])
    length = lengths(flow_fw)
    length = torch.where(length.isfinite(), length, torch.zeros_like(length)).double()
    motion = float(length[shown].mean())
    return dict(cycle=float(error.double()[shown].mean()) / (1 + motion), color=color, warp=float(warp), motion=motion,
                confirmed=100 * float(confirmed[shown].double().mean()))


def _confirmed(difference: Tensor, frame1: Tensor, frame2: Tensor) -> Tensor:
    """``(1, 1, H, W)`` bool: where the motion that leaves ``difference`` (``(3, H, W)`` grey levels) explains clearly
    more of what differs between the frames than no motion does.
    """
    everywhere = torch.ones_like(difference[0], dtype=torch.bool)
    still = 255 * (frame2 / exposure_gain(frame1, frame2, everywhere) - frame1)
    moved, unmoved = (box_mean(box_mean(part[None], SMOOTHING_RADIUS).abs().mean(dim=1, keepdim=True),
                               CONFIRMING_RADIUS) for part in (difference, still))
    return moved < (CONFIRMING_RATIO * unmoved).minimum(unmoved - CONFIRMING_LEVELS)


def objection(teacher: Sequence[Observation], candidate: Sequence[Observation]) -> Optional[str]:
    """Why a network must not be handed back whatever its score says; None if nothing speaks against it.

    A network that says that nothing moves has a perfect round trip, which can outweigh everything else in a mean. So a
    candidate is refused

    - if it is worse by the colours and by the known warps, each by more than 1 % on the mean over the samples (by the
      colours alone where there are no warps),
    - if it has lost the motion: the colours confirm its motion on less than half as many pixels as the teacher's.
      What a teacher imagines in parts that stand still is not confirmed, so a student that no longer does so has lost
      nothing; nor has one that sees less motion because the teacher saw too much. Pixels count and not their px, as a
      motion that is long and wrong fits here and there by chance. Or
    - if the colours confirm the motion of neither network: all that could be learned of a still video is not to move.

    Args:
        teacher: of the original network, see :func:`pair_witnesses`, on one or more samples.
        candidate: of the candidate, on the same samples.

    Returns:
        the end of a sentence that begins with what the candidate is.
    """
    names = dict(color='the colours along its motion', warp='its errors on known warps')
    worse = worse_by_all(teacher, candidate, names, FLOORS)
    if worse is not None:
        return worse
    before, after = (mean_observation(seen)['confirmed'] for seen in (teacher, candidate))
    if max(before, after) < LEAST_SEEN:
        return 'has learned from a video of which nothing shows that it moves: the colours confirm no motion'
    if before > LEAST_CONFIRMED and after < LEAST_KEPT * before:
        return (f'has lost the motion: the colours confirm it on {after:.1f} % of the pixels, and that of the original '
                f'network on {before:.1f} %')
    return None


def limited_error(flow: Tensor, target: Tensor, weight: Tensor) -> float:
    """Weighted mean of the end-point error of a motion, px, at most 20 for each pixel and for one that is not finite.

    Args:
        flow: ``(B, 2, H, W)`` px.
        target: the same shape.
        weight: ``(B, 1, H, W)``, at least 0.

    Returns:
        px; nan where nothing has weight.
    """
    error = lengths(flow.float() - target)
    error = limited(error).double()
    total = float(weight.double().sum())
    return float((weight * error).sum()) / total if total > 0 else float('nan')

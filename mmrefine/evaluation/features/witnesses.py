"""What speaks for or against the features of a network on a clip whose truth nobody knows.

Labels and points are copied along the clip and back by what looks alike, and along clips of known motion. The way back
alone proves nothing: a network that copies every cell in place, since its features are constant or tell where a cell is
instead of what it shows, comes home without mistake. On known motion it leaves everything behind.
"""
from __future__ import annotations

import math
from typing import Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.evaluation.guard.comparison import Observation, mean_observation
from mmrefine.evaluation.guard.measures import limited
from mmrefine.evaluation.guard.objections import worse_by_all
from mmrefine.structures.figures import LABEL_FREE, Figure

FIGURES = (
    Figure('labels', '%', 'lower', title='cells that are not home after a round trip', decided_by=LABEL_FREE),
    Figure('points', 'px', 'lower', title='what a round trip misses', decided_by=LABEL_FREE),
    Figure('known_labels', '%', 'lower', title='wrong cells on known motion', decided_by=LABEL_FREE),
    Figure('known_points', 'px', 'lower', title='error on known motion', decided_by=LABEL_FREE),
    Figure('known_still', 'px', title='error on known motion of copying in place', decided_by=LABEL_FREE),
    Figure('motion', 'px', title='mean way of a point', decided_by=LABEL_FREE),
)
# Round trips and known motion count the same, and what is as good as nothing is a cell in a hundred, or a quarter of a
# px, which is a sixteenth of a cell.
WEIGHTS: Dict[str, float] = dict(labels=0.25, points=0.25, known_labels=0.25, known_points=0.25)
FLOORS: Dict[str, float] = dict(labels=1., points=0.25, known_labels=1., known_points=0.25)
LEAST_GAIN = 0.1  # of the error of copying in place, by which a network must be better on known motion


def label_patches(size: Tuple[int, int], count: int) -> Tensor:
    """About ``count`` square patches that tile a grid of ``size`` = (h, w) cells: the number of the patch of each cell,
    ``(h, w)``, from 0 on."""
    side = max(1, round(math.sqrt(size[0] * size[1] / count)))
    across = -(-size[1] // side)
    rows, columns = (torch.div(torch.arange(length), side, rounding_mode='floor') for length in size)
    return rows[:, None] * across + columns


def wrong_labels(maps: Tensor, truth: Tensor, known: Optional[Tensor] = None) -> float:
    """% of the cells whose most frequent label is not the true one; nan where no truth is known.

    Args:
        maps: ``(K, h, w)``, how much each cell has of each label.
        truth: numbers of labels, ``(h, w)``.
        known: bool ``(h, w)``; None: everywhere.
    """
    wrong = maps.argmax(dim=0) != truth
    wrong = wrong if known is None else wrong[known]
    return 100 * float(wrong.double().mean())


def point_error(found: Tensor, truth: Tensor, known: Optional[Tensor] = None) -> float:
    """Mean distance of points ``(N, 2)`` px, at most 20 px each, as of one that was lost (nan); nan where no truth is
    known.

    Args:
        found: of the network.
        truth: the same shape.
        known: bool ``(N,)``; None: all.
    """
    error = limited((found - truth).double().norm(dim=-1))
    return float((error if known is None else error[known]).mean())


def objection(teacher: Sequence[Observation], candidate: Sequence[Observation]) -> Optional[str]:
    """Why a network must not be handed back whatever its score says; None if nothing speaks against it.

    - It is worse by more than 1 % on known motion, both by labels and by points. One that copies in place has perfect
      round trips, which can outweigh that in a mean. Or
    - it follows points on known motion worse than one that copies in place, or better by less than a tenth, whatever
      the original network does.

    Args:
        teacher: of the original network on one or more clips.
        candidate: of the candidate, on the same clips.
    """
    names = dict(known_labels='labels on known motion', known_points='points on known motion')
    worse = worse_by_all(teacher, candidate, names, FLOORS)
    if worse is not None:
        return worse
    seen = mean_observation(candidate)
    error, still = seen['known_points'], seen['known_still']
    if error > (1 - LEAST_GAIN) * still:
        how = 'worse' if error > still else 'hardly better'
        return (f'follows known motion {how} than by copying in place ({error:.2f} px off, in place '
                f'{still:.2f} px)')
    return None

"""What speaks against a candidate whatever the mean of its witnesses says."""
from __future__ import annotations

import math
from typing import Mapping, Optional, Sequence

from mmrefine.evaluation.guard.comparison import Observation, loss_against

# By as much all of them must be worse: less is chance on few samples (`benchmarks/guard_situations.py`)
LEAST_WORSE = 0.01
LEAST_KEPT = 0.5  # share of the motion that a student must still see


def worse_by_all(teacher: Sequence[Observation], candidate: Sequence[Observation], names: Mapping[str, str],
                 floors: Mapping[str, float]) -> Optional[str]:
    """The end of a sentence that begins with a candidate that is worse by more than 1 % by each of some witnesses, by
    those that are known anywhere; None if it is not.

    Args:
        teacher: of the original network, on one or more samples.
        candidate: of the candidate, on the same samples.
        names: witness -> what it is called in sentences.
        floors: how much of each witness is as good as nothing, above 0.
    """
    losses = {name: _worse_by(teacher, candidate, name, floors) for name in names}
    known = {names[name]: loss for name, loss in losses.items() if not math.isnan(loss)}
    if not known or min(known.values()) <= math.log1p(LEAST_WORSE):
        return None
    found = ' and by '.join(f'{what} ({100 * math.expm1(loss):+.1f} %)' for what, loss in known.items())
    return f'is worse by {found}, whatever its round trips say'


def _worse_by(teacher: Sequence[Observation], candidate: Sequence[Observation], name: str,
              floors: Mapping[str, float]) -> float:
    """Mean logarithm of the ratio of one witness, over the samples where it is known; nan where it never is."""
    losses = [loss_against(one, other, {name: 1.}, floors) for one, other in zip(candidate, teacher)
              if not math.isnan(one[name] + other[name])]
    return math.fsum(losses) / len(losses) if losses else float('nan')

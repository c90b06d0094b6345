"""Is a candidate better than its teacher, or was it luck? Paired differences and their bootstrap."""
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from mmrefine.evaluation.guard.runs import LEAST_RUNS

Observation = Mapping[str, float]

DRAWS = 2000


@dataclass(frozen=True)
class Comparison:
    """A candidate against its teacher on the same pairs.

    Args:
        change: mean of what :func:`loss_against` says of each pair, as a ratio less 1: -0.1 is a tenth better.
        low: lower end of the interval of ``change``.
        high: upper end.
        pairs: how many were compared.
        better: share of the pairs on which the candidate is better, in [0, 1].
        runs: how many independent clusters of pairs the interval is drawn from.
    """
    change: float
    low: float
    high: float
    pairs: int
    better: float
    runs: int

    @property
    def is_proof(self) -> bool:
        """Whether there is enough evidence for any verdict."""
        return self.runs >= LEAST_RUNS

    @property
    def is_better(self) -> bool:
        """Whether the whole interval lies below 0, and is drawn from enough clusters."""
        return self.is_proof and self.high < 0

    def to_dict(self) -> Dict[str, Any]:
        """For a report: percents, rounded; None for an end of the interval that is not known."""
        low, high = (round(100 * end, 3) if math.isfinite(end) else None for end in (self.low, self.high))
        return dict(
            change_percent=round(100 * self.change, 3),
            interval_percent=[low, high],
            pairs=self.pairs,
            runs=self.runs,
            pairs_better=round(self.better, 4))


def loss_against(candidate: Observation, teacher: Observation, weights: Mapping[str, float],
                 floors: Mapping[str, float]) -> float:
    """How much worse a candidate is than its teacher on one sample.

    The weighted mean of the logarithms of the ratios of their witnesses: 0 if they are alike, -0.1 if the candidate is
    about a tenth better. A witness that says nothing (nan) is left out.

    Args:
        candidate: witnesses by name, each at least 0 and the smaller the better.
        teacher: the same of the original network.
        weights: how much each witness counts; others do not.
        floors: how much of each is as good as nothing, above 0.
    """
    total = share = 0.
    for name, weight in weights.items():
        ours, theirs = candidate[name], teacher[name]
        if not (math.isnan(ours) or math.isnan(theirs)):
            total += weight * math.log((ours + floors[name]) / (theirs + floors[name]))
            share += weight
    return total / share if share else 0.


def mean_observation(observations: Sequence[Observation]) -> Dict[str, float]:
    """The mean over pairs, number by number; nan only where all are."""
    return {name: _mean([one[name] for one in observations if not math.isnan(one[name])]) for name in observations[0]}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else float('nan')


def compare(losses: Sequence[float], clusters: Sequence[Any], confidence: float = 0.95, seed: int = 0) -> Comparison:
    """The mean of paired losses with a bootstrap interval: :func:`compare_all` of one candidate."""
    return compare_all([losses], clusters, confidence, seed)[0]


def compare_all(losses: Sequence[Sequence[float]], clusters: Sequence[Any], confidence: float = 0.95,
                seed: int = 0) -> List[Comparison]:
    """The means of paired losses of several candidates, with bootstrap intervals that hold for all of them together.

    Pairs that belong together are drawn together: what is said of them is not independent, and an interval that takes
    it as such is too narrow. Every draw is the same for all candidates, and the ends are quantiles of the farthest of
    their deviations, each divided by its own spread (the bootstrap of the maximum, Westfall and Young 1993). So the
    more alike candidates are, such as steps of one student, the less is paid for their number.

    A bootstrap of few clusters is too narrow as well: it knows no spread but that of the few. So each end is stretched
    about the mean by what Student's quantile with ``k - 1`` degrees of freedom has over the normal one, times
    ``sqrt(k / (k - 1))``, for ``k`` clusters: at 95 % 1.3 times for 7, 9 times for 2.

    Args:
        losses: of each candidate that of each pair, logarithms, see :func:`loss_against`.
        clusters: of each pair what it belongs to.
        confidence: of all intervals together, in (0, 1).
        seed: of the draws.

    Raises:
        ValueError: nothing to compare, or not one cluster for each pair.
    """
    if not len(losses) or not len(clusters) or any(len(one) != len(clusters) for one in losses):
        raise ValueError('a comparison needs one or more pairs and a cluster for each, '
                         f'got {" and ".join(str(len(one)) for one in losses)} and {len(clusters)}')
    values = np.asarray(losses, np.float64)
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    member, means = np.array([names[name] for name in clusters]), values.mean(axis=1)
    ends = np.tile([-math.inf, math.inf], (len(values), 1))
    if len(names) > 1:  # one cluster says nothing of others
        sums, counts = np.stack([np.bincount(member, one) for one in values]), np.bincount(member)
        drawn = np.random.default_rng(seed).integers(0, len(counts), (DRAWS, len(counts)))
        deviations = sums[:, drawn].sum(axis=2) / counts[drawn].sum(axis=1) - means[:, None]
        ends = means[:, None] + _ends(deviations, len(counts), confidence)
    # with two or three clusters an end may lie beyond what a float can hold; infinite says the same
    with np.errstate(over='ignore'):
        intervals = np.expm1(ends)
    return [Comparison(float(np.expm1(mean)), float(low), float(high), len(one), float((one < 0).mean()), len(names))
            for one, mean, (low, high) in zip(values, means, intervals)]


def _ends(deviations: np.ndarray, clusters: int, confidence: float) -> np.ndarray:
    """Both ends of the interval of each candidate ``(N, 2)``, from its mean, of the deviations ``(N, draws)``."""
    tail = (1 - confidence) / 2
    spread = deviations.std(axis=1, keepdims=True)
    units = np.divide(deviations, spread, out=np.zeros_like(deviations), where=spread > 0)
    ends = []
    for sign in (-1, 1):
        farthest = float(np.quantile((sign * units).max(axis=0), 1 - tail))
        beyond = (sign * units > farthest).mean(axis=1)  # of each candidate alone
        stretch = [_stretch(clusters, max(share, tail / len(units))) for share in beyond]
        ends.append(sign * farthest * spread[:, 0] * stretch)
    return np.stack(ends, axis=1)


def _stretch(clusters: int, tail: float) -> float:
    """By how much the end of a bootstrap interval that leaves out the share ``tail`` is too near with this many
    clusters, at least 2."""
    return (student_quantile(1 - tail, clusters - 1) / NormalDist().inv_cdf(1 - tail)
            * math.sqrt(clusters / (clusters - 1)))


@lru_cache(maxsize=None)
def student_quantile(share: float, freedom: int) -> float:
    """The value that Student's t stays below with probability ``share``, in (0, 1).

    ``freedom`` are its degrees of freedom, at least 1.

    With ``t = sqrt(freedom) tan(angle)`` the density of the angle is ``cos(angle)^(freedom - 1)`` but for a factor,
    summed up here on a fine grid.
    """
    angles = np.linspace(-math.pi / 2, math.pi / 2, 200001)
    density = np.abs(np.cos(angles))**(freedom - 1)
    below = np.concatenate([[0.], np.cumsum(density[1:] + density[:-1])])
    return math.sqrt(freedom) * math.tan(float(np.interp(share * below[-1], below, angles)))

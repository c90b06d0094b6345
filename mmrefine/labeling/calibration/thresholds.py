"""Which number of a filter decides how much it keeps."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple


@dataclass(frozen=True)
class Threshold:
    """What a filter class declares as ``threshold`` if its strictness can be chosen, see
    :func:`~mmrefine.labeling.calibration.search`.

    Args:
        key: the parameter that is the threshold.
        strictest: a value that keeps little, above 0.
        loosest: a value that keeps much, above 0; below ``strictest`` if a greater threshold keeps less.
        tied: parameters that are scaled along with it, so that their ratio to it stays as the user set it.
    """
    key: str
    strictest: float
    loosest: float
    tied: Tuple[str, ...] = ()

    def values(self, count: int) -> List[float]:
        """``count`` values from the strictest to the loosest in equal ratios, three digits each."""
        ratio = self.loosest / self.strictest
        return [_short(self.strictest * ratio**(i / max(count - 1, 1))) for i in range(count)]

    def settings(self, value: float, config: Mapping[str, Any]) -> Dict[str, Any]:
        """The parameters that change when the threshold of a filter becomes ``value``.

        Args:
            value: the new threshold.
            config: all parameters of the filter as they are, defaults included. A threshold of 0 has no ratio to keep.
        """
        before = config[self.key]
        if value == before:  # as the user wrote them, to the last digit
            return {key: config[key] for key in (self.key, *self.tied)}
        factor = value / before if before else 1.
        return {self.key: value, **{key: _short(config[key] * factor) for key in self.tied}}


def _short(value: float) -> float:
    """Three digits: as good as the estimate, and the same when it is copied from a screen."""
    return float(f'{value:.3g}')

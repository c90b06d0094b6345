"""How often networks are asked, for the forecast of a run."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Passes:
    """How often a network is asked about frame pairs or clips, or what it takes to ask it once.

    Args:
        one_way: from the first frame on.
        both_ways: there and back at once, for less than twice as much.
    """
    one_way: float = 0.
    both_ways: float = 0.

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.one_way + other.one_way, self.both_ways + other.both_ways)

    def __mul__(self, times: float) -> Passes:
        return Passes(times * self.one_way, times * self.both_ways)

    def taking(self, each: Passes) -> float:
        """What they take together where one of each kind takes so much."""
        return self.one_way * each.one_way + self.both_ways * each.both_ways

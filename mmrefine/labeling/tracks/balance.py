"""Easy tracks are many and teach little: how likely each one is to become part of a label of limited size."""
from __future__ import annotations

from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.registry import BALANCERS
from mmrefine.structures import TrackLook
from mmrefine.values import as_number


@BALANCERS.register_module()
class TrackNovelty:
    """Prefer what the student does not see yet: ``least + (1 - least) d / (d + half)``. Implements ``TrackBalance``.

    ``d`` is how far a track lies from that of one plain pass over the same frames, as the student sees it, on average
    over the frames: where the two agree there is nothing to learn. It asks for a view that makes a plain pass beside
    others, such as :class:`~mmrefine.labeling.ArbitratedTracks` with ``scales`` that begin with 1 and go on. Ours, not
    the paper's.

    Args:
        half: distance at which half of the share above ``least`` is reached, px, above 0.
        least: share that stays where nothing is new, in (0, 1].

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, half: float = 1., least: float = 0.1) -> None:
        self.half = as_number('TrackNovelty.half', half, '(0, inf)', ' px')
        self.least = as_number('TrackNovelty.least', least, '(0, 1]')

    def __call__(self, look: TrackLook) -> Tensor:
        """How likely each track is in proportion to the others, ``(N,)`` in (0, 1].

        Raises:
            ConfigError: there was no plain pass.
        """
        if look.plain is None:
            raise ConfigError('labeler.balance: TrackNovelty compares the label with a plain first pass, and '
                              'labeler.view makes none beside the one that becomes the label; give ArbitratedTracks '
                              'scales such as (1.0, 2.0)')
        distance = (look.there - look.plain).norm(dim=-1).mean(dim=1)
        return self.least + (1 - self.least) * distance / (distance + self.half)

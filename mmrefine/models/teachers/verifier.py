"""A judge of passes that cannot change any more."""
from __future__ import annotations

from typing import Any, Dict, Tuple

import torch
from torch import Tensor

from mmrefine.models.teachers.frozen import FrozenCopy
from mmrefine.structures import Verdict


class FrozenVerifier(FrozenCopy):
    """A frozen verifier. Implements ``PassJudge``; arguments: see
    :class:`~mmrefine.models.teachers.frozen.FrozenCopy`."""

    @torch.no_grad()
    def verify(self, frames1: Tensor, frames2: Tensor, passes: Tensor, traits: Tensor, start: Tensor,
               shares: Tensor) -> Verdict:
        """What passes come to; see :class:`~mmrefine.structures.PassJudge`."""
        with self.precision(frames1):
            return self.refiner.verify(frames1, frames2, passes, traits, start, shares)

    def describe(self) -> Dict[str, Any]:
        """What decides over its answers beside the weights."""
        found = dict(network=type(self.refiner.estimator).__name__)
        return found if self.dtype == 'float32' else dict(found, dtype=self.dtype)

    def pass_bytes(self, size: Tuple[int, int], passes: int = 4) -> int:
        """Bytes that it must hold at once for so many passes over frames of ``size`` (height, width) px."""
        return int(self.refiner.pass_bytes(size, passes))

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """The same for any number of pairs: it looks at one image after the other."""
        return self.pass_bytes(size)

"""The teacher: a network that cannot change any more."""
from __future__ import annotations

import contextlib
import copy
from typing import Any, ContextManager, Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

from mmrefine.fileio.digest import digest_of_state
from mmrefine.geometry import FramePad
from mmrefine.models.raft_fast.frame_memory import FrameMemory
from mmrefine.models.raft_fast.two_way import peak_bytes, runs_two_way
from mmrefine.models.refiners import FlowRefiner
from mmrefine.structures.pairs import Names
from mmrefine.values import as_choice

_DTYPES = {'float32': None, 'bfloat16': torch.bfloat16}


def check_dtype(dtype: str) -> str:
    """The dtype, if it is one that a teacher can have.

    Raises:
        ConfigError: it is not.
    """
    return as_choice('the dtype of the teacher', dtype, list(_DTYPES))


class FrozenCopy(nn.Module):
    """A copy of a refiner that can neither learn nor change mode.

    Args:
        refiner: the student as it is now; it is copied, so later training does not touch the teacher.
        dtype: ``'float32'``, or ``'bfloat16'`` for autocast: faster where the hardware has it, at the price of other
            labels where a check was close. Motion is float32 in any case.

    Raises:
        ConfigError: another ``dtype``.
    """

    # the config key of its network, for messages
    whose = 'model'

    def __init__(self, refiner: Any, dtype: str = 'float32') -> None:
        super().__init__()
        self.dtype = check_dtype(dtype)
        self.refiner: Any = copy.deepcopy(refiner).requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> 'FrozenCopy':
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)  # MMEngine calls .train() every iteration, F3 in docs/platform.md

    def digest(self) -> str:
        """What identifies the teacher's weights: 16 hex digits over names and bytes of its network's state dict."""
        return digest_of_state(self.refiner.estimator.state_dict())

    def precision(self, frames: Tensor) -> ContextManager[Any]:
        """The context in which it looks at frames."""
        dtype = _DTYPES[self.dtype]
        # float32 leaves an autocast around the teacher alone
        return contextlib.nullcontext() if dtype is None else torch.autocast(frames.device.type, dtype=dtype)


class FrozenTeacher(FrozenCopy):
    """A frozen flow network. Implements ``FlowEstimator``; arguments: see :class:`FrozenCopy`."""

    def __init__(self, refiner: FlowRefiner, dtype: str = 'float32') -> None:
        super().__init__(refiner, dtype)
        self.memory = FrameMemory()

    @property
    def accepts_flow_init(self) -> bool:
        """Whether ``flow_init`` may be given."""
        return self.refiner.accepts_flow_init

    @torch.no_grad()
    def estimate(self,
                 frames1: Tensor,
                 frames2: Tensor,
                 flow_init: Optional[Tensor] = None,
                 iters: Optional[int] = None) -> List[Tensor]:
        """The flow from ``frames1`` to ``frames2``, coarse to fine; see :meth:`FlowRefiner.estimate`."""
        with self.precision(frames1):
            return [flow.float() for flow in self.refiner.estimate(frames1, frames2, flow_init, iters)]

    @torch.no_grad()
    def estimate_both(self,
                      frames1: Tensor,
                      frames2: Tensor,
                      flow_init_fw: Optional[Tensor] = None,
                      flow_init_bw: Optional[Tensor] = None,
                      names: Optional[Names] = None,
                      iters: Optional[int] = None) -> Tuple[Tensor, Tensor]:
        """The last flows in both directions; see :meth:`FlowRefiner.estimate_both`.

        Frames that have ``names`` are remembered for the next calls, so that along a video each is encoded once.
        """
        with self.precision(frames1):
            forward, backward = self.refiner.estimate_both(frames1, frames2, flow_init_fw, flow_init_bw, names,
                                                           self.memory, iters)
        return forward.float(), backward.float()

    def describe(self) -> Dict[str, Any]:
        """What decides over its answers beside the weights: network, iterations, feeding of frames, shortcuts."""
        refiner = self.refiner
        found: Dict[str, Any] = dict(
            network=type(refiner.estimator).__name__, iters=refiner.test_iters, frames=dict(vars(refiner.normalize)))
        if self.dtype != 'float32':
            found['dtype'] = self.dtype
        if refiner.exit_below is not None:
            found['exit_below'] = float(refiner.exit_below)
        return found

    @property
    def depends_on_batch(self) -> bool:
        """Whether pairs that share a pass change one another's answers: with an early exit they stop together."""
        return self.refiner.exit_below is not None

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """Bytes of the correlation pyramids that are in memory at once; 0 where the network does not tell.

        Args:
            size: (height, width) of the frames as they are shown, px.
            pairs: shown at a time; a pair that is asked both ways counts twice.
        """
        refiner = self.refiner
        if not runs_two_way(refiner.estimator):
            return 0
        pad = FramePad(*size, refiner.readout.divisor, refiner.readout.least)
        padded = (size[0] + pad.top + pad.bottom, size[1] + pad.left + pad.right)
        return peak_bytes(refiner.estimator, padded, pairs, refiner.max_corr_bytes)

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that it takes less memory."""
        known = runs_two_way(self.refiner.estimator)
        return [f'{self.whose}.max_corr_bytes (now {self.refiner.max_corr_bytes})'] if known else []

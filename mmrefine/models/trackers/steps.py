"""Which steps a chain of flow may take, and how their errors add up."""
from __future__ import annotations

from dataclasses import replace
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import expected_error
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, Look, PairBatch, TwoWayEstimator
from mmrefine.values import as_choice, as_count, as_number

FIRST = 'first'
ADDS = ('squares', 'plain')


class ChainSteps:
    """From which earlier frames a chain of flow reaches a frame, after MFT (Neoral, Serych and Matas, WACV 2024).

    A step has an expected error, px; along a chain errors add up. Of several steps that lead to a frame, each point
    takes the one after which its error is the least, among those that it survives. Where the shortest one fails, a
    longer one often finds something else that looks alike, so of the others only those count that are expected to be
    off by little.

    Args:
        steps: frames from one link of a chain to the next; ``'first'`` is the step straight from the frame in which a
            point or a label begins. 1 or ``'first'`` must be among them, or no step would reach the second frame.
        view: config of how the network is shown two frames, and what its answers come to
            (:class:`~mmrefine.structures.View`). One with a verifier says itself which error is to be expected; of any
            other, round trip and picture do (:func:`~mmrefine.geometry.expected_error`). Default: one pass both ways.
        adds: how errors add up: ``'squares'``, the root of the sum of their squares, as if steps erred independently of
            one another; ``'plain'``, their sum, as if all erred the same way.
        limit: the expected error, px, up to which a step counts beside the shortest one, above 0.

    Raises:
        ConfigError: no such steps, sums or limit, or a view that cannot be built.
        CheckpointError: weights of a verifier that cannot be used.
    """

    def __init__(self,
                 steps: Sequence[Union[int, str]] = (1, ),
                 view: Optional[Mapping[str, Any]] = None,
                 adds: str = 'squares',
                 limit: float = 4.) -> None:
        self.first = FIRST in steps
        self.steps = sorted({as_count(f"each of steps but '{FIRST}'", step) for step in steps if step != FIRST})
        if not self.first and 1 not in self.steps:
            raise ConfigError(f'steps must have 1 or {FIRST} among them, or none leads to the second frame, got '
                              f'{list(steps)}')
        self.adds = as_choice('adds', adds, ADDS)
        self.limit = as_number('limit', limit, '(0, inf)', ' px')
        self.view: Any = None if view is None else TEACHER_VIEWS.build(dict(view))
        self._shown = view

    @property
    def chooses(self) -> bool:
        """Whether there is more than one step."""
        return len(self.steps) + self.first > 1

    @property
    def reach(self) -> int:
        """Frames from one to another that a step leads back at most, but for the one to the first frame."""
        return max(self.steps, default=0)

    def sources(self, frame: int, begins: Collection[int]) -> List[int]:
        """Numbers of the frames from which a step leads to a frame, the latest first.

        Args:
            frame: its number.
            begins: in which frames points or labels begin.
        """
        begun = [number for number in begins if number < frame]
        found = {frame - step for step in self.steps if begun and frame - step >= min(begun)}
        return sorted(found | set(begun if self.first else ()), reverse=True)

    def pairs(self, count: int) -> int:
        """How many pairs of frames are looked at in a video of so many frames, in which all begins in the first."""
        return sum(len(self.sources(t, [0])) for t in range(count))

    def takes(self, source: int, frame: int, begins: Tensor) -> Tensor:
        """Whether points that begin in the frames ``begins`` ``(N,)`` may take the step from one frame to another: bool
        ``(N,)``."""
        return (begins <= source) & (frame - source in self.steps) | (begins == source) & self.first

    def look(self, network: FlowEstimator, one: Tensor, two: Tensor, with_error: bool = False) -> Look:
        """The motion between two frames both ways, and its expected error where there is a choice.

        Args:
            network: gives the flow.
            one: ``(1, 3, H, W)`` RGB in [0, 1].
            two: the same shape.
            with_error: whether the error is asked for without a choice, too.
        """
        if self.view is not None:
            look: Look = self.view.look(network, PairBatch(one, two))
        elif isinstance(network, TwoWayEstimator):
            look = Look(*network.estimate_both(one, two))
        else:
            look = Look(network.estimate(one, two)[-1], network.estimate(two, one)[-1])
        if not (self.chooses or with_error) or look.error_fw is not None:
            return look
        fw, bw = look.flow_fw.float(), look.flow_bw.float()
        return replace(look, error_fw=expected_error(one, two, fw, bw), error_bw=expected_error(two, one, bw, fw))

    def added(self, before: Tensor, step: Tensor) -> Tensor:
        """The expected errors, px, of what had one before, after a step with one."""
        return before + step if self.adds == 'plain' else torch.hypot(before, step)

    def describe_errors(self) -> Dict[str, Any]:
        """What decides over expected errors beside :meth:`describe`; JSON-able."""
        return dict(by='steps', adds=self.adds)

    def describe(self) -> Dict[str, Any]:
        """What decides over chains beside the network; JSON-able, and empty for single steps of one pass."""
        found: Dict[str, Any] = {}
        if self._shown is not None:
            # what stands in a file counts, not where it lies
            files = getattr(self.view, 'described_by_contents', ())
            settings = {key: value for key, value in self._shown.items() if key not in files}
            found['view'] = dict(settings, **(self.view.describe() if hasattr(self.view, 'describe') else {}))
        if self.chooses or self.first:
            found.update(steps=[*self.steps, *([FIRST] if self.first else [])], adds=self.adds, limit=self.limit)
        return found

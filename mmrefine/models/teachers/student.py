"""Teachers that come from the student: a copy of it as it is, or the running average of its weights."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from mmengine.model import ExponentialMovingAverage
from torch import nn

from mmrefine.errors import ConfigError
from mmrefine.models.teachers.frozen import FrozenCopy, check_dtype
from mmrefine.models.teachers.stateless import StatelessSource
from mmrefine.models.teachers.tracker import freeze
from mmrefine.registry import TEACHERS
from mmrefine.values import as_count, is_number


@TEACHERS.register_module()
class StudentCopy(StatelessSource):
    """The student as it is when a round begins. Implements ``TeacherSource``.

    Args:
        dtype: see :class:`~mmrefine.models.FrozenTeacher`.

    Raises:
        ConfigError: another ``dtype``.
    """
    follows_student = True  # a run must load its student, or the labels would come from random weights

    def __init__(self, dtype: str = 'float32') -> None:
        self.dtype = check_dtype(dtype)

    def frozen(self, student: nn.Module) -> FrozenCopy:
        """The teacher of the round that begins."""
        return freeze(student, self.dtype)


@TEACHERS.register_module()
class StudentAverage:
    """The running average of the student's weights.

    After each step ``average = (1 - momentum) * average + momentum * student``.
    It begins as the student that training begins with, and is used by the rounds after the first
    (``relabel='every_round'``). The average is MMEngine's ``ExponentialMovingAverage``. Implements ``TeacherSource``.

    Args:
        momentum: weight of the student, in (0, 1); the default averages over the last 50 steps or so.
        warmup: number of first steps after which the average is still the student itself, so that a student that
            changes much at first leaves no trace.
        update_buffers: average the buffers (the statistics of batch norms), too, instead of taking over the student's.
        dtype: see :class:`~mmrefine.models.FrozenTeacher`.

    Raises:
        ConfigError: a value out of range.
    """
    follows_student = True

    def __init__(self, momentum: float = 0.02, warmup: int = 0, update_buffers: bool = False,
                 dtype: str = 'float32') -> None:
        if not is_number(momentum) or not 0 < momentum < 1:
            raise ConfigError(f'StudentAverage.momentum must lie in (0, 1), such as 0.02, got {momentum!r}')
        self.momentum, self.update_buffers, self.dtype = float(momentum), update_buffers, check_dtype(dtype)
        self.warmup = as_count('StudentAverage.warmup', warmup, 0)
        self.average: Optional[ExponentialMovingAverage] = None

    def start(self, student: nn.Module) -> None:
        """Begin the average with these weights."""
        self.average = ExponentialMovingAverage(student, self.momentum, update_buffers=self.update_buffers)
        self.average.update_parameters(student)  # its first update copies

    def update(self, student: nn.Module, step: int) -> None:
        """Take in the weights after optimiser step ``step`` (from 1)."""
        average = self._average_of(student)
        if step <= self.warmup:
            average.steps.zero_()  # so that it copies again
        average.update_parameters(student)

    def frozen(self, student: nn.Module) -> FrozenCopy:
        """The average as it is now; that of a training that has not begun is the student."""
        return freeze(self._average_of(student).module, self.dtype)

    def state_dict(self) -> Dict[str, Any]:
        """The average and the number of its updates."""
        return {} if self.average is None else self.average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave; :meth:`start` comes first."""
        assert self.average is not None
        self.average.load_state_dict(state)

    def _average_of(self, student: nn.Module) -> ExponentialMovingAverage:
        if self.average is None:
            self.start(student)
        assert self.average is not None
        return self.average

"""A teacher that is another network than the student."""
from __future__ import annotations

from typing import Any, Dict, Optional

import torch
from torch import nn

from mmrefine.models.refiners import load_estimator
from mmrefine.models.teachers.frozen import FrozenCopy, check_dtype
from mmrefine.models.teachers.stateless import StatelessSource
from mmrefine.models.teachers.tracker import freeze
from mmrefine.registry import MODELS, TEACHERS, build_part


@TEACHERS.register_module()
class OtherNetwork(StatelessSource):
    """Another network, the same in all rounds. Implements ``TeacherSource``.

    Args:
        model: its config, as that of the student: ``dict(type='FlowRefiner', estimator=…)``.
        checkpoint: its weights, of any form that ``load_from`` may have.
        dtype: see :class:`~mmrefine.models.FrozenTeacher`.

    Raises:
        ConfigError: another ``dtype``.
    """

    def __init__(self, model: Dict[str, Any], checkpoint: str, dtype: str = 'float32') -> None:
        self.model, self.checkpoint, self.dtype = model, checkpoint, check_dtype(dtype)
        self._teacher: Optional[FrozenCopy] = None

    def frozen(self, student: nn.Module) -> FrozenCopy:
        """The network, on the device of the student.

        Raises:
            ConfigError: ``model`` cannot be built.
            CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
        """
        return self.network().to(next(student.parameters()).device)

    def network(self) -> FrozenCopy:
        """The network, where it was last; raises as :meth:`frozen`."""
        if self._teacher is None:
            # training draws the numbers that it would draw without this network
            with torch.random.fork_rng(devices=[]):
                network = build_part(dict({'_scope_': 'mmrefine'}, **self.model), MODELS)
            load_estimator(network, self.checkpoint)
            self._teacher = freeze(network, self.dtype)
        return self._teacher

"""A teacher that is another network than the student."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Union

import torch
from torch import nn

from mmrefine.compat.config_names import carried_file, read_config
from mmrefine.compat.model_names import find_config
from mmrefine.errors import ConfigError
from mmrefine.models.refiners import load_estimator
from mmrefine.models.teachers.frozen import FrozenCopy, check_dtype
from mmrefine.models.teachers.stateless import StatelessSource
from mmrefine.models.teachers.tracker import freeze
from mmrefine.registry import MODELS, TEACHERS, build_part


@TEACHERS.register_module()
class OtherNetwork(StatelessSource):
    """Another network, the same in all rounds. Implements ``TeacherSource``.

    Args:
        model: its config, as that of the student: ``dict(type='FlowRefiner', estimator=…)``; or the name or the file of
            a config that has it, as :func:`~mmrefine.compat.model_names.find_config` takes them.
        checkpoint: its weights, of any form that ``load_from`` may have; ``configs/…`` also leads to those that come
            with mmrefine.
        dtype: see :class:`~mmrefine.models.FrozenTeacher`.

    Raises:
        ConfigError: another ``dtype``.
    """

    def __init__(self, model: Union[str, Dict[str, Any]], checkpoint: str, dtype: str = 'float32') -> None:
        self.model, self.checkpoint, self.dtype = model, checkpoint, check_dtype(dtype)
        self._teacher: Optional[FrozenCopy] = None

    @property
    def name(self) -> str:
        """What people call it: its model, and the file of its weights without the folder."""
        model = self.model
        network = (model.get('estimator') or model).get('type') if isinstance(model, dict) else model
        return f'{network} with the weights of {Path(self.checkpoint).name}'

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
                network = build_part(dict({'_scope_': 'mmrefine'}, **_model_of(self.model)), MODELS)
            load_estimator(network, str(carried_file(self.checkpoint)))
            self._teacher = freeze(network, self.dtype)
            self._teacher.whose = 'teacher.model'
        return self._teacher


def _model_of(model: Union[str, Dict[str, Any]]) -> Dict[str, Any]:
    """The config of a network, out of the config file that is named."""
    if isinstance(model, dict):
        return model
    found = read_config(find_config(model)).get('model')
    if not isinstance(found, dict) or 'type' not in found:
        raise ConfigError(f'{model}: has no model with a type, so it names no network that could teach')
    # stock configs have the network alone
    return found if 'estimator' in found else dict(type='FlowRefiner', estimator=found)

"""The registries of mmrefine, under the scope ``mmrefine``: children of MMEngine's, and some of our own.

A config names a part by its class name (``type='FlowRefiner'``); from another scope it is ``mmrefine.FlowRefiner``.
"""
from __future__ import annotations

import difflib
from typing import Any, Mapping

from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.registry import Registry, build_from_cfg

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.values import brief, check_values

__all__ = [
    'BALANCERS', 'DATASETS', 'DATA_SAMPLERS', 'DENSIFIERS', 'FILTERS', 'HOOKS', 'LABELERS', 'LABEL_JUDGES', 'LOOPS',
    'METRICS',
    'MODELS', 'OPTIM_WRAPPERS', 'QUERIES', 'TEACHERS', 'TEACHER_VIEWS', 'TRANSFORMS', 'WITNESSES'
]


def build_part(cfg: Any, registry: Registry, **more: Any) -> Any:
    """Build a part of stage 1 or of the guard; what it cannot be built from is a mistake in the config.

    Args:
        cfg: a dict with a ``type``.
        registry: where the type is looked up.
        more: for MMEngine.

    Raises:
        ConfigError: no such dict, no such type, values of another type than the class declares, or whatever makes its
            constructor fail.
    """
    registry.import_from_location()
    known = sorted(registry.module_dict)
    if not isinstance(cfg, (Mapping, Config)) or not cfg.get('type'):
        raise ConfigError(f'a {registry.name} must be a dict with a type, one of {", ".join(known)}, got {brief(cfg)}')
    given = cfg['type']
    part = registry.get(given) if isinstance(given, str) else given
    if not callable(part):
        near = difflib.get_close_matches(str(given), known, n=1)
        hint = f'did you mean {near[0]}?' if near else f'there are {", ".join(known)}'
        raise ConfigError(f'there is no {registry.name} {brief(given)}; {hint}')
    name = getattr(part, '__name__', str(part))
    settings = {key: value for key, value in cfg.items() if key not in ('type', '_scope_')}
    check_values(name, part, settings)
    try:
        return build_from_cfg(cfg if isinstance(cfg, (dict, Config)) else dict(cfg), registry, **more)
    except MMRefineError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ConfigError(f'the {registry.name} {name} cannot be built from {brief(settings, 200)} '
                          f'({type(error).__name__}: {" ".join(str(error).split())}); correct these values') from error


def _child_of_mmengine(name: str, part: str) -> Registry:
    """Ours beside MMEngine's registry of that name; what ``mmrefine.<part>`` registers is looked up here first."""
    parent = getattr(mmengine_registry, name)
    return Registry(parent.name, parent=parent, scope='mmrefine', locations=[f'mmrefine.{part}'])


def _own(name: str, part: str) -> Registry:
    """A registry that MMEngine does not have."""
    return Registry(name, build_func=build_part, scope='mmrefine', locations=[f'mmrefine.{part}'])


# networks, refiners (network + losses), losses, data preprocessors
MODELS = _child_of_mmengine('MODELS', 'models')
# frame pairs and benchmarks
DATASETS = _child_of_mmengine('DATASETS', 'datasets')
# order of the training draws
DATA_SAMPLERS = _child_of_mmengine('DATA_SAMPLERS', 'datasets')
# what happens to a frame pair between disk and model
TRANSFORMS = _child_of_mmengine('TRANSFORMS', 'datasets.transforms')
# stage 1: teacher output -> label
LABELERS = _own('labeler', 'labeling')
# stage 1: where tracks begin
QUERIES = _own('source of queries', 'labeling')
# stage 1: which motion may become a label
FILTERS = _own('filter', 'labeling')
# stage 1: how verified labels grow
DENSIFIERS = _own('densifier', 'labeling')
# stage 1: how much of its weight a label gives to which speed
BALANCERS = _own('balancer', 'labeling')
# stage 1: what judges the labels of a kind, under the name of the kind
LABEL_JUDGES = Registry('label judge', scope='mmrefine', locations=['mmrefine.engine'])
# stage 1: who labels
TEACHERS = _own('teacher', 'models')
# stage 1: what the teacher sees and the student does not
TEACHER_VIEWS = _own('teacher view', 'labeling')
# what the guard compares without truth
WITNESSES = _own('witnesses', 'engine')
# what a run consists of
HOOKS = _child_of_mmengine('HOOKS', 'engine')
LOOPS = _child_of_mmengine('LOOPS', 'engine')
OPTIM_WRAPPERS = _child_of_mmengine('OPTIM_WRAPPERS', 'engine')
METRICS = _child_of_mmengine('METRICS', 'evaluation')

# nothing of ours: without a child here, MMEngine warns that the scope `mmrefine` is unknown
for _name in ('LOG_PROCESSORS', 'MODEL_WRAPPERS', 'OPTIMIZERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS',
              'VISBACKENDS',
              'VISUALIZERS'):
    _child_of_mmengine(_name, 'engine')

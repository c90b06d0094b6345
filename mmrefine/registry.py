"""The registries of mmrefine: children of MMEngine's, under the scope ``mmrefine``.

A config names a part by its class name (``type='FlowRefiner'``); from another scope it is ``mmrefine.FlowRefiner``.
"""
from __future__ import annotations

import difflib
from typing import Any, Mapping

from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry, build_from_cfg

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.values import brief, check_values

__all__ = [
    'BALANCERS', 'DATASETS', 'DATA_SAMPLERS', 'DENSIFIERS', 'FILTERS', 'HOOKS', 'LABELERS', 'LABEL_JUDGES', 'LOOPS', 'METRICS',
    'MODELS', 'OPTIM_WRAPPERS', 'TEACHERS', 'TEACHER_VIEWS', 'TRANSFORMS', 'WITNESSES'
]


def build_part(cfg: Any, registry: Registry, **more: Any) -> Any:
    """Build a part of stage 1 or of the guard, and blame the config for what it cannot be built from.

    Args:
        cfg: a dict with a ``type``.
        registry: where the type is looked up.
        more: for MMEngine.

    Raises:
        ConfigError: no such dict, no such type, values of another type than the class declares, or whatever makes its constructor fail.
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
        raise ConfigError(f'the {registry.name} {name} cannot be built from {brief(settings, 200)} ({type(error).__name__}: '
                          f'{" ".join(str(error).split())}); correct these values') from error


# networks, refiners (network + losses), losses, data preprocessors
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='mmrefine', locations=['mmrefine.models'])
# frame pairs and benchmarks
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope='mmrefine', locations=['mmrefine.datasets'])
# order of the training draws
DATA_SAMPLERS = Registry(
    'data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='mmrefine', locations=['mmrefine.datasets'])
# what happens to a frame pair between disk and model
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='mmrefine',
    locations=['mmrefine.datasets.transforms'])
# stage 1: teacher output -> label
LABELERS = Registry('labeler', build_func=build_part, scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: which motion may become a label
FILTERS = Registry('filter', build_func=build_part, scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: how verified labels grow
DENSIFIERS = Registry('densifier', build_func=build_part, scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: how much of its weight a label gives to which speed
BALANCERS = Registry('balancer', build_func=build_part, scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: what judges the labels of a kind, under the name of the kind
LABEL_JUDGES = Registry('label judge', scope='mmrefine', locations=['mmrefine.engine'])
# stage 1: who labels
TEACHERS = Registry('teacher', build_func=build_part, scope='mmrefine', locations=['mmrefine.models'])
# stage 1: what the teacher sees and the student does not
TEACHER_VIEWS = Registry('teacher view', build_func=build_part, scope='mmrefine', locations=['mmrefine.labeling'])
# what the guard compares without truth
WITNESSES = Registry('witnesses', build_func=build_part, scope='mmrefine', locations=['mmrefine.engine'])
# where the parts meet
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='mmrefine', locations=['mmrefine.engine'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='mmrefine', locations=['mmrefine.engine'])
OPTIM_WRAPPERS = Registry(
    'optim wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='mmrefine',
    locations=['mmrefine.engine'])
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, scope='mmrefine', locations=['mmrefine.evaluation'])

# nothing of ours: without a child here, MMEngine warns that the scope `mmrefine` is unknown
LOG_PROCESSORS = Registry('log processor', parent=MMENGINE_LOG_PROCESSORS, scope='mmrefine', locations=['mmrefine.engine'])
MODEL_WRAPPERS = Registry('model_wrapper', parent=MMENGINE_MODEL_WRAPPERS, scope='mmrefine', locations=['mmrefine.engine'])
OPTIMIZERS = Registry('optimizer', parent=MMENGINE_OPTIMIZERS, scope='mmrefine', locations=['mmrefine.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, scope='mmrefine', locations=['mmrefine.engine'])
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=MMENGINE_PARAM_SCHEDULERS, scope='mmrefine', locations=['mmrefine.engine'])
VISBACKENDS = Registry('visualizer backend', parent=MMENGINE_VISBACKENDS, scope='mmrefine', locations=['mmrefine.engine'])
VISUALIZERS = Registry('visualizer', parent=MMENGINE_VISUALIZERS, scope='mmrefine', locations=['mmrefine.engine'])

"""The registries of mmrefine: children of MMEngine's, under the scope ``mmrefine``.

A config names a part by its class name (``type='FlowRefiner'``); from another scope it is ``mmrefine.FlowRefiner``.
"""
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
from mmengine.registry import Registry

__all__ = [
    'BALANCERS', 'DATASETS', 'DATA_SAMPLERS', 'DENSIFIERS', 'FILTERS', 'HOOKS', 'LABELERS', 'LOOPS', 'METRICS', 'MODELS',
    'OPTIM_WRAPPERS', 'TEACHER_VIEWS', 'TRANSFORMS'
]

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
LABELERS = Registry('labeler', scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: which motion may become a label
FILTERS = Registry('filter', scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: how verified labels grow
DENSIFIERS = Registry('densifier', scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: how much of its weight a label gives to which speed
BALANCERS = Registry('balancer', scope='mmrefine', locations=['mmrefine.labeling'])
# stage 1: what the teacher sees and the student does not
TEACHER_VIEWS = Registry('teacher view', scope='mmrefine', locations=['mmrefine.labeling'])
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

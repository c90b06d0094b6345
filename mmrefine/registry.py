"""The registries of mmrefine: children of MMEngine's, under the scope ``mmrefine``.

A config names a part by its class name (``type='FlowRefiner'``); from another scope it is ``mmrefine.FlowRefiner``.
"""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

__all__ = [
    'DATASETS', 'DATA_SAMPLERS', 'FILTERS', 'HOOKS', 'LABELERS', 'LOOPS', 'METRICS', 'MODELS',
    'TEACHER_VIEWS', 'TRANSFORMS'
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
# stage 1: what the teacher sees and the student does not
TEACHER_VIEWS = Registry('teacher view', scope='mmrefine', locations=['mmrefine.labeling'])
# where the parts meet
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='mmrefine', locations=['mmrefine.engine'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='mmrefine', locations=['mmrefine.engine'])
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, scope='mmrefine', locations=['mmrefine.evaluation'])

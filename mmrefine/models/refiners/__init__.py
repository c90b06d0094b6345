"""Networks that learn from labels with weights."""
from mmrefine.models.refiners.chained import ChainedFlow
from mmrefine.models.refiners.correspondence import CorrespondenceLearner
from mmrefine.models.refiners.estimators import build_estimator, estimator_state, load_estimator, meta_of
from mmrefine.models.refiners.flow import FlowRefiner
from mmrefine.models.refiners.random_start import RandomStart
from mmrefine.models.refiners.readout import FlowReadout, readout_for
from mmrefine.models.refiners.tracks import TrackRefiner

__all__ = [
    'ChainedFlow', 'CorrespondenceLearner', 'FlowReadout', 'FlowRefiner', 'RandomStart', 'TrackRefiner',
    'build_estimator', 'estimator_state', 'load_estimator', 'meta_of', 'readout_for'
]

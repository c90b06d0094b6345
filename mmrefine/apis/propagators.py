"""Which of the three ways labels and points take through a video, by what the network is."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

from mmrefine.errors import ConfigError
from mmrefine.fileio.digest import digest_of_state
from mmrefine.models import (ChainedFlow, CorrespondenceLearner, FeaturePropagator, FlowPropagator, TrackPropagator,
                             TrackRefiner)
from mmrefine.structures import FlowEstimator, StreamTracker, TrackEstimator
from mmrefine.structures.propagation import Propagator
from mmrefine.values import as_choice

WAYS = ('features', 'flow', 'tracks')

# what the confidence of a point is, by the way
CONFIDENCE = {
    'features': 'how much of the heat map of the point is still together, from 0 to 1',
    'flow': '1 as long as the motion of each step came back to where it began, then 0',
    'steps': '1 where a row of steps leads that each came back to where it began, else 0',
    'tracks': 'what the network says of whether the point is seen, from 0 to 1',
}


def confidence_of(network: Mapping[str, Any], way: str) -> str:
    """The key of :data:`CONFIDENCE` for a network, as it is described, on its way."""
    if not network.get('chained'):
        return way
    return 'steps' if 'steps' in network else 'flow'


def way_of(network: Any, by: Optional[str] = None) -> str:
    """The way that is named, else that of the network: features for one of correspondences, tracks for a tracker, flow
    for one that estimates flow.

    Raises:
        ConfigError: there is no such way, the network cannot go it, or it is only the name of one.
    """
    if isinstance(network, (str, Path)):
        raise ConfigError(f'model must be a network, got {str(network)!r}; open it with '
                          f'open_tracker({str(network)!r}) of mmrefine.apis')
    learner = isinstance(network, CorrespondenceLearner)
    default = 'features' if learner else 'tracks' if isinstance(network, TrackRefiner) else 'flow'
    way = default if by is None else as_choice('by', by, WAYS)
    able = dict(features=learner, flow=isinstance(network, FlowEstimator),
                tracks=isinstance(network, (StreamTracker, TrackEstimator)))
    if not able[way]:
        wanted = dict(features='that learned correspondences, such as the model corrflow',
                      flow='that estimates flow, such as the models raft_small and demo',
                      tracks='that follows points, as open_tracker() of mmrefine.apis opens it')
        raise ConfigError(f'propagation by {way} needs a network {wanted[way]}, got '
                          f'{type(getattr(network, "estimator", network)).__name__}; name another model, or another '
                          f'way (by: {", ".join(name for name in WAYS if able[name]) or "none fits"})')
    return way


def propagator_of(network: Any,
                  by: Optional[str] = None,
                  memory: Optional[int] = None,
                  most: Optional[int] = None,
                  hard: bool = False) -> Propagator:
    """What carries labels and points along.

    Args:
        network: of :func:`~mmrefine.apis.open_tracker` or :func:`~mmrefine.apis.init_model`.
        by: see :func:`way_of`.
        memory, most, hard: of :class:`~mmrefine.models.FeaturePropagator`, by features only. Default: as there.

    Raises:
        ConfigError: another way, one that the network cannot go, settings of features for another way, or a number out
            of range.
    """
    way = way_of(network, by)
    if way == 'features':
        return FeaturePropagator(network, network.radius, 0 if memory is None else memory, most, hard)
    given = [name for name, value in (('memory', memory), ('top-k', most), ('hard', hard or None)) if value is not None]
    if given:
        raise ConfigError(f'{" and ".join(given)} can be set for propagation by features only, and this is by {way}; '
                          'leave it out, or name a model that learned correspondences')
    if way == 'flow':
        return FlowPropagator(network, network.steps if isinstance(network, ChainedFlow) else None)
    return TrackPropagator(network)


def pairs_of(propagator: Propagator) -> Callable[[int], float]:
    """At how many pairs of frames a propagator looks in a video of so many frames, which is what takes the time."""
    return propagator.steps.pairs if isinstance(propagator, FlowPropagator) else float


def propagation_settings(network: Any, propagator: Propagator) -> Dict[str, Any]:
    """What decides over what is propagated, besides the frames and what is given; JSON-able."""
    found = dict(weights=digest_of_state(network.estimator.state_dict()),
                 network=dict(name=type(network.estimator).__name__, **network.describe()))
    if isinstance(propagator, FeaturePropagator):
        own = dict(by='features', memory=propagator.memory, top_k=propagator.most, hard=propagator.hard)
    elif isinstance(propagator, TrackPropagator):
        own = dict(by='tracks', step=propagator.step, nearest=propagator.nearest, seen=propagator.seen)
    else:
        own = dict(by='flow')
    return {**found, **own}

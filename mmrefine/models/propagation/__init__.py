"""Labels and points of some frames, carried through a video in three ways."""
from mmrefine.models.propagation.by_features import FeaturePropagator
from mmrefine.models.propagation.by_flow import FlowPropagator
from mmrefine.models.propagation.by_tracks import TrackPropagator
from mmrefine.models.propagation.carry import carry_labels
from mmrefine.models.propagation.clips import propagate_clip

__all__ = ['FeaturePropagator', 'FlowPropagator', 'TrackPropagator', 'carry_labels', 'propagate_clip']

"""The functions for users, in MMLab's manner. Each is imported when it is first used."""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrefine.apis.export import export_model
    from mmrefine.apis.flow import flow_of_video
    from mmrefine.apis.inference import inference_flow, init_model, label_pair
    from mmrefine.apis.named_models import open_model, open_tracker
    from mmrefine.apis.propagated_video import propagate_video
    from mmrefine.apis.propagation import propagate_masks, propagate_points
    from mmrefine.apis.runs import label_video, make_labels, refine, train
    from mmrefine.apis.track_inference import label_clip, track_video
    from mmrefine.apis.tracks import tracks_of_video

__all__ = [
    'export_model', 'flow_of_video', 'inference_flow', 'init_model', 'label_clip', 'label_pair', 'label_video',
    'make_labels', 'open_model', 'open_tracker', 'propagate_masks', 'propagate_points', 'propagate_video', 'refine',
    'track_video', 'tracks_of_video', 'train'
]

# the module of each
_HOMES = {
    'export_model': 'export',
    'flow_of_video': 'flow',
    'inference_flow': 'inference',
    'init_model': 'inference',
    'label_clip': 'track_inference',
    'label_pair': 'inference',
    'label_video': 'runs',
    'make_labels': 'runs',
    'open_model': 'named_models',
    'open_tracker': 'named_models',
    'propagate_masks': 'propagation',
    'propagate_points': 'propagation',
    'propagate_video': 'propagated_video',
    'refine': 'runs',
    'track_video': 'track_inference',
    'tracks_of_video': 'tracks',
    'train': 'runs',
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)
    globals()[name] = value
    return value

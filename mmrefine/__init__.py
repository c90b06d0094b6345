"""mmrefine: self-training for motion models, on MMEngine and MMFlow.

The functions of :mod:`mmrefine.apis` are here, too; each is imported when it is first used::

    import mmrefine
    report = mmrefine.refine('my.mp4', checkpoint='raft-small.pth', work_dir='refined')
    mmrefine.flow_of_video('my.mp4', checkpoint='refined/refined.pth', out='flow')
"""
from typing import TYPE_CHECKING, Any, List

from mmrefine.compat import setup_environment

if TYPE_CHECKING:
    from mmrefine.apis import (export_model, flow_of_video, inference_flow, init_model, label_clip, label_pair,
                               label_video, make_labels, open_model, open_tracker, propagate_masks, propagate_points,
                               propagate_video, refine, track_video, tracks_of_video, train)

__all__ = [
    '__version__', 'export_model', 'flow_of_video', 'inference_flow', 'init_model', 'label_clip', 'label_pair',
    'label_video', 'make_labels', 'open_model', 'open_tracker', 'propagate_masks', 'propagate_points',
    'propagate_video', 'refine', 'track_video', 'tracks_of_video', 'train'
]

__version__ = '0.1.0'

setup_environment()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    import mmrefine.apis as apis
    return getattr(apis, name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})

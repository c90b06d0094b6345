"""A few lines over the rest, in MMLab's manner. Nothing is imported before it is used."""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .inference import inference_flow, init_model, label_pair
    from .training import make_labels, refine, train

__all__ = ['inference_flow', 'init_model', 'label_pair', 'make_labels', 'refine', 'train']

# whose module is which
_HOMES = {
    'inference_flow': 'inference',
    'init_model': 'inference',
    'label_pair': 'inference',
    'make_labels': 'training',
    'refine': 'training',
    'train': 'training',
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)
    globals()[name] = value
    return value

"""Config values of transforms, checked when the transform is built and not in the middle of a training."""
from __future__ import annotations

from typing import Any, Tuple

from mmrefine.errors import ConfigError

__all__ = ['as_range', 'as_share', 'as_size', 'as_strength']


def as_share(name: str, value: Any) -> float:
    """A chance in [0, 1]; ``name`` is the config key for the message."""
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f'{name} must be a chance in [0, 1], got {value!r}')
    return float(value)


def as_strength(name: str, value: Any, highest: float) -> float:
    """The half-width of a uniform range, in [0, highest]."""
    if not isinstance(value, (int, float)) or not 0 <= value <= highest:
        raise ConfigError(f'{name} must lie in [0, {highest:g}], got {value!r}')
    return float(value)


def as_range(name: str, value: Any) -> Tuple[float, float]:
    """(lowest, highest) of a uniform draw."""
    try:
        lowest, highest = (float(end) for end in value)
    except (TypeError, ValueError):
        raise ConfigError(f'{name} must be (lowest, highest), got {value!r}') from None
    if not lowest <= highest:
        raise ConfigError(f'{name} must be (lowest, highest), got {value!r}')
    return lowest, highest


def as_size(name: str, value: Any) -> Tuple[int, int]:
    """``(height, width)`` px, each at least 2 so that a corner-to-corner distance exists."""
    if (isinstance(value, str) or not hasattr(value, '__len__') or len(value) != 2
            or not all(isinstance(side, int) and side >= 2 for side in value)):
        raise ConfigError(f'{name} must be (height, width) in px, each at least 2, got {value!r}')
    return value[0], value[1]

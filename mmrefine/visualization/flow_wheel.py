"""Motion as colour: the hue is the direction, the saturation is the length.

The wheel is that of Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011: red is right,
yellow down, cyan left and blue up, with more room where the eye sees more hues. We depart in two places: all pictures
of a sequence share ONE scale (a scale of its own for each picture makes equal motions look different), and motion
beyond the scale keeps the full colour instead of turning dark.
"""
from __future__ import annotations

from typing import Iterable, Optional

import numpy as np

# where on the wheel the pure colours lie, in 55ths of a turn: red, yellow, green, cyan, blue, magenta, and red again
TURN = 55
KNOTS = (0, 15, 21, 25, 36, 49, 55)
PURE = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], dtype=np.float64)
UNKNOWN_GREY = 64
LEAST_SCALE = 0.5


def wheel_colors(angle: np.ndarray) -> np.ndarray:
    """The pure colours ``(..., 3)`` in [0, 1] of directions in radians; 0 is right, pi / 2 is down the image."""
    position = np.mod(angle, 2 * np.pi) * (TURN / (2 * np.pi))
    return np.stack([np.interp(position, KNOTS, channel) for channel in PURE.T], axis=-1)


def flow_to_rgb(flow: np.ndarray, max_motion: float, valid: Optional[np.ndarray] = None) -> np.ndarray:
    """A flow as a picture.

    Args:
        flow: ``(H, W, 2)`` px, (x, y).
        max_motion: length in px at which the colour is full, > 0; see :func:`sequence_scale`.
        valid: bool ``(H, W)``, where the motion is known; it is unknown, too, where it is not finite.

    Returns:
        ``(H, W, 3)`` uint8 RGB: no motion is white, unknown motion dark grey.

    Raises:
        ValueError: another shape of flow, or a scale that is not positive.
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f'flow must be (H, W, 2), got {flow.shape}')
    if not (np.isfinite(max_motion) and max_motion > 0):
        raise ValueError(f'max_motion must be a positive number of px, got {max_motion}')
    known = np.isfinite(flow).all(axis=2)
    if valid is not None:
        known &= valid.astype(bool)
    motion = np.where(known[..., None], flow, 0).astype(np.float64)
    share = np.minimum(np.hypot(motion[..., 0], motion[..., 1]) / max_motion, 1)[..., None]
    colors = 1 - share * (1 - wheel_colors(np.arctan2(motion[..., 1], motion[..., 0])))
    rgb = np.round(255 * colors).astype(np.uint8)
    rgb[~known] = UNKNOWN_GREY
    return rgb


def sequence_scale(flows: Iterable[np.ndarray], percentile: float = 98) -> float:
    """The one ``max_motion`` for all pictures of a sequence: a high percentile of the lengths, px.

    Args:
        flows: flows ``(H, W, 2)`` px of the sequence, before and after alike; what is not finite is left out.
        percentile: in (0, 100]; below 100 a few wild vectors do not turn everything else pale.

    Returns:
        px; at least 0.5, so that the noise of a still scene stays pale.
    """
    lengths = [np.hypot(flow[..., 0], flow[..., 1]).ravel() for flow in flows]
    known = [values[np.isfinite(values)] for values in lengths]
    pooled = np.concatenate(known) if known else np.empty(0)
    return max(float(np.percentile(pooled, percentile)), LEAST_SCALE) if pooled.size else LEAST_SCALE


def draw_wheel(size: int) -> np.ndarray:
    """The legend: a disk ``(size, size, 3)`` uint8 RGB; each point shows the motion from the centre to it."""
    axis = (np.arange(size) - (size - 1) / 2) / max((size - 1) / 2, 0.5)
    x, y = np.meshgrid(axis, axis)
    rgb = flow_to_rgb(np.stack([x, y], axis=2), 1.)
    rgb[np.hypot(x, y) > 1] = 255
    return rgb

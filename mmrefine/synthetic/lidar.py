"""Where a laser scanner beside the camera would measure."""
from __future__ import annotations

import numpy as np

HIGHEST = 0.4  # of the frame height: nothing is measured above, as KITTI's scanner looks hardly above the horizon
_SPACING = 2.0  # px between two lines in the middle column
_FOCAL = 1.6  # of the frame height, that the lines are bent by
_LOST = 0.1  # share of the points of a line that nothing comes back from
_STREAM = 15  # of random numbers, which nothing else of a scene draws from


def scan_points(size: tuple, seed: int, frame: int) -> np.ndarray:
    """Pixels of a frame that a laser scanner measures: about a quarter of them, on lines, none in the upper part.

    A line is where one laser hits the picture: a hyperbola that runs further from the horizon at the left and the
    right, with gaps where nothing came back. KITTI's truth covers about as much.

    Args:
        size: frame ``(H, W)`` px.
        seed: of the clip; non-negative.
        frame: number of the frame in it; each has gaps of its own.

    Returns:
        bool ``(H, W)``.
    """
    h, w = size
    y, x = np.mgrid[:h, :w].astype(np.float64)
    top = np.ceil(HIGHEST * h)
    bend = np.hypot(1, (x - (w - 1) / 2) / (_FOCAL * h))
    line = np.floor((y - top) / (_SPACING * bend))
    above = np.floor((y - 1 - top) / (_SPACING * bend))
    rng = np.random.default_rng(np.random.SeedSequence((int(seed), _STREAM, int(frame))))
    return (y >= top) & (line != above) & (rng.uniform(size=(h, w)) >= _LOST)

"""Pure functions on pixels: flow and points are (x, y) in px, pixel centres at integers."""
from .cycle import cycle_consistent, cycle_error
from .grid import pixel_grid, resize, resize_flow, sample
from .pad import FramePad
from .warp import backwarp, lands_inside

__all__ = [
    'FramePad', 'backwarp', 'cycle_consistent', 'cycle_error', 'lands_inside', 'pixel_grid',
    'resize', 'resize_flow', 'sample'
]

"""Pure functions on pixels: flow and points are (x, y) in px, pixel centres at integers."""
from .color import color_residual
from .cycle import cycle_consistent, cycle_error, cycle_tolerance
from .grid import pixel_grid, resize, resize_flow, sample
from .pad import FramePad
from .warp import backwarp, landing_points, lands_inside

__all__ = [
    'FramePad', 'backwarp', 'color_residual', 'cycle_consistent', 'cycle_error', 'cycle_tolerance',
    'landing_points', 'lands_inside', 'pixel_grid', 'resize', 'resize_flow', 'sample'
]

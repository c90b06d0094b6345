"""Pure functions on pixels: flow and points are (x, y) in px, pixel centres at integers."""
from .census import census_residual
from .color import color_residual, lab, lab_residual, luma
from .cycle import cycle_consistent, cycle_error, cycle_tolerance
from .exposure import match_exposure, match_local_exposure
from .grid import pixel_grid, resize, resize_flow, sample
from .pad import FramePad
from .texture import texture_strength
from .warp import backwarp, landing_points, lands_inside
from .window import box_mean

__all__ = [
    'FramePad', 'backwarp', 'box_mean', 'census_residual', 'color_residual', 'cycle_consistent', 'cycle_error', 'cycle_tolerance',
    'lab', 'lab_residual', 'landing_points', 'lands_inside', 'luma', 'match_exposure', 'match_local_exposure', 'pixel_grid', 'resize',
    'resize_flow', 'sample', 'texture_strength'
]

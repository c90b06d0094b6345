"""Pure functions on pixels; flow and points are (x, y) in px, pixel centres at integers."""
from mmrefine.geometry.along_tracks import (carry_points, color_change, patch_mismatch, patches_along, points_come_back,
                                            points_inside, sample_along, track_speed)
from mmrefine.geometry.census import census_residual
from mmrefine.geometry.chain import (chain_error, compose, compose_all, composite_error, composite_tolerance,
                                     landing_claims)
from mmrefine.geometry.color import color_residual, lab, lab_residual, luma
from mmrefine.geometry.compression import jpeg_loss, jpeg_quality
from mmrefine.geometry.cycle import cycle_consistent, cycle_error, cycle_tolerance
from mmrefine.geometry.expected_error import expected_error
from mmrefine.geometry.exposure import match_exposure, match_local_exposure
from mmrefine.geometry.feature_change import feature_change
from mmrefine.geometry.grid import pixel_grid, resize, resize_flow, resize_points, sample, sample_scaled
from mmrefine.geometry.heat_maps import heat_maps, read_heat_maps
from mmrefine.geometry.known_clip import KnownClip, known_clip
from mmrefine.geometry.known_warp import SMALLEST_SIDE, KnownWarp, Patch, known_warp, random_warp
from mmrefine.geometry.label_maps import VOID, cell_coordinates, cells_of, fill_background, ids_of, one_hot, pixels_of
from mmrefine.geometry.local_registration import register_locally
from mmrefine.geometry.pad import FramePad
from mmrefine.geometry.query_windows import query_grid, query_windows
from mmrefine.geometry.random_motion import (Draws, Ellipse, Similarity, pieced_motion, random_ellipse,
                                             random_similarity, smooth_motion)
from mmrefine.geometry.range_map import range_map
from mmrefine.geometry.restricted_attention import copy_labels
from mmrefine.geometry.texture import texture_strength
from mmrefine.geometry.vectors import lengths
from mmrefine.geometry.warp import backwarp, landing_points, lands_inside
from mmrefine.geometry.window import box_mean

__all__ = [
    'Draws', 'Ellipse', 'FramePad', 'KnownClip', 'KnownWarp', 'Patch', 'SMALLEST_SIDE', 'Similarity', 'VOID',
    'backwarp', 'box_mean', 'carry_points', 'cell_coordinates', 'cells_of', 'census_residual', 'chain_error',
    'color_change', 'color_residual', 'compose', 'compose_all', 'composite_error', 'composite_tolerance', 'copy_labels',
    'cycle_consistent', 'cycle_error', 'cycle_tolerance', 'expected_error', 'feature_change', 'fill_background',
    'heat_maps', 'ids_of', 'jpeg_loss', 'jpeg_quality', 'known_clip', 'known_warp', 'lab', 'lab_residual',
    'landing_claims', 'landing_points', 'lands_inside', 'lengths', 'luma', 'match_exposure', 'match_local_exposure',
    'one_hot', 'patch_mismatch', 'patches_along', 'pieced_motion', 'pixel_grid', 'pixels_of', 'points_come_back',
    'points_inside', 'query_grid', 'query_windows', 'random_ellipse', 'random_similarity', 'random_warp',
    'range_map', 'read_heat_maps', 'register_locally', 'resize', 'resize_flow', 'resize_points', 'sample',
    'sample_along', 'sample_scaled', 'smooth_motion', 'texture_strength', 'track_speed',
]

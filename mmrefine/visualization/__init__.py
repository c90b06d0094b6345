"""Pictures of motion and of tracks."""
from mmrefine.visualization.flow_wheel import draw_wheel, flow_to_rgb, sequence_scale
from mmrefine.visualization.label_sheet import LabelRow, label_sheet
from mmrefine.visualization.mask_overlay import draw_masks
from mmrefine.visualization.motion_view import change_view, motion_view
from mmrefine.visualization.sheets import before_after_sheet, label_overlay
from mmrefine.visualization.track_panels import Trails, error_colors, error_scale, scaled, track_panel
from mmrefine.visualization.track_sheets import TrackRow, before_after_tracks, kept_and_dropped, track_label_sheet
from mmrefine.visualization.trails import draw_trails, trail_colors

__all__ = [
    'LabelRow', 'TrackRow', 'Trails', 'before_after_sheet', 'before_after_tracks', 'change_view', 'draw_masks',
    'draw_trails', 'draw_wheel', 'error_colors', 'error_scale', 'flow_to_rgb', 'kept_and_dropped', 'label_overlay',
    'label_sheet', 'motion_view', 'scaled', 'sequence_scale', 'track_label_sheet', 'track_panel', 'trail_colors'
]

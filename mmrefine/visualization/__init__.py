"""Pictures of motion and of tracks."""
from mmrefine.visualization.flow_wheel import draw_wheel, flow_to_rgb, sequence_scale
from mmrefine.visualization.label_sheet import LabelRow, label_sheet
from mmrefine.visualization.motion_view import change_view, motion_view
from mmrefine.visualization.sheets import before_after_sheet, label_overlay
from mmrefine.visualization.trails import draw_trails, trail_colors

__all__ = [
    'LabelRow', 'before_after_sheet', 'change_view', 'draw_trails', 'draw_wheel', 'flow_to_rgb', 'label_overlay',
    'label_sheet', 'motion_view', 'sequence_scale', 'trail_colors'
]

"""The rendered worlds, textured layers in motion and a road that is driven along, with exact labels."""
from mmrefine.synthetic.clip import RenderedClip, exact_motion, render_clip
from mmrefine.synthetic.folders import write_clips
from mmrefine.synthetic.lidar import scan_points
from mmrefine.synthetic.style import DRIVING, FAST, FOG, NIGHT, NOISE, SOURCE, STYLES, TARGET, WorldStyle
from mmrefine.synthetic.tracks import exact_tracks, random_queries

__all__ = [
    'DRIVING', 'FAST', 'FOG', 'NIGHT', 'NOISE', 'RenderedClip', 'SOURCE', 'STYLES', 'TARGET', 'WorldStyle',
    'exact_motion', 'exact_tracks', 'random_queries', 'render_clip', 'scan_points', 'write_clips'
]

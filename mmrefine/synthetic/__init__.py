"""The rendered world: textured layers in motion, with exact labels."""
from mmrefine.synthetic.clip import RenderedClip, exact_motion, render_clip
from mmrefine.synthetic.folders import write_clips
from mmrefine.synthetic.style import FAST, FOG, NIGHT, NOISE, SOURCE, STYLES, TARGET, WorldStyle
from mmrefine.synthetic.tracks import exact_tracks, random_queries

__all__ = [
    'FAST', 'FOG', 'NIGHT', 'NOISE', 'RenderedClip', 'SOURCE', 'STYLES', 'TARGET', 'WorldStyle', 'exact_motion',
    'exact_tracks', 'random_queries', 'render_clip', 'write_clips'
]

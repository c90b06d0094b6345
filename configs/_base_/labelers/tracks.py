# Tracks that come back, of textured points: there and back in two passes, at the size of the video and at twice that,
# of which each frame takes what speaks more for itself. The tolerance is that of Refine for CroHD.
labeler = dict(
    type='TrackLabeler',
    view=dict(type='ArbitratedTracks', scales=(1., 2.)),
    queries=dict(type='TextureQueries', count=512),
    filters=[dict(type='TrackCycleFilter', threshold=1.5), dict(type='TrackInsideFilter')])

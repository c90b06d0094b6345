# Ours for video: two passes as in cascade.py, and of a pair of one shot nothing dropped. A mask keeps what is easy;
# here a pixel counts by how far the second pass lies from the first, which is what the student has to learn. The guard
# says whether that made anything worse.
labeler = dict(
    type='FlowLabeler',
    view=dict(type='CascadeView', scales=(1., 2.), warm_start=True),
    filters=[dict(type='CutGuard')],  # across a cut the passes differ everywhere, and nothing of it is motion
    balance=dict(type='Novelty'),
    directions='both')

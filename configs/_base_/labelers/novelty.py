# Ours for video: two looks as in cascade.py, and nothing dropped. A mask keeps what is easy; here a pixel counts by how far the second look
# lies from the first, which is what the student has to learn. The guard answers for it that this made nothing worse.
labeler = dict(
    type='FlowLabeler',
    view=dict(type='CascadeView', scales=(1., 2.), warm_start=True),
    balance=dict(type='Novelty'),
    directions='both')

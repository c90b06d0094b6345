# Ours: the teacher makes two passes, the second at twice the size and from where the first ended; its motion is kept
# where it returns within 0.5 px + 1 % of its length. It sees more than the student, so there is something to learn.
labeler = dict(
    type='FlowLabeler',
    view=dict(type='CascadeView', scales=(1., 2.), warm_start=True),
    filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)],  # no unit, px
    directions='both')

# One pass at the size of the frames; kept is what passes the forward-backward check of UnFlow (Meister et al., 2018)
# and stays in the frame.
labeler = dict(
    type='FlowLabeler',
    view=dict(type='CascadeView', scales=(1., )),
    filters=[
        dict(type='CycleFilter', alpha=0.01, beta=0.5, form='squared', magnitude='warped'),  # no unit, px^2
        dict(type='InFrameFilter'),
    ],
    directions='both')

# Refine's labels as its reference code makes them: one pass, a tight cycle check, an exact match of colours.
labeler = dict(
    type='FlowLabeler',
    view=dict(type='CascadeView', scales=(1., )),
    filters=[
        dict(type='CycleFilter', alpha=0.002, beta=0.1, form='norm', magnitude='unwarped'),  # no unit, px
        dict(type='ColorFilter', tolerance=1.275),  # grey levels of 255; the code's 0.005 on frames in [-0.5, 0.5]
    ],
    directions='forward')

# CorrFlow (Lai and Xie, BMVC 2019) with all parts of its objective. Each can be switched off: bottleneck, sampling and
# warp by None, the window by radius=None, the cycle by leaving out its loss.
model = dict(
    type='CorrespondenceLearner',
    estimator=dict(type='mmrefine.CorrFlowEncoder'),
    radius=6,  # cells of 4 px each way, in training and in use
    bottleneck=dict(type='ChannelDropout', prob=0.7),
    colors=dict(type='ColorClasses'),  # the published ones; of your own: centroids='colors.json'
    # not CorrFlow's: with dict(type='CropWarp', shift=12.) the way back leads over frames that are cropped
    warp=None,
    losses=[
        dict(type='ColorClassLoss', sampling=dict(type='ScheduledSampling', start=0.9, end=0.6)),
        dict(type='CycleColorLoss', loss_weight=0.1),
    ])

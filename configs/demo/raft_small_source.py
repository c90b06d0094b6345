# Trains the demo teacher: RAFT-small on the rendered SOURCE style, whose motion is exact. README.md beside this file
# has the commands.
_base_ = ['../_base_/default_runtime.py', '../_base_/models/raft_small.py']

model = dict(
    train_iters=4,  # more of them cost most of a step; starts of every quality stand in for them
    test_iters=8,
    train_start=dict(type='RandomStart', prob=0.5),
    losses=[
        dict(type='MaskedSequenceLoss', gamma=0.8),
        # Without it the encoder needs thousands of steps to begin to match; the temperature keeps the correlation, and
        # with it the GRU, small. A network that matches is better finished without it: raft_small_finish.py.
        dict(type='ContrastiveFlowLoss', temperature=0.25),
    ],
    estimator=dict(
        cxt_encoder=dict(  # it has no norm, and a large first state would saturate the GRU
            init_cfg=dict(
                type='Kaiming', layer=['Conv2d'], mode='fan_out', nonlinearity='relu',
                override=dict(type='Xavier', name='conv2', gain=0.1, bias=0.1)))))
train_pipeline = [
    dict(type='LoadTruth'),
    # from a little smaller to 2.3 times larger: the teacher must be at home at twice a video's resolution
    dict(type='RandomScaleStretch', scale=(-0.25, 1.2), stretch=0.2, stretch_prob=0.8, prob=0.8, crop_size=(112, 160)),
    dict(type='RandomCrop', size=(112, 160)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.5, saturation=0.5, hue=0.1, asymmetric=0.1),
    dict(type='Eraser', prob=0.2, max_boxes=2, sides=(16, 40)),
    dict(type='SensorNoise', std=8., prob=0.7),
    dict(type='PackPair'),
]
train_dataloader = dict(
    batch_size=4,  # in each process
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        type='FramePairs',
        data_root='data/rendered/source/frames',
        truth_root='data/rendered/source/flow',
        seed='{randomness.seed}',
        pipeline=train_pipeline))
max_iters = 7000
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')  # no PseudoLabelHook: the truth is known
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=7e-4, weight_decay=1e-5, eps=1e-8),
    clip_grad=dict(max_norm=1.0))
# the rate stays where it is until the last 3000 steps, so any checkpoint of the long part can be finished by them
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(
        type='LinearLR', start_factor=1., end_factor=0.01, by_epoch=False, begin='{max_iters-3000}', end='{max_iters}'),
]
default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(interval=500, max_keep_ckpts=3))
randomness = dict(seed=125)

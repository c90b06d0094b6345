# Trains a small PIPs from random weights on the rendered source style, whose tracks are exact; README.md beside this
# file has the commands.
_base_ = ['../_base_/default_runtime.py', '../_base_/models/pips_small.py']

video = 'data/rendered/source'
model = dict(losses=[
    dict(type='TrackSequenceLoss', gamma=0.8),
    dict(type='ScoreMapLoss'),
    dict(type='VisibilityLoss', loss_weight=2.),
])
train_pipeline = [
    dict(type='LoadTrackTruth'),
    dict(type='RandomScaleStretch', scale=(-0.25, 0.8), stretch=0.2, stretch_prob=0.5, prob=0.8, crop_size=(96, 128)),
    dict(type='RandomCrop', size=(96, 128)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ClipDrift', prob=0.3, shift=1.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.4, saturation=0.4, hue=0.1, asymmetric=0.1),
    dict(type='ClipOcclude', prob=0.3, max_boxes=3, sides=(8, 40)),
    dict(type='ClipBlur', prob=0.1),
    dict(type='SensorNoise', std=8., prob=0.5),
    dict(type='SampleTracks', count=64),
    dict(type='PackClip'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        type='FrameClips',
        data_root='{video}/frames',
        truth_root='{video}/tracks',
        spacing=1,
        seed='{randomness.seed}',
        pipeline=train_pipeline))
max_iters = 6000
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')  # no PseudoLabelHook: the truth is known
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-4, weight_decay=1e-5, eps=1e-8),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='LinearLR', start_factor=1., end_factor=0.01, by_epoch=False, begin=300, end='{max_iters}'),
]
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=3))
randomness = dict(seed=125)

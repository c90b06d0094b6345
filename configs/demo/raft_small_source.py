# Trains the demo teacher, first half: RAFT-small from random weights on the rendered SOURCE look, whose motion is exact.
# Data: `python tools/render.py data/rendered/source --style source --seeds 1000 4000 --frames 2 --size 192 256`
_base_ = ['../_base_/default_runtime.py', '../_base_/models/raft_small.py']

model = dict(
    train_iters=6,
    test_iters=12,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.8)],
    feature_losses=[dict(type='ContrastiveFlowLoss')])  # without it the encoder needs thousands of steps to begin to match
train_pipeline = [
    dict(type='LoadTruth'),
    # from a little smaller to 1.5 times larger; the second half goes on to twice
    dict(type='RandomScaleStretch', scale=(-0.25, 0.6), stretch=0.2, stretch_prob=0.8, prob=0.8, crop_size=(112, 160)),
    dict(type='RandomCrop', size=(112, 160)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.16, asymmetric=0.2),
    dict(type='Eraser', prob=0.5, max_boxes=2, sides=(16, 40)),
    dict(type='PackPair'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        type='FramePairs',
        data_root='data/rendered/source/frames',
        truth_root='data/rendered/source/flow',
        pipeline=train_pipeline))
max_iters = 2500
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')  # no PseudoLabelHook: the truth is known
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-4, weight_decay=1e-5, eps=1e-8),
    clip_grad=dict(max_norm=1.0))
# the rate is still high at the end: the second half goes on from here
param_scheduler = dict(
    type='OneCycleLR', eta_max=4e-4, total_steps=8100, pct_start=0.05, anneal_strategy='linear', by_epoch=False)
default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(interval=500, max_keep_ckpts=3))
randomness = dict(seed=125)

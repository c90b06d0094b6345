# Trains a small PWC-Net on the rendered SOURCE style, whose motion is exact: a student, or a teacher, of another
# kind than RAFT, which cannot start from a flow. README.md beside this file has the commands.
_base_ = ['../_base_/models/pwcnet_small.py', '../_base_/default_runtime.py']

model = dict(
    _delete_=True, type='FlowRefiner', estimator={{_base_.model}}, losses=[dict(type='MaskedPyramidLoss')])
train_pipeline = [
    dict(type='LoadTruth'),
    dict(type='RandomScaleStretch', scale=(-0.2, 0.6), stretch=0.2, stretch_prob=0.8, prob=0.8, crop_size=(128, 192)),
    dict(type='RandomCrop', size=(128, 192)),  # px, multiples of 64
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.5, saturation=0.5, hue=0.1, asymmetric=0.1),
    dict(type='SensorNoise', std=8., prob=0.7),
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
        seed='{randomness.seed}',
        pipeline=train_pipeline))
max_iters = 5000
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')  # no PseudoLabelHook: the truth is known
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=6e-4, weight_decay=4e-4), clip_grad=dict(max_norm=1.0))
param_scheduler = dict(
    type='OneCycleLR', eta_max='{optim_wrapper.optimizer.lr}', total_steps='{max_iters+5}', pct_start=0.1,
    anneal_strategy='cos', by_epoch=False)
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(interval=500, max_keep_ckpts=2))
randomness = dict(_delete_=True, seed=125)  # not the seed of the stock config

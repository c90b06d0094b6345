# Refines the demo teacher on unlabelled videos of the rendered TARGET style; `make demo` renders them and runs this.
_base_ = ['../_base_/default_runtime.py', '../_base_/models/raft_small.py']

video = 'work_dirs/demo/videos/refined'  # folder of scenes; overridable: --cfg-options video=…
unseen = 'work_dirs/demo/videos/unseen'
model = dict(train_iters=4, test_iters=8, losses=[dict(type='MaskedSequenceLoss', gamma=0.85)])
load_from = 'configs/demo/raft_small_source.pth'

relabel = 'once'
held_out = 0.15  # of the videos, six of 40, for the guard; fewer prove nothing if they differ
labeler = dict(
    type='FlowLabeler',
    view=dict(type='ArbitratedView'),  # four passes, weighted without ground truth
    balance=dict(type='Novelty'),  # the student learns most where one pass is wrong; a mask would drop most of that
    directions='both')
train_pipeline = [
    dict(type='LoadLabel'),
    dict(type='SelfWarp', prob=0.3, max_motion=10., noise=3.),
    dict(type='RandomCrop', size=(96, 160)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.2),
    dict(type='Eraser', prob=0.5, max_boxes=2, sides=(16, 40)),
    dict(type='PackPair'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        type='FramePairs',
        data_root='{video}/frames',
        held_out='{held_out}',
        directions='{labeler.directions}',
        seed='{randomness.seed}',
        pipeline='{train_pipeline}'))
max_iters = 1550
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')
optim_wrapper = dict(
    type='BFloat16OptimWrapper', precision='auto', optimizer=dict(type='AdamW', lr=8e-4, weight_decay=1e-4, eps=1e-8),
    clip_grad=dict(max_norm=5.0))
param_scheduler = dict(
    type='OneCycleLR', eta_max=8e-4, total_steps='{max_iters+5}', pct_start=0.1, anneal_strategy='linear',
    by_epoch=False)

judge_pipeline = [dict(type='LoadTruth'), dict(type='PackPair')]
custom_hooks = [
    dict(type='PseudoLabelHook', dataset=dict(type='FramePairs', data_root='{video}/frames', held_out='{held_out}'),
         labeler='{labeler}', relabel='{relabel}'),
    dict(
        type='RegressionGuardHook',
        dataset=dict(type='FramePairs', data_root='{video}/frames', held_out='{held_out}', held=True),
        steps=(0.5, 1.)),
    dict(
        type='ReportHook',
        batch_size=4,
        groups=dict(
            refined=dict(
                type='FramePairs', data_root='{video}/frames', truth_root='{video}/flow', pipeline=judge_pipeline),
            unseen=dict(
                type='FramePairs', data_root='{unseen}/frames', truth_root='{unseen}/flow', pipeline=judge_pipeline))),
]
randomness = dict(seed=125)

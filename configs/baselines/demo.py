# The demo network finetuned without labels on the rendered videos of the TARGET style that ../demo/raft_small_target.py
# labels: warping and smoothness, the same steps, as many directed pairs in each. `make demo` renders the videos.
_base_ = ['../demo/raft_small_target.py']

model = dict(losses=[
    dict(type='PhotometricLoss', residual='color', occlusion='cycle', gamma=0.8, loss_weight=1.0),
    dict(type='SmoothnessLoss', order=1, edge=150., gamma=0.8, loss_weight=0.1),
])
train_pipeline = [
    dict(type='KeepWholeFrames'),
    dict(type='RandomCrop', size=(96, 160)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.2),
    dict(type='Eraser', prob=0.5, max_boxes=2, sides=(16, 40)),
    dict(type='PackPair'),
]
train_dataloader = dict(batch_size=2, dataset=dict(directions='forward'))
judge_pipeline = [dict(type='LoadTruth'), dict(type='PackPair')]
custom_hooks = [  # no PseudoLabelHook: there are no labels
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

# The official RAFT-small finetuned on your own video without any label: colours must fit, motion must be smooth.
# --cfg-options video=…. `mmrefine refine VIDEO --recipe warp` does the same with any network.
_base_ = [
    '../_base_/models/raft_small.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(train_iters=8, losses=[  # their sources are in raft_warp_smooth.py
    dict(type='PhotometricLoss', residual='color', occlusion='cycle', occlusion_from=0, gamma=0.8, loss_weight=1.0),
    dict(type='SmoothnessLoss', order=1, edge=150., gamma=0.8, loss_weight=0.1),
])
batch_size = 1  # frame pair; both directions of it are learned from
train_pipeline = [
    dict(type='KeepWholeFrames'),  # the losses compare these, with the colours of the video
    dict(type='RandomCrop', size='{crop_size}', fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.2),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(directions='forward'))
custom_hooks = [  # no PseudoLabelHook: there are no labels
    dict(type='RegressionGuardHook', dataset='{guard_data}'),
    dict(type='ReportHook', groups='{report_groups}'),
]
optim_wrapper = dict(optimizer=dict(lr=4e-4))  # that of ../refine/raft_small_video.py
param_scheduler = dict(total_steps='{max_iters+5}')  # ends near 0
# python tools/convert_checkpoint.py raft-small.pth checkpoints/raft-small-mmrefine.pth
load_from = 'checkpoints/raft-small-mmrefine.pth'
randomness = dict(seed=125)

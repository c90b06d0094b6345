# The official RAFT-small finetuned on your own video without any label: colours must fit, motion must be smooth.
# --cfg-options video=….
_base_ = [
    '../_base_/models/raft_small.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
# terms, weights and decay: Stone et al., SMURF, CVPR 2021, for Sintel
model = dict(losses=[
    dict(type='PhotometricLoss', residual='census', occlusion=None, gamma=0.8, loss_weight=1.0),
    dict(type='SmoothnessLoss', order=1, edge=150., gamma=0.8, loss_weight=2.5),
])
batch_size = 1  # frame pairs; census keeps 49 values a pixel for each of the 12 iterations
train_pipeline = [  # whatever changes one frame and not the other would be taken for motion
    dict(type='RandomCrop', size='{crop_size}', fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(directions='both'))
custom_hooks = [  # no PseudoLabelHook: there are no labels
    dict(type='RegressionGuardHook', dataset='{guard_data}'),
    dict(type='ReportHook', groups='{report_groups}'),
]
# python tools/convert_checkpoint.py raft-small.pth checkpoints/raft-small-mmrefine.pth
load_from = 'checkpoints/raft-small-mmrefine.pth'
randomness = dict(seed=125)

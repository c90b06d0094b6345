# RAFT (trained on FlyingChairs and FlyingThings3D) finetuned on Sintel without labels: colours must fit, motion must be
# smooth. The rival of ../refine/raft_sintel.py: the same network, frames and steps, as many directed pairs in each.
_base_ = [
    'mmflow::_base_/models/raft.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=32,
    test_iters=32,
    losses=[
        # Penalty and check of occlusion: Meister et al., UnFlow, AAAI 2018. From random weights every round trip fails
        # at first; SMURF then begins with this check at step 25000 of 75000.
        dict(type='PhotometricLoss', residual='color', occlusion='cycle', occlusion_from=0, gamma=0.8, loss_weight=1.0),
        # SMURF's for Sintel, 2.5, by 25, as colours differ by a 25th of what its census counts
        dict(type='SmoothnessLoss', order=1, edge=150., gamma=0.8, loss_weight=0.1),
    ])
batch_size = 6  # frame pairs; both directions of each are learned from
train_pipeline = [
    dict(type='KeepWholeFrames'),  # the losses compare these, with the colours of the video
    dict(type='RandomCrop', size='{crop_size}'),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5 / 3.14, asymmetric=0.2),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(directions='forward'))
custom_hooks = [  # no PseudoLabelHook: there are no labels
    dict(type='RegressionGuardHook', dataset='{guard_data}'),
    dict(type='ReportHook', groups='{report_groups}'),
]
# https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_flyingthings3d_400x720.pth
load_from = 'checkpoints/raft_8x2_100k_flyingthings3d_400x720.pth'
randomness = dict(seed=125)

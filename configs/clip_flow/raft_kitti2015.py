# CLIP-FLow (Zhang et al., 2022): RAFT (trained on FlyingChairs and FlyingThings3D) learns from the truth of KITTI 2015
# and from labels of the unlabelled frames of its multi-view extension. README.md beside this file says what is theirs.
_base_ = [
    'mmflow::_base_/models/raft.py',
    '../_base_/labelers/unflow.py',
    '../_base_/datasets/kitti2015_mixed.py',
    '../_base_/schedules/clip_flow_50k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=12,
    test_iters=24,
    losses=[
        dict(type='MaskedSequenceLoss', gamma=0.85),
        dict(type='ContrastiveFlowLoss', mode='sampled', loss_weight=0.1),
    ])
# https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_flyingthings3d_400x720.pth
load_from = 'checkpoints/raft_8x2_100k_flyingthings3d_400x720.pth'
randomness = dict(seed=125)

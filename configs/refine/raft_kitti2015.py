# RAFT (trained on FlyingChairs and FlyingThings3D) refined on KITTI 2015.
_base_ = [
    'mmflow::_base_/models/raft.py',
    '../_base_/labelers/cascade.py',
    '../_base_/datasets/kitti2015.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=24,
    test_iters=24,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.85)])
# https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_flyingthings3d_400x720.pth
load_from = 'checkpoints/raft_8x2_100k_flyingthings3d_400x720.pth'
randomness = dict(seed=125)

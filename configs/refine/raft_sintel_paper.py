# Refine as its reference code runs it: the labels of the paper, batch norm not frozen. Its bugs are not reproduced.
_base_ = [
    'mmflow::_base_/models/raft.py',
    '../_base_/labelers/paper.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=32,
    test_iters=32,
    freeze_bn=False,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.85)])
# https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_flyingthings3d_400x720.pth
load_from = 'checkpoints/raft_8x2_100k_flyingthings3d_400x720.pth'
randomness = dict(seed=125)

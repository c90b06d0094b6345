# raft_kitti2015.py with CRAFT, the other network of the paper: from the weights of its authors that learned on
# FlyingChairs and FlyingThings3D, at their rate for KITTI.
_base_ = [
    '../_base_/models/craft.py',
    '../_base_/labelers/unflow.py',
    '../_base_/datasets/kitti2015_mixed.py',
    '../_base_/schedules/clip_flow_50k.py',
]
model = dict(
    train_iters=12,
    test_iters=24,
    losses=[
        dict(type='MaskedSequenceLoss', gamma=0.85),
        dict(type='ContrastiveFlowLoss', mode='sampled', loss_weight=0.1),
    ])
optim_wrapper = dict(optimizer=dict(lr=1.25e-4))
# of the authors, taken as it is: https://github.com/askerlee/craft
load_from = 'checkpoints/craft-things.pth'
randomness = dict(seed=125)

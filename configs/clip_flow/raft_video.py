# CLIP-FLow (Zhang et al., 2022) on your own data: RAFT (trained on a mix of data sets) learns from pairs with ground
# truth and from labels of your videos. --cfg-options video=… labelled=….
_base_ = [
    'mmflow::_base_/models/raft.py',
    '../_base_/labelers/unflow.py',
    '../_base_/datasets/video_mixed.py',
    '../_base_/schedules/clip_flow_50k.py',
]
max_iters = 3000
batch_size = 4
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=12,
    test_iters=32,
    losses=[
        dict(type='MaskedSequenceLoss', gamma=0.85),
        dict(type='ContrastiveFlowLoss', mode='sampled', loss_weight=0.1),
    ])
# https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_mixed_368x768.pth
load_from = 'checkpoints/raft_8x2_100k_mixed_368x768.pth'
randomness = dict(seed=125)

# RAFT (trained on a mix of data sets) refined on your own video: --cfg-options video=….
_base_ = [
    'mmflow::_base_/models/raft.py',
    '../_base_/labelers/novelty.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=12,
    test_iters=32,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.85)])
batch_size = 4
# https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_mixed_368x768.pth
load_from = 'checkpoints/raft_8x2_100k_mixed_368x768.pth'
randomness = dict(seed=125)

# raft_video.py with CRAFT, from the weights of its authors that learned on a mix of data sets.
# --cfg-options video=… labelled=….
_base_ = [
    '../_base_/models/craft.py',
    '../_base_/labelers/unflow.py',
    '../_base_/datasets/video_mixed.py',
    '../_base_/schedules/clip_flow_50k.py',
]
max_iters = 3000
batch_size = 4
model = dict(
    train_iters=12,
    test_iters=32,
    losses=[
        dict(type='MaskedSequenceLoss', gamma=0.85),
        dict(type='ContrastiveFlowLoss', mode='sampled', loss_weight=0.1),
    ])
# of the authors, taken as it is: https://github.com/askerlee/craft
load_from = 'checkpoints/craft-sintel.pth'
randomness = dict(seed=125)

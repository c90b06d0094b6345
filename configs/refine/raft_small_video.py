# The official RAFT-small refined on your own video: --cfg-options video=….
_base_ = [
    '../_base_/models/raft_small.py',
    '../_base_/labelers/novelty.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
# with half of the pairs and eight iterations in place of twelve a step takes half of the time, and the network gains
# as much in as many steps, or nearly so: docs/speed.md
model = dict(train_iters=8)
batch_size = 2
optim_wrapper = dict(optimizer=dict(lr=4e-4))  # four times the reference's, which refines a large network
param_scheduler = dict(total_steps='{max_iters+5}')  # ends near 0
# python tools/convert_checkpoint.py raft-small.pth checkpoints/raft-small-mmrefine.pth
load_from = 'checkpoints/raft-small-mmrefine.pth'
randomness = dict(seed=125)

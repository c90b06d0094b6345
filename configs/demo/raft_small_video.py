# Refines the demo network on your own video: `mmrefine refine VIDEO --model demo`. It was trained on rendered video
# only.
_base_ = [
    '../_base_/models/raft_small.py',
    '../_base_/labelers/novelty.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
# four iterations teach as much as five for a tenth less time: docs/speed.md, "What teaches most in the same time"
model = dict(train_iters=4, test_iters=8)
max_iters = 200
batch_size = 4
num_workers = 0
load_from = 'configs/demo/raft_small_source.pth'
randomness = dict(seed=125)

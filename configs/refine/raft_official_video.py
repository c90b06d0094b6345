# The official RAFT refined on your own video: --cfg-options video=….
_base_ = [
    '../_base_/models/raft_official.py',
    '../_base_/labelers/novelty.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
batch_size = 4
# python tools/convert_checkpoint.py raft-things.pth checkpoints/raft-things-mmrefine.pth
load_from = 'checkpoints/raft-things-mmrefine.pth'
randomness = dict(seed=125)

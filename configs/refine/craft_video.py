# CRAFT refined on your own video: --cfg-options video=….
_base_ = [
    '../_base_/models/craft.py',
    '../_base_/labelers/novelty.py',
    '../_base_/datasets/video.py',
    '../_base_/schedules/refine_1k.py',
]
batch_size = 4
# of the authors, taken as it is: https://github.com/askerlee/craft
load_from = 'checkpoints/craft-sintel.pth'
randomness = dict(seed=125)

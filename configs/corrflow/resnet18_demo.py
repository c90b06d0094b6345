# CorrFlow from random weights on rendered video, in minutes on a CPU; README.md beside this file has the commands.
_base_ = [
    '../_base_/models/corrflow_resnet18.py',
    '../_base_/datasets/corrflow_video.py',
    '../_base_/schedules/corrflow_short.py',
]
video = 'work_dirs/corrflow/rendered/train/frames'
crop_size = (96, 96)  # px
stride = (1, 2)
batch_size = 4
num_workers = 0
max_iters = 600
default_hooks = dict(checkpoint=dict(interval=100))
randomness = dict(seed=125)

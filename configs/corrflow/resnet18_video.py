# CorrFlow goes on learning on your own video, without labels: --cfg-options video=… load_from=….
_base_ = [
    '../_base_/models/corrflow_resnet18.py',
    '../_base_/datasets/corrflow_video.py',
    '../_base_/schedules/corrflow_short.py',
]
crop_size = (256, 256)  # px
stride = (1, 2)
batch_size = 2
max_iters = 500
optim_wrapper = dict(optimizer=dict(lr=5e-5))
default_hooks = dict(checkpoint=dict(interval=100))
load_from = 'checkpoints/corrflow_resnet18.pth'  # refined.pth of one of the configs beside this file
randomness = dict(seed=125)

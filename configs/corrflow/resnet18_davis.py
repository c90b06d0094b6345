# CorrFlow from random weights on a few videos, such as the training sequences of DAVIS, small enough for a CPU:
# data/davis_train/<sequence>/00000.jpg. Copy or link the sequences that may be learned from there.
_base_ = [
    '../_base_/models/corrflow_resnet18.py',
    '../_base_/datasets/corrflow_video.py',
    '../_base_/schedules/corrflow_short.py',
]
video = 'data/davis_train'
frame_size = (256, 256)  # (height, width) px that frames are brought to, whatever their aspect, as in the paper
crop_size = (128, 128)  # px; a step takes about a quarter of the time that whole frames take
stride = (1, 2, 4)
batch_size = 4
max_iters = 6000
train_dataset = dict(reading=dict(resize='{frame_size}'))
randomness = dict(seed=125)

# Trains the demo teacher, second half: the same data up to 1.7 times larger, so that the teacher is at home at twice a video's size;
# 8 pairs a step (two processes of 4), milder colours.
# First half: `python tools/train.py configs/demo/raft_small_source.py`
_base_ = 'raft_small_source.py'

load_from = 'work_dirs/raft_small_source/refined.pth'
model = dict(train_iters=5)
train_pipeline = [
    dict(type='LoadTruth'),
    dict(type='RandomScaleStretch', scale=(-0.25, 0.8), stretch=0.2, stretch_prob=0.8, prob=0.8, crop_size=(112, 160)),
    dict(type='RandomCrop', size=(112, 160)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1, asymmetric=0.1),
    dict(type='Eraser', prob=0.2, max_boxes=2, sides=(16, 40)),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
max_iters = 5500
param_scheduler = dict(total_steps=5600, pct_start=0.02)
randomness = dict(seed=126)  # other draws than in the first half

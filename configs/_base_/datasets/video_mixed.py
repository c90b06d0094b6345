# Your own pairs with ground truth, and your own video without. A config adds `max_iters` and `batch_size`.
_base_ = 'mixed.py'

video = None  # a video file, a folder of frames, or a folder of such folders and files
labelled = None  # a folder in the layout of KITTI, Sintel, FlyingChairs or tools/render.py, see LabelledPairs
crop_size = (256, 512)  # (height, width) px; smaller frames are enlarged
held_out = 0.15  # share of the video that the guard keeps back to judge with; 0: no guard
least_held = 12  # frame pairs that are kept back if they are at most 40 % of the video; the guard needs 6 or more

__labelled = dict(type='LabelledPairs', data_root='{labelled}')
__unlabelled = dict(type='FramePairs', data_root='{video}', least_held='{least_held}')
label_data = __unlabelled
guard_data = __unlabelled
# RAFT's
__augmented = [
    dict(type='RandomScaleStretch', scale=(-0.2, 0.6), stretch=0.2, prob=0.8, crop_size='{crop_size}'),
    dict(type='RandomCrop', size='{crop_size}'),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5 / 3.14, asymmetric=0.2),
    dict(type='Eraser', prob=0.5, max_boxes=2, sides=(50, 100)),  # px
    dict(type='PackPair'),
]
labelled_pipeline = [dict(type='LoadTruth'), *__augmented]
train_pipeline = [dict(type='LoadLabel'), *__augmented]
train_dataloader = dict(dataset=dict(parts=dict(labelled=__labelled, unlabelled=__unlabelled)))
# without ground truth: does the motion come back, do the colours fit
report_groups = dict(refined=dict(pipeline=[dict(type='PackPair')], **__unlabelled))

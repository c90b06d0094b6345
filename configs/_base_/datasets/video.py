# Your own: a video file, a folder of frames, or a folder of such folders and files (one for each scene).
_base_ = 'pairs.py'

video = None  # --cfg-options video=…
crop_size = (256, 512)  # (height, width) px; less where the smallest frame is smaller
held_out = 0.15  # share of the video that the guard keeps back to judge with; 0: no guard

least_held = 12  # frame pairs that are kept back if they are at most 40 % of the video; the guard needs 6 or more

__pairs = dict(type='FramePairs', data_root='{video}', least_held='{least_held}')
label_data = __pairs
guard_data = __pairs
train_pipeline = [
    dict(type='LoadLabel'),
    # a pair of one frame moved by a known flow, now and then: keeps the precision on pixels that are easy
    dict(type='SelfWarp', prob=0.15),
    dict(type='RandomCrop', size='{crop_size}', fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    # half of the reference's: one video has one light
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.2),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=__pairs)
# without ground truth: does the motion come back, do the colours fit
report_groups = dict(refined=dict(pipeline=[dict(type='PackPair')], **__pairs))

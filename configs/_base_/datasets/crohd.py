# CroHD, https://motchallenge.net/data/Head_Tracking_21: data/CroHD/HT21/train/<scene>/img1/000001.jpg,
# data/CroHD/HT21Labels/train/<scene>/gt/gt.txt.
_base_ = 'benchmark_clips.py'

data_root = 'data/CroHD'
frame_size = (768, 1280)  # (height, width) px
crop_size = (512, 848)  # px of frames that are two thirds as large, which is 512x853

__frames = dict(type='CroHDFrames', data_root='{data_root}')  # 8 frames, every third one
label_data = __frames
guard_data = __frames
train_pipeline = [
    dict(type='LoadTracks'),
    # to two thirds, as in Refine
    dict(type='RandomScaleStretch', scale=(-0.585, -0.585), stretch=0., prob=1., crop_size='{crop_size}'),
    dict(type='RandomCrop', size='{crop_size}'),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ClipDrift', prob=0.5, shift=1.5),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.),
    dict(type='ClipOcclude', prob=0.3, max_boxes=3, sides=(8, 60)),
    dict(type='ClipBlur', prob=0.1),
    dict(type='SampleTracks', count='{tracks}'),
    dict(type='PackClip'),
]
train_dataloader = dict(dataset=__frames)
# the two columns of the tables: heads that are always visible, and those that are hidden now and then
report_groups = dict(
    refined=dict(type='CroHDClips', data_root='{data_root}', column='vis', scenes='{scene}', resize='{frame_size}'),
    occluded=dict(type='CroHDClips', data_root='{data_root}', column='occ', scenes='{scene}', resize='{frame_size}'))

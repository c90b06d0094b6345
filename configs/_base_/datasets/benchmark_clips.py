# What the benchmarks of tracks share. Each of them adds the class and the folder of its clips, and the groups that are
# reported.
scene = 'all'  # one model for all scenes; 'each': one model for each scene; or the name of a scene
frame_size = None  # (height, width) px of the frames that are labelled and judged
held_out = 0.  # the protocol of the paper refines on all frames; a share above 0 is kept back for the guard
least_held = 0  # clips that are kept back if they are at most 40 % of the video; the guard needs 6 or more
tracks = 128  # that a step learns from, of each clip

label_data = dict(scenes='{scene}', held_out='{held_out}', least_held='{least_held}',
                  reading=dict(resize='{frame_size}'))
guard_data = dict(scenes='{scene}', held_out='{held_out}', least_held='{least_held}', held=True,
                  reading=dict(resize='{frame_size}'))
# the released code of Refine augments no tracks, its paper does
train_pipeline = [
    dict(type='LoadTracks'),
    dict(type='RandomCrop', size='{crop_size}', fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ClipDrift', prob=0.5, shift=1.5),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.),
    dict(type='ClipOcclude', prob=0.3, max_boxes=3, sides=(8, 60)),
    dict(type='ClipBlur', prob=0.1),
    dict(type='SampleTracks', count='{tracks}'),
    dict(type='PackClip'),
]
train_dataloader = dict(
    batch_size='{batch_size}',
    num_workers='{num_workers}',
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        scenes='{scene}',
        held_out='{held_out}',
        least_held='{least_held}',
        reading=dict(resize='{frame_size}'),
        seed='{randomness.seed}',
        pipeline='{train_pipeline}'))

# Clips of your own: a video file, a folder of frames, or a folder of such folders and files (one for each scene).
video = None  # --cfg-options video=…
scene = 'all'  # one model for all scenes; 'each': one model for each scene; or the name of a scene
crop_size = (256, 448)  # (height, width) px; less where the smallest frame is smaller
frames = 8  # of a clip, as many as the network sees at once
stride = (1, 2)  # frames from one frame of a clip to the next; clips of each, so that motion is fast, too
spacing = 4  # frames from the beginning of one clip to that of the next
held_out = 0.15  # share of the video that the guard keeps back to judge with; 0: no guard
least_held = 12  # clips that are kept back if they are at most 40 % of the video; the guard needs 6 or more
tracks = 128  # that a step learns from, of each clip

__clips = dict(type='FrameClips', data_root='{video}', scenes='{scene}', frames='{frames}', stride='{stride}',
               spacing='{spacing}', held_out='{held_out}', least_held='{least_held}')
label_data = __clips
guard_data = dict(held=True, **__clips)
train_pipeline = [
    dict(type='LoadTracks'),
    dict(type='RandomCrop', size='{crop_size}', fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    # motion that the teacher has not seen
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
    dataset=dict(seed='{randomness.seed}', pipeline='{train_pipeline}', **__clips))
# without ground truth: do the tracks come back, do they keep their colours
report_groups = dict(refined=dict(
    type='FrameClips', data_root='{video}', scenes='{scene}', frames='{frames}', pipeline=[dict(type='PackClip')]))

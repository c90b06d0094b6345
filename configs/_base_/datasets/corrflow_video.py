# Clips of your own videos to learn colours from: a video file, a folder of frames, or a folder of such folders and
# files (one for each scene).
video = None  # --cfg-options video=…
scene = 'all'  # one model for all scenes; 'each': one model for each scene; or the name of a scene
crop_size = (128, 128)  # (height, width) px, multiples of 4; less where the smallest frame is smaller
frames = 3  # of a clip
stride = 4  # frames from one frame of a clip to the next; or several numbers
spacing = 1  # frames from the beginning of one clip to that of the next

train_pipeline = [
    dict(type='RandomCrop', size='{crop_size}', fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.),
    # one clip in ten, each frame by itself; the colours to be found are those before it
    dict(type='ColorJitter', brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1, asymmetric=1., prob=0.1,
         keep_plain=True),
    dict(type='PackClip'),
]
train_dataset = dict(
    type='FrameClips',
    data_root='{video}',
    scenes='{scene}',
    frames='{frames}',
    stride='{stride}',
    spacing='{spacing}',
    seed='{randomness.seed}',
    pipeline='{train_pipeline}')

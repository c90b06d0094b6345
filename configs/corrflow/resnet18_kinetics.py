# CorrFlow on Kinetics, as in the paper: data/kinetics/<class>/<video>/image_00001.jpg, decoded at one rate, and
# data/kinetics.csv with a line `<class>/<video>,<number of frames>` for each video.
_base_ = ['../_base_/models/corrflow_resnet18.py', '../_base_/schedules/corrflow_1m.py']

data_root = 'data/kinetics'
list_file = 'data/kinetics.csv'
train_pipeline = [
    # one clip in ten, each frame by itself; the colours to be found are those before it
    dict(type='ColorJitter', brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1, asymmetric=1., prob=0.1,
         keep_plain=True),
    dict(type='PackClip'),
]
train_dataset = dict(
    type='KineticsClips',
    data_root='{data_root}',
    list_file='{list_file}',
    frames=3,
    stride=4,
    resize=(256, 256),  # (height, width) px
    seed='{randomness.seed}',
    pipeline='{train_pipeline}')
randomness = dict(seed=125)

# MPI Sintel, http://sintel.is.tue.mpg.de: data/Sintel/training/{final,clean,flow}/<scene>.
data_root = 'data/Sintel'
scene = 'each'  # one model a scene (paper); 'all': one model for all scenes; or the name of a scene, such as 'alley_1'
pass_name = 'final'  # or 'clean'
crop_size = (256, 512)  # (height, width) px
held_out = 0.  # the protocol of the paper refines on all frames; a share above 0 is kept back for the guard

label_data = dict(type='SintelPairs', data_root='{data_root}', pass_name='{pass_name}', scenes='{scene}', held_out='{held_out}')
guard_data = dict(
    type='SintelPairs', data_root='{data_root}', pass_name='{pass_name}', scenes='{scene}', held_out='{held_out}', held=True)
train_pipeline = [
    dict(type='LoadLabel'),
    dict(type='RandomCrop', size='{crop_size}'),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5 / 3.14, asymmetric=0.2),
    dict(type='PackPair'),
]
train_dataloader = dict(
    batch_size='{batch_size}',
    num_workers='{num_workers}',
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        type='SintelPairs',
        data_root='{data_root}',
        pass_name='{pass_name}',
        scenes='{scene}',
        held_out='{held_out}',
        directions='{labeler.directions}',
        seed='{randomness.seed}',  # of the augmentations
        pipeline='{train_pipeline}'))
report_groups = dict(
    refined=dict(
        type='SintelPairs',
        data_root='{data_root}',
        pass_name='{pass_name}',
        scenes='{scene}',
        pipeline=[dict(type='LoadTruth', required=False, benchmark=True), dict(type='PackPair')]))

# What the data sets beside this one share. Each of them adds the class and the folder of its frame pairs, and its
# pipelines.
scene = 'all'  # one model for all scenes; 'each': one model for each scene; or the name of a scene
held_out = 0.  # share of the pairs that the guard keeps back to judge with; 0: no guard

label_data = dict(scenes='{scene}', held_out='{held_out}')
guard_data = dict(scenes='{scene}', held_out='{held_out}', held=True)
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
        scenes='{scene}',
        held_out='{held_out}',
        directions='{labeler.directions}',
        seed='{randomness.seed}',  # of the augmentations
        pipeline='{train_pipeline}'))
report_groups = dict(
    refined=dict(scenes='{scene}',
                 pipeline=[dict(type='LoadTruth', required=False, benchmark=True), dict(type='PackPair')]))

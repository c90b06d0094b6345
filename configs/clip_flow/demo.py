# CLIP-FLow (Zhang et al., 2022) on the demo network: rendered SOURCE clips with exact motion and unlabelled videos of
# the rendered DRIVING style in one training, which labels anew in each of three rounds. README.md beside this file has
# the commands.
_base_ = ['../demo/raft_small_target.py']

source = 'data/rendered/source'  # folder of rendered clips with exact motion; overridable: --cfg-options source=…
video = 'work_dirs/driving/refined'
unseen = 'work_dirs/driving/unseen'
held_out = 0.25  # of the videos, six of 24, for the guard
relabel = 'every_round'
# The teacher of a round is the average of the student over the last steps of the round before. The student of a single
# step, at a high rate in the middle of the training, is noisier than what it is to teach.
teacher = dict(type='StudentAverage', momentum=0.02)
train_cfg = dict(rounds=3)
max_iters = 750
labeler = dict(view=dict(_delete_=True, type='CascadeView', scales=(1., 2.)))  # as refine does with your video
model = dict(
    losses=[
        dict(type='MaskedSequenceLoss', gamma=0.85),
        dict(type='ContrastiveFlowLoss', mode='sampled', loss_weight=0.1),
    ])

# Three ways to see a pair. The teacher's is weak: it gets the frames as they are (PseudoLabelHook.dataset). The
# student's is strong, `train_pipeline` of the base. And that of the truth, cropped to the same size:
labelled_pipeline = [
    dict(type='LoadTruth'),
    dict(type='RandomScaleStretch', scale=(-0.2, 0.6), stretch=0.2, stretch_prob=0.8, prob=0.8, crop_size=(96, 160)),
    dict(type='RandomCrop', size=(96, 160)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.3, contrast=0.5, saturation=0.5, hue=0.1, asymmetric=0.1),
    dict(type='SensorNoise', std=8., prob=0.7),
    dict(type='PackPair'),
]
train_dataloader = dict(
    # half of the pairs have truth at first, one of ten at the end; the videos get the rest
    sampler=dict(_delete_=True, type='MixedSampler', shares=dict(labelled=[(0., 0.5), (1., 0.1)])),
    dataset=dict(
        _delete_=True,
        type='MixedPairs',
        loss_weights=dict(labelled=1., unlabelled=1.),
        parts=dict(
            labelled=dict(
                type='FramePairs',
                data_root='{source}/frames',
                truth_root='{source}/flow',
                seed='{randomness.seed}',
                pipeline='{labelled_pipeline}'),
            unlabelled=dict(
                type='FramePairs',
                data_root='{video}/frames',
                held_out='{held_out}',
                directions='{labeler.directions}',
                seed='{randomness.seed}',
                pipeline='{train_pipeline}'))))

# known on some scan lines only, as that of a laser scanner
judge_pipeline = [dict(type='LoadTruth'), dict(type='PackPair')]
custom_hooks = [
    dict(type='PseudoLabelHook', dataset=dict(type='FramePairs', data_root='{video}/frames', held_out='{held_out}'),
         labeler='{labeler}', teacher='{teacher}', relabel='{relabel}'),
    dict(
        type='RegressionGuardHook',
        dataset=dict(type='FramePairs', data_root='{video}/frames', held_out='{held_out}', held=True),
        interval='round',  # the best round that it accepts is the result, and one that brings nothing is the last
        patience=1),
    dict(
        type='ReportHook',
        batch_size=4,
        groups=dict(
            refined=dict(type='FramePairs', data_root='{video}/frames', truth_root='{video}/flow_sparse',
                         pipeline='{judge_pipeline}'),
            unseen=dict(type='FramePairs', data_root='{unseen}/frames', truth_root='{unseen}/flow_sparse',
                        pipeline='{judge_pipeline}'))),
]

# Refines the small PIPs on unlabelled videos of the rendered TARGET style; `tools/demo.py --tracks` renders them and
# runs this.
_base_ = ['../_base_/default_runtime.py', '../_base_/models/pips_small.py']

video = 'work_dirs/demo_tracks/videos/refined'  # folder of scenes; overridable: --cfg-options video=…
unseen = 'work_dirs/demo_tracks/videos/unseen'
model = dict(train_iters=4, test_iters=6)
load_from = 'configs/pips/pips_small.pth'

held_out = 0.15  # of the videos, six of 40, for the guard; fewer prove nothing if they differ
labeler = dict(
    type='TrackLabeler',
    # eight passes, weighed without truth; no filter: it would drop what the student has to learn
    view=dict(type='ArbitratedTracks', scales=(1., 2.), mirrors=('horizontal', 'vertical', 'both')),
    queries=dict(type='TextureQueries', count=96, distance=4, border=2))
train_pipeline = [
    dict(type='LoadTracks'),
    dict(type='RandomCrop', size=(96, 128)),  # px
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ClipDrift', prob=0.3, shift=1.5),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.1),
    dict(type='ClipOcclude', prob=0.3, max_boxes=3, sides=(8, 40)),
    dict(type='SampleTracks', count=64),
    dict(type='PackClip'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset=dict(
        type='FrameClips',
        data_root='{video}/frames',
        held_out='{held_out}',
        seed='{randomness.seed}',
        pipeline='{train_pipeline}'))
max_iters = 640
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')
optim_wrapper = dict(
    type='BFloat16OptimWrapper', precision='auto', optimizer=dict(type='AdamW', lr=7e-4, weight_decay=1e-5, eps=1e-8),
    clip_grad=dict(max_norm=5.0))
param_scheduler = dict(
    type='OneCycleLR',
    eta_max='{optim_wrapper.optimizer.lr}',
    total_steps='{max_iters+5}',
    pct_start=0.1,
    anneal_strategy='linear',
    by_epoch=False)

judge_pipeline = [dict(type='LoadTrackTruth'), dict(type='PackClip')]
custom_hooks = [
    dict(type='PseudoLabelHook', dataset=dict(type='FrameClips', data_root='{video}/frames', held_out='{held_out}'),
         labeler='{labeler}'),
    dict(
        type='RegressionGuardHook',
        dataset=dict(type='FrameClips', data_root='{video}/frames', held_out='{held_out}', held=True),
        witnesses=dict(type='TrackWitnesses'),
        steps=(0.5, 1.)),
    dict(
        type='ReportHook',
        groups=dict(
            refined=dict(
                type='FrameClips', data_root='{video}/frames', truth_root='{video}/tracks',
                pipeline='{judge_pipeline}'),
            unseen=dict(
                type='FrameClips', data_root='{unseen}/frames', truth_root='{unseen}/tracks',
                pipeline='{judge_pipeline}'))),
]
randomness = dict(seed=125)

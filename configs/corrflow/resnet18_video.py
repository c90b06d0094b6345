# CorrFlow goes on learning on your own video, without labels: --cfg-options video=… load_from=….
_base_ = [
    '../_base_/models/corrflow_resnet18.py',
    '../_base_/datasets/corrflow_video.py',
    '../_base_/schedules/corrflow_short.py',
]
crop_size = (256, 256)  # px
stride = (1, 2)
batch_size = 2
max_iters = 500
held_out = 0.15  # share of the video that the guard keeps back to judge with; 0: no guard
least_held = 12  # clips that are kept back if they are at most 40 % of the video; the guard needs 6 or more
optim_wrapper = dict(optimizer=dict(lr=5e-5))
default_hooks = dict(checkpoint=dict(interval=100))
train_dataset = dict(held_out='{held_out}', least_held='{least_held}')
guard_data = dict(
    type='FrameClips', data_root='{video}', scenes='{scene}', frames='{frames}', stride='{stride}',
    spacing='{spacing}', held_out='{held_out}', least_held='{least_held}', held=True)
# without ground truth: do points come back, do they keep their colours
report_groups = dict(refined=dict(
    type='FrameClips', data_root='{video}', scenes='{scene}', frames='{frames}', pipeline=[dict(type='PackClip')]))
custom_hooks = [
    # what masks need is more than round trips and known motion show: so only a short way is gone, and a network that
    # forgets how rendered clips move is refused (README.md)
    dict(type='RegressionGuardHook', dataset='{guard_data}', witnesses=dict(type='FeatureWitnesses'), steps=(0.25, ),
         most_forgotten=0.3),
    dict(type='ReportHook', groups='{report_groups}'),
]
load_from = 'checkpoints/corrflow_resnet18.pth'  # refined.pth of one of the configs beside this file, or the authors'
randomness = dict(seed=125)

# PIPs refined on your own video: --cfg-options video=… load_from=….
_base_ = [
    '../_base_/models/pips.py',
    '../_base_/labelers/tracks.py',
    '../_base_/datasets/video_clips.py',
    '../_base_/schedules/refine_1k.py',
]
batch_size = 1  # clip of 128 tracks; the reference sums the gradients of eight of them
max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=2e-5))
# of the authors: reference_model/model-000200000.pth, as it is or converted by tools/convert_checkpoint.py
load_from = 'checkpoints/pips-mmrefine.pth'
custom_hooks = [
    dict(type='PseudoLabelHook', dataset='{label_data}', labeler='{labeler}'),
    dict(type='RegressionGuardHook', dataset='{guard_data}', witnesses=dict(type='TrackWitnesses')),
    dict(type='ReportHook', groups='{report_groups}'),
]
randomness = dict(seed=125)

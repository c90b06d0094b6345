# Stage 2 of Refine for trackers; numbers are those of the reference code. Its steps are of one clip, and eight of them
# make an update; here their gradients are averaged.
_base_ = 'refine_1k.py'

max_iters = 5000  # clips, eight of which make an update
batch_size = 1  # clip of 128 tracks
optim_wrapper = dict(accumulative_counts=8, optimizer=dict(lr=1e-5))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', T_max='{max_iters+1600}', by_epoch=False)
custom_hooks = [
    dict(type='PseudoLabelHook', dataset='{label_data}', labeler='{labeler}'),
    dict(type='RegressionGuardHook', dataset='{guard_data}', witnesses=dict(type='TrackWitnesses')),
    dict(type='ReportHook', groups='{report_groups}'),
]

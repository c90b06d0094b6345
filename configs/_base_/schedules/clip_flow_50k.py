# CLIP-FLow: rounds of labelling and training. The schedule is that of RAFT's authors for KITTI, one cycle over all
# rounds; the paper's is not published.
_base_ = 'refine_1k.py'

max_iters = 50000  # optimiser steps, in all rounds together
batch_size = 6  # frame pairs, over all processes each
train_cfg = dict(rounds=3)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5), clip_grad=dict(max_norm=1.0))
param_scheduler = dict(pct_start=0.05)
custom_hooks = [
    # the teacher of a round is the average of the student over the last steps of the round before
    dict(type='PseudoLabelHook', dataset='{label_data}', labeler='{labeler}', teacher=dict(type='StudentAverage'),
         relabel='every_round'),
    dict(type='RegressionGuardHook', dataset='{guard_data}', interval='round', patience=1),
    dict(type='ReportHook', groups='{report_groups}'),
]
default_hooks = dict(checkpoint=dict(interval=1000))

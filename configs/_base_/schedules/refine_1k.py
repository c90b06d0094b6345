# The two stages of Refine: labels once, then 1000 steps on them. Numbers are those of the reference code.
# A config of a data set defines `label_data`, `guard_data`, `train_pipeline` and `report_groups`, a labeler config
# `labeler`. '{name}' stands for the top-level key `name`, so that --cfg-options max_iters=300 reaches all places.
_base_ = '../default_runtime.py'

max_iters = 1000  # optimiser steps
batch_size = 12  # frame pairs, over all processes each
num_workers = 'auto'  # processes that load data: at most 4, one core is left for computing; or a number
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4, eps=1e-8),
    clip_grad=dict(max_norm=5.0))
param_scheduler = dict(
    type='OneCycleLR',
    eta_max='{optim_wrapper.optimizer.lr}',
    total_steps='{max_iters+100}',
    pct_start=0.1,
    anneal_strategy='linear',
    by_epoch=False)
custom_hooks = [
    dict(type='PseudoLabelHook', dataset='{label_data}', labeler='{labeler}'),
    dict(type='RegressionGuardHook', dataset='{guard_data}'),
    dict(type='ReportHook', groups='{report_groups}'),
]

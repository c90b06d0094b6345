# CorrFlow's schedule for some thousand steps, which is ours: the rate rises at first and falls to nothing at the end.
_base_ = 'corrflow_1m.py'

max_iters = 20000
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=5.0))
param_scheduler = dict(
    _delete_=True,
    type='OneCycleLR',
    eta_max='{optim_wrapper.optimizer.lr}',
    total_steps='{max_iters+5}',
    pct_start=0.05,
    anneal_strategy='cos',
    by_epoch=False)
default_hooks = dict(checkpoint=dict(interval=500))

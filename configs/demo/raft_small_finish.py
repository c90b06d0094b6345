# Finishes the demo teacher once it matches: the contrastive loss that started it up holds it back from here on.
_base_ = ['./raft_small_source.py']

load_from = 'work_dirs/raft_small_source/iter_7000.pth'
model = dict(losses=[dict(type='MaskedSequenceLoss', gamma=0.8)])
max_iters = 12000
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='LinearLR', start_factor=1., end_factor=0.001, by_epoch=False, begin=200, end='{max_iters}'),
]
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=13))

# CorrFlow's schedule. A config of a data set defines `train_dataset`; nothing is labelled.
_base_ = '../default_runtime.py'

max_iters = 1000000  # optimiser steps
batch_size = 6  # clips, in each process
num_workers = 'auto'  # processes that load data: at most 4, one core is left for computing; or a number
train_dataloader = dict(
    batch_size='{batch_size}',
    num_workers='{num_workers}',
    sampler=dict(type='DrawSampler', shuffle=True),
    dataset='{train_dataset}')
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')  # no PseudoLabelHook: there are no labels
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    precision='auto',  # bfloat16 where that is faster; 'float32' is what the authors had
    optimizer=dict(type='Adam', lr=2e-4, betas=(0.9, 0.999)))
# The rate is halved after 400, 600 and 800 thousand steps, as the paper says. The authors' code counts clips instead of
# steps: --cfg-options param_scheduler.milestones=[66667,100000,133333,166667]
param_scheduler = dict(type='MultiStepLR', milestones=[400000, 600000, 800000], gamma=0.5, by_epoch=False)
default_hooks = dict(checkpoint=dict(interval=5000, max_keep_ckpts=3))

# A verifier of passes, trained on pairs whose motion is known; README.md beside this file has the commands that make
# them and tells how good it is.
_base_ = '../_base_/default_runtime.py'

passes = 'work_dirs/verifier/passes'  # made by tools/collect_passes.py; overridable: --cfg-options passes=…
model = dict(type='VerifierLearner', estimator=dict(type='mmrefine.PassVerifier'))

max_iters = 1500
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='PassPairs', data_root='{passes}', crop_size=(96, 128), seed='{randomness.seed}'))
train_cfg = dict(type='SelfTrainingLoop', max_iters='{max_iters}')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3), clip_grad=dict(max_norm=1.))
param_scheduler = dict(
    type='OneCycleLR', eta_max='{optim_wrapper.optimizer.lr}', total_steps='{max_iters+5}', pct_start=0.1,
    anneal_strategy='cos', by_epoch=False)
default_hooks = dict(weights=dict(out='pass_verifier.pth'))
randomness = dict(seed=125)

# What every run shares: scope, logging, checkpoints. The seed is each config's own: stock configs bring one along.
default_scope = 'mmrefine'
custom_imports = dict(imports=['mmrefine'], allow_failed_imports=False)  # stands in for mmcv.ops where it is not compiled
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='gloo'))  # the launcher script takes nccl where there is a GPU for each rank
# None: MMEngine's own choice, the local rank, is no device where there is no GPU
model_wrapper_cfg = dict(type='mmengine.MMDistributedDataParallel', device_ids=None)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=2, save_last=True),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    weights=dict(type='WeightsHook', out='refined.pth'))
log_processor = dict(type='LogProcessor', by_epoch=False, window_size=50)
visualizer = dict(type='mmengine.Visualizer', vis_backends=[dict(type='mmengine.LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False

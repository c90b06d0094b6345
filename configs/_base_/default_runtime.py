# What all runs share: scope, logging, checkpoints. Each config sets its own seed, as stock configs have one, too.
default_scope = 'mmrefine'
# stands in for mmcv.ops where it is not compiled
custom_imports = dict(imports=['mmrefine'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='gloo'))  # the launcher script takes nccl where there is a GPU for each rank
# None, because MMEngine's default, the local rank, is not a device on a machine without a GPU
model_wrapper_cfg = dict(type='mmengine.MMDistributedDataParallel', device_ids=None)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    # a line every ten seconds; with an interval every so many steps
    logger=dict(type='PacedLoggerHook', every=10., interval=None, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=2, save_last=True),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # most disk space for decoded frames of video files while a run trains; 0: keep none
    frame_cache=dict(type='FrameCacheHook', max_gb=4.),
    rounds=dict(type='RoundsHook'),  # what came of each round, where there are several
    weights=dict(type='WeightsHook', out='refined.pth'))
log_processor = dict(type='LogProcessor', by_epoch=False, window_size=50)
visualizer = dict(type='mmengine.Visualizer', vis_backends=[dict(type='mmengine.LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False

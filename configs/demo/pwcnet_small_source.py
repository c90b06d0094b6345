# Trains a small PWC-Net on the rendered SOURCE style: three eighths of the channels of the stock network. It cannot
# start from a flow, as RAFT can. README.md beside this file has the commands.
_base_ = ['./raft_small_source.py']

model = dict(
    _delete_=True,
    type='FlowRefiner',
    losses=[dict(type='MaskedPyramidLoss')],
    estimator=dict(
        type='PWCNet',
        data_preprocessor=dict(
            type='FlowDataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.], bgr_to_rgb=False),
        encoder=dict(
            type='PWCNetEncoder',
            in_channels=3,
            net_type='Basic',
            pyramid_levels=['level1', 'level2', 'level3', 'level4', 'level5', 'level6'],
            out_channels=(8, 12, 24, 36, 48, 72),
            strides=(2, 2, 2, 2, 2, 2),
            dilations=(1, 1, 1, 1, 1, 1),
            act_cfg=dict(type='LeakyReLU', negative_slope=0.1)),
        decoder=dict(
            type='PWCNetDecoder',
            # the 81 of the correlation; from level 5 on also the features, the flow and two channels from above
            in_channels=dict(level6=81, level5=133, level4=121, level3=109, level2=97),
            densefeat_channels=(48, 48, 36, 24, 12),
            flow_div=20.,
            corr_cfg=dict(type='Correlation', max_displacement=4, padding=0),
            warp_cfg=dict(type='Warp', align_corners=True, use_mask=True),
            act_cfg=dict(type='LeakyReLU', negative_slope=0.1),
            scaled=False,
            post_processor=dict(type='ContextNet', in_channels=265, feat_channels=(48, 48, 48, 36, 24, 12))),
        train_cfg=dict(),
        test_cfg=dict(),
        init_cfg=dict(
            type='Kaiming', nonlinearity='leaky_relu', layer=['Conv2d', 'ConvTranspose2d'], mode='fan_in', bias=0)))
train_pipeline = [
    dict(type='LoadTruth'),
    dict(type='RandomScaleStretch', scale=(-0.25, 1.2), stretch=0.2, stretch_prob=0.8, prob=0.8, crop_size=(128, 192)),
    dict(type='RandomCrop', size=(128, 192)),  # px; its coarsest level has 2x3 cells
    dict(type='RandomFlip', horizontal=0.5, vertical=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.5, saturation=0.5, hue=0.1, asymmetric=0.1),
    dict(type='Eraser', prob=0.2, max_boxes=2, sides=(16, 40)),
    dict(type='SensorNoise', std=8., prob=0.7),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
max_iters = 5000
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-4, weight_decay=1e-5, eps=1e-8),
    clip_grad=dict(max_norm=1.0))
param_scheduler = dict(
    _delete_=True, type='OneCycleLR', eta_max=6e-4, total_steps='{max_iters+5}', pct_start=0.05,
    anneal_strategy='linear', by_epoch=False)

# RAFT (the basic network) as its authors trained it (Teed & Deng, ECCV 2020). Weights come through
# tools/convert_checkpoint.py. The numbers are the official ones; iterations: 12 in training, 32 in test.
model = dict(
    type='FlowRefiner',
    train_iters=12,
    test_iters=32,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.85)],
    estimator=dict(
        type='RAFT',
        # RGB in [-1, 1]; mmflow reads BGR, hence the swap
        data_preprocessor=dict(
            type='FlowDataPreprocessor',
            mean=[127.5, 127.5, 127.5],
            std=[127.5, 127.5, 127.5],
            bgr_to_rgb=True),
        num_levels=4,
        radius=4,  # feature px at each level
        cxt_channels=128,
        h_channels=128,
        encoder=dict(
            type='mmrefine.OfficialRAFTEncoder',
            in_channels=3,
            out_channels=256,
            net_type='Basic',
            norm_cfg=dict(type='IN')),
        cxt_encoder=dict(
            type='mmrefine.OfficialRAFTEncoder',
            in_channels=3,
            out_channels=256,  # h_channels + cxt_channels
            net_type='Basic',
            norm_cfg=dict(type='BN')),
        decoder=dict(
            type='RAFTDecoder',
            net_type='Basic',
            num_levels=4,
            radius=4,
            iters=12,
            corr_op_cfg=dict(type='CorrLookup', align_corners=True),
            gru_type='SeqConv',
            feat_channels=256,
            act_cfg=dict(type='ReLU')),
        train_cfg=dict(),
        test_cfg=dict(iters=32)))

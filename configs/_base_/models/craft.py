# CRAFT as its authors trained it (Sui et al., CVPR 2022); 6 307 435 parameters. Their weights are read as they are, or
# converted by tools/convert_checkpoint.py. The numbers are the official ones; iterations: 12 in training, 32 in test.
model = dict(
    type='FlowRefiner',
    train_iters=12,
    test_iters=32,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.85)],
    estimator=dict(
        type='mmrefine.CRAFT',
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
        f2_modes=4,
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
            type='mmrefine.CRAFTDecoder',
            net_type='Basic',
            num_levels=4,
            radius=4,
            iters=12,
            match_channels=256,  # out_channels of the encoder
            motion_channels=128,
            inter_modes=4,
            intra_modes=4,
            corr_op_cfg=dict(type='CorrLookup', align_corners=True),
            gru_type='SeqConv',
            feat_channels=256,
            act_cfg=dict(type='ReLU')),
        train_cfg=dict(),
        test_cfg=dict(iters=32)))

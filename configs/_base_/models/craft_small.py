# A small CRAFT, for trying things out and for machines without a GPU: the encoders and the decoder of RAFT-small with
# the attention of CRAFT; 1 353 503 parameters. Its authors have none of this size.
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
        radius=3,  # feature px at each level
        cxt_channels=64,
        h_channels=96,
        f2_modes=4,
        encoder=dict(
            type='mmrefine.OfficialRAFTEncoder',
            in_channels=3,
            out_channels=128,
            net_type='Small',
            norm_cfg=dict(type='IN')),
        cxt_encoder=dict(
            type='mmrefine.OfficialRAFTEncoder',
            in_channels=3,
            out_channels=160,  # h_channels + cxt_channels
            net_type='Small',
            norm_cfg=None),
        decoder=dict(
            type='mmrefine.CRAFTDecoder',
            net_type='Small',
            num_levels=4,
            radius=3,
            iters=12,
            match_channels=128,  # out_channels of the encoder
            motion_channels=82,
            inter_modes=4,
            intra_modes=4,
            corr_op_cfg=dict(type='CorrLookup', align_corners=True),
            gru_type='Conv',
            feat_channels=128,
            act_cfg=dict(type='ReLU')),
        train_cfg=dict(),
        test_cfg=dict(iters=32)))

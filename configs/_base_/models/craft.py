# CRAFT as its authors trained it (Sui et al., CVPR 2022); 6 307 435 parameters. Their weights are read as they are, or
# converted by tools/convert_checkpoint.py. The numbers are the official ones; iterations: 12 in training, 32 in test.
_base_ = './raft_official.py'
model = dict(
    estimator=dict(
        type='mmrefine.CRAFT',
        f2_modes=4,
        decoder=dict(
            type='mmrefine.CRAFTDecoder',
            match_channels=256,  # out_channels of the encoder
            motion_channels=128,
            inter_modes=4,
            intra_modes=4)))

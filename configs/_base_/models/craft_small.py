# A small CRAFT, for trying things out and for machines without a GPU: the encoders and the decoder of RAFT-small with
# the attention of CRAFT; 1 353 503 parameters. Its authors have none of this size.
_base_ = './raft_small.py'
model = dict(
    estimator=dict(
        type='mmrefine.CRAFT',
        f2_modes=4,
        decoder=dict(
            type='mmrefine.CRAFTDecoder',
            match_channels=128,  # out_channels of the encoder
            motion_channels=82,
            inter_modes=4,
            intra_modes=4)))

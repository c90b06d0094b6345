# A small PIPs (2.3 million parameters), for trying things out and for machines without a GPU.
model = dict(
    type='TrackRefiner',
    estimator=dict(
        type='mmrefine.PIPs', stride=4, window=8, feat_channels=64, encoder_channels=(32, 48, 64, 64),
        mixer_channels=192, mixer_depth=5),
    train_iters=4,
    test_iters=6,
    losses=[dict(type='TrackSequenceLoss', gamma=0.8), dict(type='ScoreMapLoss')])

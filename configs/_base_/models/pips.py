# PIPs as its authors trained it (Harley et al., ECCV 2022); 28 677 713 parameters. Their weights are read as they
# are, or converted by tools/convert_checkpoint.py.
model = dict(
    type='TrackRefiner',
    estimator=dict(type='mmrefine.PIPs', stride=4, window=8),
    train_iters=6,
    test_iters=6,
    losses=[dict(type='TrackSequenceLoss', gamma=0.8), dict(type='ScoreMapLoss')])

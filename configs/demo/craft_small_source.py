# Trains a small CRAFT on the rendered SOURCE style, from the demo network with the attention of CRAFT put in between
# (benchmarks/small_craft.py). README.md beside this file has the commands.
_base_ = ['./raft_small_source.py']

load_from = 'work_dirs/craft_small_source/start.pth'
model = dict(
    train_start=None,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.8)],
    estimator=dict(
        type='mmrefine.CRAFT',
        f2_modes=4,
        decoder=dict(
            type='mmrefine.CRAFTDecoder',
            match_channels=128,
            motion_channels=82,
            inter_modes=4,
            intra_modes=4)))
max_iters = 6000
optim_wrapper = dict(optimizer=dict(lr=4e-4))

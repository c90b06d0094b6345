# GMA refined on Sintel.
_base_ = [
    'mmflow::_base_/models/gma/gma.py',
    '../_base_/labelers/cascade.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    train_iters=32,
    test_iters=32,
    losses=[dict(type='MaskedSequenceLoss', gamma=0.85)])
# https://download.openmmlab.com/mmflow/gma/gma_8x2_120k_flyingthings3d_400x720.pth
load_from = 'checkpoints/gma_8x2_120k_flyingthings3d_400x720.pth'
randomness = dict(seed=125)

# PWC-Net refined on Sintel.
_base_ = [
    'mmflow::_base_/models/pwcnet.py',
    '../_base_/labelers/cascade.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    losses=[dict(type='MaskedPyramidLoss')])
# https://download.openmmlab.com/mmflow/pwcnet/pwcnet_8x1_sfine_flyingthings3d_subset_384x768.pth
load_from = 'checkpoints/pwcnet_8x1_sfine_flyingthings3d_subset_384x768.pth'
randomness = dict(_delete_=True, seed=125)  # not the seed of the stock config

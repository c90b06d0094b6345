# FlowNet2 refined on Sintel.
_base_ = [
    'mmflow::_base_/models/flownet2/flownet2.py',
    '../_base_/labelers/cascade.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    losses=[dict(type='MaskedPyramidLoss')])
# https://download.openmmlab.com/mmflow/flownet2/flownet2_8x1_sfine_flyingthings3d_subset_384x768.pth
load_from = 'checkpoints/flownet2_8x1_sfine_flyingthings3d_subset_384x768.pth'
randomness = dict(_delete_=True, seed=125)  # not the seed of the stock config

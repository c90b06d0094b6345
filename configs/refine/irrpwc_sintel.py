# IRR-PWC refined on Sintel.
_base_ = [
    'mmflow::_base_/models/irrpwc.py',
    '../_base_/labelers/cascade.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    losses=[dict(type='MaskedPyramidLoss')])
# https://download.openmmlab.com/mmflow/irr/irrpwc_8x1_sfine_half_flyingthings3d_subset_384x768.pth
load_from = 'checkpoints/irrpwc_8x1_sfine_half_flyingthings3d_subset_384x768.pth'
model_wrapper_cfg = dict(find_unused_parameters=True)  # no label for the decoders of occlusion
randomness = dict(_delete_=True, seed=125)  # not the seed of the stock config

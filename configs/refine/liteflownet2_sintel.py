# LiteFlowNet2 refined on Sintel.
_base_ = [
    'mmflow::_base_/models/liteflownet2/liteflownet2.py',
    '../_base_/labelers/cascade.py',
    '../_base_/datasets/sintel.py',
    '../_base_/schedules/refine_1k.py',
]
model = dict(
    _delete_=True,
    type='FlowRefiner',
    estimator={{_base_.model}},
    losses=[dict(type='MaskedPyramidLoss')])
# https://download.openmmlab.com/mmflow/liteflownet2/liteflownet2_8x1_500k_flyingthing3d_subset_384x768.pth
load_from = 'checkpoints/liteflownet2_8x1_500k_flyingthing3d_subset_384x768.pth'
randomness = dict(seed=125)

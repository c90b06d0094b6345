# RAFT finetuned on Sintel by the losses of SMURF (Stone et al., CVPR 2021), with its weights for Sintel, its crop, its
# clipping and its 12 iterations. Its multi-frame stage is not here.
_base_ = ['raft_warp_smooth.py']

crop_size = (296, 696)
model = dict(
    train_iters=12,
    losses=[
        dict(type='PhotometricLoss', residual='census', occlusion='range_map', gamma=0.8, loss_weight=1.0),
        dict(type='SmoothnessLoss', order=1, edge=150., gamma=0.8, loss_weight=2.5),
        # begins after 5 / 12 of the training and reaches its weight after another 1 / 12
        dict(type='SelfSupervisionLoss', inset=64, begin=5 / 12, ramp=1 / 12, gamma=0.8, loss_weight=0.3),
    ])
batch_size = 1
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))

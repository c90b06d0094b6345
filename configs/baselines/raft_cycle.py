# RAFT finetuned on Sintel by its round trip alone: the way there and back must end where it began.
_base_ = ['raft_warp_smooth.py']

model = dict(losses=[dict(type='CycleLoss', occlusion='cycle', occlusion_from=0, gamma=0.8)])

# The official RAFT-small finetuned on your own video by its round trip alone. --cfg-options video=….
# `mmrefine refine VIDEO --recipe cycle` does the same with any network.
_base_ = ['raft_small_warp_smooth_video.py']

model = dict(losses=[dict(type='CycleLoss', occlusion='cycle', occlusion_from=0, gamma=0.8)])

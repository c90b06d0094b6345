# RAFT-small with the learned upsampling of RAFT (Teed & Deng, ECCV 2020, 3.3): weights of RAFT-small start it, with
# the same flow; refinement then teaches it where borders are. 1 175 186 parameters.
_base_ = './raft_small.py'
model = dict(estimator=dict(decoder=dict(type='mmrefine.ConvexUpsamplingDecoder')))

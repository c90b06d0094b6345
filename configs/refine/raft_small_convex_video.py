# As raft_small_video.py, but the student also learns to enlarge its flow, which makes its borders sharper
# (docs/results.md). It begins as the official RAFT-small, whose weights it takes.
_base_ = './raft_small_video.py'
model = dict(estimator=dict(decoder=dict(type='mmrefine.ConvexUpsamplingDecoder')))

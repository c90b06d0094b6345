# As raft_small_video.py, but the student also learns to enlarge its flow, so its borders become as sharp as those of
# its labels. It begins as the official RAFT-small, whose weights it takes.
_base_ = './raft_small_video.py'
model = dict(estimator=dict(decoder=dict(type='mmrefine.ConvexUpsamplingDecoder')))

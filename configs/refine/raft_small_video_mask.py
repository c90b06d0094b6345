# As raft_small_video.py, but only motion that survives the round trip becomes a label: for video that the network fails on badly (fog,
# night, motion far beyond what it knows), where most of what it sees is wrong. tools/calibrate_filters.py chooses the thresholds.
_base_ = 'raft_small_video.py'
labeler = dict(filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)], balance=None)  # no unit, px

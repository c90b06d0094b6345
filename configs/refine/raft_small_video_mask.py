# As raft_small_video.py, but only motion that survives the round trip becomes a label: for video on which the network
# fails badly (fog, night, motion far beyond its training), so that most of the motion is wrong. The thresholds can be
# chosen by tools/calibrate_filters.py.
_base_ = 'raft_small_video.py'
labeler = dict(filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)], balance=None)  # no unit, px

# As pips_crohd.py, with the labels of the paper: windows around the true heads in the first frame of each clip, which
# tools/points_of_interest.py writes.
_base_ = 'pips_crohd.py'
points = 'data/CroHD/heads.csv'
labeler = dict(
    queries=dict(_delete_=True, type='WindowQueries', points='{points}', side=24),
    filters=[dict(type='TrackCycleFilter', threshold=1.5)])  # px at 768x1280

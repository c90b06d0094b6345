# As pips_horse30.py, with the labels of the paper: windows around the true joints in the first frame of each clip,
# which tools/points_of_interest.py writes.
_base_ = 'pips_horse30.py'
points = 'data/horse10/joints.csv'
labeler = dict(
    queries=dict(_delete_=True, type='WindowQueries', points='{points}', side=40),
    filters=[dict(type='TrackCycleFilter', threshold=3.), dict(type='TrackSpeedFilter', least=5.)])  # px at 256x448

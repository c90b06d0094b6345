# JHMDB, http://jhmdb.is.tue.mpg.de: data/JHMDB/{Rename_Images,joint_positions,splits}. Not for training: the flow
# carries the joints of the first frame along a video; tools/test.py scores them. Needs SciPy.
jhmdb_root = 'data/JHMDB'
split = 1  # 1, 2 or 3; 'all': all videos that have joints, which needs no splits
clip_groups = dict(
    jhmdb=dict(
        dataset=dict(type='JhmdbClips', data_root='{jhmdb_root}', split='{split}'),
        metrics=[
            dict(type='KeypointMetric', rule='joints', shares=(0.1, 0.2, 0.3, 0.4, 0.5)),
            dict(type='KeypointMetric', rule='joints_box', shares=(0.1, 0.2, 0.3, 0.4, 0.5))
        ]))

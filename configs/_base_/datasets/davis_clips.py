# DAVIS-2017, https://davischallenge.org: data/DAVIS/{JPEGImages,Annotations}/480p, ImageSets. Nothing to refine on: masks, and the joints
# of BADJA where clip_groups.davis.dataset.badja names their folder, that the flow carries along a video; tools/test.py scores them.
davis_root = 'data/DAVIS'
image_set = '2017/val'
clip_groups = dict(
    davis=dict(
        dataset=dict(type='DavisClips', data_root='{davis_root}', image_set='{image_set}'),
        metrics=[dict(type='MaskMetric'), dict(type='KeypointMetric', rule='mask', shares=(0.2, ))]))

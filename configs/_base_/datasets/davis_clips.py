# DAVIS-2017, https://davischallenge.org: data/DAVIS/{JPEGImages,Annotations}/480p, ImageSets. Not for training: the
# flow carries masks along a video, and the joints of BADJA if clip_groups.davis.dataset.badja names their folder;
# tools/test.py scores them.
davis_root = 'data/DAVIS'
image_set = '2017/val'  # a list in ImageSets; 'all': all videos that there are
clip_groups = dict(
    davis=dict(
        dataset=dict(type='DavisClips', data_root='{davis_root}', image_set='{image_set}'),
        metrics=[dict(type='MaskMetric'), dict(type='KeypointMetric', rule='mask', shares=(0.2, ))]))

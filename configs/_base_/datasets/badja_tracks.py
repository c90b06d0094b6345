# BADJA, https://github.com/benjiebob/BADJA: joints data/BADJA/joint_annotations/<video>.json of videos of DAVIS-2017,
# data/DAVIS/{JPEGImages,Annotations}/480p. Not for training: tools/test.py follows the joints and scores them.
davis_root = 'data/DAVIS'
badja_root = 'data/BADJA/joint_annotations'
frame_size = (320, 512)  # (height, width) px, as in the code of PIPs
clip_groups = dict(
    badja=dict(
        dataset=dict(type='BadjaClips', data_root='{davis_root}', badja='{badja_root}', resize='{frame_size}'),
        metrics=[dict(type='KeypointMetric', rule='mask', shares=(0.2, ))]))

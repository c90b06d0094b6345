# Horse-30, https://huggingface.co/datasets/mwmathis/Horse-30 (horse10.tar.xz): data/horse10/labeled-data/<horse>/*.png,
# and horse10_annotations.tar of mmpose (its guide to 2D animal keypoints): data/horse10/annotations/*.json.
_base_ = 'benchmark_clips.py'

data_root = 'data/horse10'
frame_size = (256, 448)  # (height, width) px
crop_size = (256, 448)  # px

__frames = dict(type='Horse30Frames', data_root='{data_root}')  # 8 frames, every fourth one
label_data = __frames
guard_data = __frames
train_dataloader = dict(dataset=__frames)
# the mean over joints, of 1500 as in Refine
report_groups = dict(
    refined=dict(
        dataset=dict(type='Horse30Clips', data_root='{data_root}', scenes='{scene}', resize='{frame_size}', most=1500),
        metrics=[dict(type='TrackMetric', each_track=True)]))

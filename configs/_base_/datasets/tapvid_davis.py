# TAP-Vid-DAVIS, https://storage.googleapis.com/dm-tapnet/tapvid_davis.zip: data/tapvid_davis/tapvid_davis.pkl, which is
# read without running it.
_base_ = 'benchmark_clips.py'

data_root = 'data/tapvid_davis/tapvid_davis.pkl'
# one model for each video, as in the paper; 'all': one model for all of them; or one of them, such as 'goat'
scene = 'each'
query_mode = 'first'  # or 'strided'
frame_size = (384, 512)  # (height, width) px; scores depend on it, and are always those of a raster of 256x256 px
crop_size = (256, 448)  # px
stride = (1, 2)  # frames from one frame of a clip to the next
spacing = 4  # frames from the beginning of one clip to that of the next

__frames = dict(type='TapVidFrames', data_root='{data_root}', stride='{stride}', spacing='{spacing}')
label_data = __frames
guard_data = __frames
train_dataloader = dict(dataset=__frames)
report_groups = dict(
    refined=dict(
        dataset=dict(type='TapVidClips', data_root='{data_root}', scenes='{scene}', query_mode='{query_mode}',
                     resize='{frame_size}'),
        metrics=[dict(type='TapVidMetric')]))

# Refines the small tracker on your own video: `mmrefine refine VIDEO --model pips_demo`. It was trained on rendered
# video only.
_base_ = [
    '../_base_/models/pips_small.py',
    '../_base_/datasets/video_clips.py',
    '../_base_/schedules/refine_1k.py',
]
# two passes, weighed without truth, and no filter: hardly a track of so coarse a network comes back to within 1.5 px
labeler = dict(
    type='TrackLabeler',
    view=dict(type='ArbitratedTracks', scales=(1., 2.)),
    queries=dict(type='TextureQueries', count=256))
spacing = 2  # so that videos of 40 frames have clips enough for the guard
crop_size = (192, 256)  # (height, width) px
batch_size = 2
max_iters = 200
num_workers = 0
optim_wrapper = dict(optimizer=dict(lr=3e-4))
load_from = 'configs/pips/pips_small.pth'
custom_hooks = [
    dict(type='PseudoLabelHook', dataset='{label_data}', labeler='{labeler}'),
    dict(type='RegressionGuardHook', dataset='{guard_data}', witnesses=dict(type='TrackWitnesses')),
    dict(type='ReportHook', groups='{report_groups}'),
]
randomness = dict(seed=125)

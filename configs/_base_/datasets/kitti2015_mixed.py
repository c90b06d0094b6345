# KITTI 2015 with its multi-view extension, https://www.cvlibs.net/datasets/kitti:
# data/kitti2015/training/{image_2,flow_occ}. Labelled: the benchmark pairs. Unlabelled: the other frames of the scenes.
_base_ = 'mixed.py'

data_root = 'data/kitti2015'
crop_size = (288, 960)  # (height, width) px
held_out = 0.2  # share of the scenes that guard and report judge on, and of which nothing is learned; above 0

__labelled = dict(type='KittiPairs', data_root='{data_root}', held_out='{held_out}')
__unlabelled = dict(type='KittiPairs', data_root='{data_root}', multiview=True, without_benchmark=True)
label_data = __unlabelled
guard_data = __unlabelled
# RAFT's for the sparse truth of KITTI; nothing is mirrored, and both frames get the same change of colour
__augmented = [
    dict(type='RandomScaleStretch', scale=(-0.2, 0.4), stretch=0., prob=0.8, crop_size='{crop_size}'),
    dict(type='RandomCrop', size='{crop_size}'),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3, hue=0.3 / 3.14, asymmetric=0.),
    dict(type='Eraser', prob=0.5, max_boxes=2, sides=(50, 100)),  # px
    dict(type='PackPair'),
]
labelled_pipeline = [dict(type='LoadTruth'), *__augmented]
train_pipeline = [dict(type='LoadLabel'), *__augmented]
train_dataloader = dict(dataset=dict(parts=dict(labelled=__labelled, unlabelled=__unlabelled)))
report_groups = dict(
    unseen=dict(held=True, pipeline=[dict(type='LoadTruth', benchmark=True), dict(type='PackPair')], **__labelled))

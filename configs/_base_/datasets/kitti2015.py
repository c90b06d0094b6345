# KITTI 2015, https://www.cvlibs.net/datasets/kitti: data/kitti2015/training/{image_2,flow_occ}.
_base_ = 'pairs.py'

data_root = 'data/kitti2015'
scene = 'all'  # a scene is a single pair here
multiview = False  # True: label and learn all 21 frames of each scene (the multi-view extension)
crop_size = (288, 960)  # (height, width) px
held_out = 0.  # the protocol refines on all scenes; a share above 0 is kept back for the guard

__pairs = dict(type='KittiPairs', data_root='{data_root}')
label_data = dict(multiview='{multiview}', **__pairs)
guard_data = dict(multiview='{multiview}', **__pairs)
train_pipeline = [
    dict(type='LoadLabel'),
    dict(type='RandomCrop', size='{crop_size}'),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.),  # streets do not stand on their heads
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5 / 3.14, asymmetric=0.2),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(multiview='{multiview}', **__pairs))
report_groups = dict(refined=__pairs)

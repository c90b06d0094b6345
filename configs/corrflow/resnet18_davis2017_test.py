# CorrFlow's features on DAVIS-2017: the mask of the first frame, propagated; for tools/test.py only.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/corrflow_resnet18.py',
    '../_base_/datasets/davis_clips.py',
]
randomness = dict(seed=125)

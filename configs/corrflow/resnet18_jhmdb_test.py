# CorrFlow's features on JHMDB: the joints of the first frame, propagated; for tools/test.py only. Needs SciPy.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/corrflow_resnet18.py',
    '../_base_/datasets/jhmdb_clips.py',
]
randomness = dict(seed=125)

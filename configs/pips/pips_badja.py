# PIPs scored on the joints of BADJA by tools/test.py; there is nothing to train.
_base_ = ['../_base_/models/pips.py', '../_base_/datasets/badja_tracks.py', '../_base_/default_runtime.py']
randomness = dict(seed=125)

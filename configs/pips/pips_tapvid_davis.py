# PIPs (as its authors trained it) refined on each video of TAP-Vid-DAVIS. The paper's code for it was not released: the
# tolerance is that of its labels for CroHD, the number of steps is ours.
_base_ = [
    '../_base_/models/pips.py',
    '../_base_/labelers/tracks.py',
    '../_base_/datasets/tapvid_davis.py',
    '../_base_/schedules/refine_tracks.py',
]
max_iters = 2000  # clips
# of the authors: reference_model/model-000200000.pth, as it is or converted by tools/convert_checkpoint.py
load_from = 'checkpoints/pips-mmrefine.pth'
randomness = dict(seed=125)

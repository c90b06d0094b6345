# PIPs (as its authors trained it) refined on the frames of CroHD, with labels from textured points anywhere; those of
# the paper are from windows around the true heads: pips_crohd_paper.py.
_base_ = [
    '../_base_/models/pips.py',
    '../_base_/labelers/tracks.py',
    '../_base_/datasets/crohd.py',
    '../_base_/schedules/refine_tracks.py',
]
labeler = dict(view=dict(_delete_=True, type='DirectTracks'), queries=dict(count=1024))  # within 1.5 px at 768x1280
# of the authors: reference_model/model-000200000.pth, as it is or converted by tools/convert_checkpoint.py
load_from = 'checkpoints/pips-mmrefine.pth'
randomness = dict(seed=125)

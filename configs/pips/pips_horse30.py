# PIPs (as its authors trained it) refined on the frames of Horse-30, with labels from textured points anywhere; the
# paper's are from windows around the true joints: pips_horse30_paper.py.
_base_ = [
    '../_base_/models/pips.py',
    '../_base_/labelers/tracks.py',
    '../_base_/datasets/horse30.py',
    '../_base_/schedules/refine_tracks.py',
]
max_iters = 6000  # clips
labeler = dict(
    view=dict(_delete_=True, type='DirectTracks'),
    filters=[
        dict(type='TrackCycleFilter', threshold=3.),  # px at 256x448
        dict(type='TrackInsideFilter'),
        dict(type='TrackSpeedFilter', least=5.),  # px a frame
    ])
# of the authors: reference_model/model-000200000.pth, as it is or converted by tools/convert_checkpoint.py
load_from = 'checkpoints/pips-mmrefine.pth'
randomness = dict(seed=125)

# MPI Sintel, http://sintel.is.tue.mpg.de: data/Sintel/training/{final,clean,flow}/<scene>.
_base_ = 'pairs.py'

data_root = 'data/Sintel'
# one model for each scene, as in the paper; 'all': one model for all scenes; or one of them, such as 'alley_1'
scene = 'each'
pass_name = 'final'  # or 'clean'
crop_size = (256, 512)  # (height, width) px
held_out = 0.  # the protocol of the paper refines on all frames; a share above 0 is kept back for the guard

__pairs = dict(type='SintelPairs', data_root='{data_root}', pass_name='{pass_name}')
label_data = __pairs
guard_data = __pairs
train_dataloader = dict(dataset=__pairs)
report_groups = dict(refined=__pairs)

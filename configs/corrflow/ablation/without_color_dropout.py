# The network sees grey frames, as in Vondrick et al. (ECCV 2018), instead of colours with channels dropped.
_base_ = 'full.py'

model = dict(bottleneck=dict(_delete_=True, type='GreyInput'))

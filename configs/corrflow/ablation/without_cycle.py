# Colours are copied forwards only.
_base_ = 'full.py'

model = dict(losses=[dict(type='ColorClassLoss', sampling=dict(type='ScheduledSampling', start=0.9, end=0.6))])

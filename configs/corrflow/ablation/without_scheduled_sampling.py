# Only true colours are copied, in the second step as well as in the first; the cycle stays.
_base_ = 'full.py'

model = dict(losses=[
    dict(type='ColorClassLoss', sampling=None),
    dict(type='CycleColorLoss', loss_weight=0.1),
])

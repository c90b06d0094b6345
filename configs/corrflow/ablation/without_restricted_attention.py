# Each cell asks all cells of the frame before, in training and in use.
_base_ = 'full.py'

model = dict(radius=None)

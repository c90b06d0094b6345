# All parts of the objective at small scale: rendered clips of 128x128 px, so many steps for each row of the ablation.
_base_ = '../resnet18_demo.py'

crop_size = (128, 128)  # px; the whole frame
batch_size = 2
max_iters = 400

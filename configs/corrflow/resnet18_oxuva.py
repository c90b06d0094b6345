# CorrFlow on OxUvA, https://oxuva.github.io/long-term-tracking-benchmark: data/oxuva/vid0000/000001.jpeg, and
# data/oxuva.csv with a line `vid0000,<number of frames>` for each of the videos (337 in the code of CorrFlow).
_base_ = 'resnet18_kinetics.py'

data_root = 'data/oxuva'
list_file = 'data/oxuva.csv'
train_dataset = dict(type='OxuvaClips')

"""The guard of a network that knows nothing of flow: it says how bright a frame is."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

import mmrefine
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.registry import DATASETS, HOOKS, MODELS, WITNESSES
from mmrefine.structures.figures import Figure


@MODELS.register_module(force=True)
class Brightness(BaseModel):
    """``gain * mean + offset`` of a frame."""

    def __init__(self, gain, offset):
        super().__init__()
        self.estimator = torch.nn.Linear(1, 1)
        self.estimator.load_state_dict(weights(gain, offset))

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=0 * self.estimator.weight.sum())


def weights(gain, offset):
    return dict(weight=torch.tensor([[gain]]), bias=torch.tensor([offset]))


@DATASETS.register_module(force=True)
class GreyFrames(torch.utils.data.Dataset):
    """Frames of one grey level each, two to a scene."""
    scene_names = ['a', 'b', 'c', 'd']

    def __init__(self, pipeline=(), held_out=0., held=False):
        self.held = held

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(inputs=torch.full((1, ), index / 8), data_samples=None)


@WITNESSES.register_module(force=True)
class Negatives:
    """A frame and its negative are as bright as one white frame; nobody needs to know how bright either is."""
    sample_name, weights, floors = 'frame', dict(sum=1.), dict(sum=0.01)
    figures = (Figure('sum', 'grey levels', 'lower'), )

    def prepare(self, dataset, teacher, device, seed, log):
        self.dataset = dataset
        self.samples = [(dataset.scene_names[i // 2], str(i)) for i in range(len(dataset))]

    @torch.no_grad()
    def observe(self, network, index):
        frame = self.dataset[index]['inputs']
        return dict(sum=abs(float(network.estimator(frame) + network.estimator(1 - frame)) - 1))

    def rendered(self, network, number):
        return None

    def describe(self):
        return dict(type='Negatives')


@HOOKS.register_module(force=True)
class Learn(Hook):
    """Stands for a training that leads to known weights."""
    priority = 'HIGHEST'

    def __init__(self, gain, offset):
        self.state = weights(gain, offset)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.model.estimator.load_state_dict(self.state)


def run(work_dir, before, after):
    data = dict(type='GreyFrames', held_out=0.25)
    guard = dict(type='RegressionGuardHook', dataset=dict(data, held=True), witnesses=dict(type='Negatives'),
                 steps=[0.5, 1.])
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type='InfiniteSampler'), dataset=data)
    runner = Runner(dict(type='Brightness', gain=before[0], offset=before[1]), str(work_dir), train_dataloader=loader,
                    train_cfg=dict(type='IterBasedTrainLoop', max_iters=2), default_scope='mmrefine',
                    experiment_name=str(work_dir), optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
                    default_hooks=dict(checkpoint=None),
                    custom_hooks=[dict(type='WeightsHook'), dict(type='Learn', gain=after[0], offset=after[1]), guard])
    runner.train()
    record = json.loads(json.dumps(runner.message_hub.runtime_info[GUARD_INFO]))
    return record, load_checkpoint_file(work_dir / 'refined.pth')['state_dict']


GOOD, BAD = (1., 0.), (1.4, 0.3)


def test_a_better_student_is_handed_back(tmp_path):
    record, state = run(tmp_path, BAD, GOOD)
    assert record['verdict'] == 'student' and record['chosen']['step'] == 1 and record['chosen']['pairs'] == 8
    assert state['weight'].item() == GOOD[0] and state['bias'].item() == GOOD[1]
    # of both sides of the ratio a hundredth is nothing: 0.4 + 2 * 0.3 = 1 becomes 0
    assert record['chosen']['change_percent'] == pytest.approx(100 * (0.01 / 1.01 - 1), abs=1e-3)
    assert record['witnesses'] == dict(before=dict(sum=pytest.approx(1.)), after=dict(sum=pytest.approx(0., abs=1e-6)))
    assert 'on 8 frames that were kept back' in record['reason'] and '100% of the frames better' in record['reason']
    assert record['general'] == {} and [figure['name'] for figure in record['score']['figures']] == ['sum']


def test_a_worse_student_is_refused_and_the_teacher_handed_back(tmp_path):
    record, state = run(tmp_path, GOOD, BAD)
    assert record['verdict'] == 'teacher' and len(record['candidates']) == 2
    assert np.all([one['change_percent'] > 0 for one in record['candidates']])
    assert state['weight'].item() == GOOD[0] and state['bias'].item() == GOOD[1]


def test_the_guard_knows_no_flow_but_through_its_witnesses():
    package = Path(mmrefine.__file__).parent
    files = [*(package / 'engine/guard').glob('*.py'), *(package / 'evaluation/guard').glob('*.py'),
             package / 'engine/hooks/regression_guard_hook.py']
    general = [path for path in files if path.name != 'flow_witnesses.py']
    assert len(general) >= 5
    for path in general:
        imports = [line for line in path.read_text(encoding='utf-8').splitlines()
                   if line.startswith(('from ', 'import '))]
        assert not [line for line in imports if 'flow' in line.lower()], path

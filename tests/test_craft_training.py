"""CRAFT through both stages, and resumed: it ends like a run that was not stopped, though it drops at random."""
from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from small_runs import ROOT, SIZE, refined_state, run, same_state, small_config

from mmrefine.engine import SelfTrainingLoop
from mmrefine.fileio import read_flow
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import FlowRefiner


@pytest.fixture
def config(material, tmp_path):
    """A run of two steps of the small CRAFT."""
    model = Config.fromfile(ROOT / 'configs/_base_/models/craft_small.py').model.to_dict()
    model = dict(model, train_iters=2, test_iters=2, feat='trans',
                 losses=[dict(type='MaskedSequenceLoss'), dict(type='ContrastiveFlowLoss')])
    torch.manual_seed(3)
    network = FlowRefiner(model['estimator']).estimator
    with torch.no_grad():  # random weights throw the flow about, and no label would pass
        network.decoder.flow_pred.predict_layer.weight.mul_(.01)
    save_checkpoint(tmp_path / 'start.pth', dict(state_dict=network.state_dict()))

    def of(name, **more):
        cfg = small_config(material, tmp_path / name, max_iters=2, interval=1, **more)
        cfg.model, cfg.load_from = model, str(tmp_path / 'start.pth')
        return cfg

    return of


def test_a_run_labels_learns_and_ends_the_same_where_it_is_resumed(config, tmp_path, monkeypatch):
    run(config('whole'))
    label = next((tmp_path / 'whole' / 'labels').rglob('frame*.png'))
    flow, valid = read_flow(label)
    assert flow.shape[:2] == SIZE and valid.any()

    step = SelfTrainingLoop.run_iter

    def stop_after(self, batch):
        step(self, batch)
        self.stop_training = True

    with monkeypatch.context() as patch:
        patch.setattr(SelfTrainingLoop, 'run_iter', stop_after)
        run(config('stopped'))
    assert (tmp_path / 'stopped' / 'last_checkpoint').read_text().endswith('iter_1.pth')
    torch.rand(7)
    run(config('stopped', resume=True))
    whole, resumed = (refined_state(tmp_path / name) for name in ('whole', 'stopped'))
    assert same_state(whole, resumed)
    start = torch.load(tmp_path / 'start.pth', weights_only=True)['state_dict']
    assert whole.keys() == start.keys() and not same_state(whole, start)

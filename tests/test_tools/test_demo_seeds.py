"""The recipes of ``benchmarks/demo_seeds.py``: each is a config, and those with a verifier weigh labels as they say."""
from __future__ import annotations

import importlib.util

import pytest
import torch
from small_trees import ROOT

from mmrefine.config.load import complete, load_config
from mmrefine.registry import LABELERS
from mmrefine.structures import Look, PairBatch

SIZE = (12, 16)
# what each of them makes of cycle consistency c, distance d px to a plain pass, and error e px to be expected
WEIGHTS = {
    'verified': lambda c, d, e: 0.1 + 0.9 * d / (d + 1),
    'verified, evenly': lambda c, d, e: torch.ones_like(d),
    'verified, mask': lambda c, d, e: c,
    'verified, floor': lambda c, d, e: c.clamp(min=0.3),
    'verified, expected error': lambda c, d, e: 1 / (1 + e**2),
    'verified, novelty and error': lambda c, d, e: (0.1 + 0.9 * d / (d + 1)) / (1 + e**2),
    'verified, within 1 px': lambda c, d, e: (0.1 + 0.9 * d / (d + 1)) * (e <= 1),
}


@pytest.fixture(scope='module')
def benchmark():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location('demo_seeds', ROOT / 'benchmarks/demo_seeds.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Known:
    """A view that has seen what is given."""
    uses_middles = False

    def __init__(self, look):
        self.seen = look

    def look(self, teacher, batch, request):
        return self.seen


def labeler_of(benchmark, name, tmp_path):
    values = {'video': str(tmp_path), 'unseen': str(tmp_path), 'held_out': 0.}
    return LABELERS.build(complete(load_config(benchmark.CONFIG, {**values, **benchmark.RECIPES[name]})).labeler)


def test_every_recipe_is_a_config_with_a_labeler(benchmark, tmp_path):
    described = {name: str(labeler_of(benchmark, name, tmp_path).describe()) for name in benchmark.RECIPES}
    assert len(described) == 24
    verified = [name for name in described if name.startswith('verified')]
    assert verified == list(WEIGHTS) and len({described[name] for name in verified}) == len(verified)
    assert all(('PassVerifier' in text) == (name in verified) for name, text in described.items())


@pytest.mark.parametrize('name', WEIGHTS)
def test_verified_labels_are_weighed_as_the_recipe_is_called(benchmark, name, tmp_path):
    labeler = labeler_of(benchmark, name, tmp_path)
    assert labeler.view.verifier is not None
    generator = torch.Generator().manual_seed(1)
    apart, error = (3 * torch.rand(1, 1, *SIZE, generator=generator) for _ in range(2))
    flow = torch.zeros(1, 2, *SIZE)
    back = flow.clone()
    back[..., :8] = 3.  # does not come back
    plain = torch.cat([apart, torch.zeros_like(apart)], dim=1)
    labeler.view = Known(Look(flow, back, plain, plain, error_fw=error, error_bw=error))
    frames = torch.rand(1, 3, *SIZE, generator=generator)
    label = labeler.label_pairs(None, PairBatch(frames, frames))[0].forward
    wanted = WEIGHTS[name]((back[:, :1] == 0).float(), apart, error)
    torch.testing.assert_close(label.weight, wanted[0])

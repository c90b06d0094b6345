"""The benchmark on a GPU: what it says where there is none, and how it reads its options."""
import importlib.util
import sys

import pytest
import torch
from small_trees import ROOT

from mmrefine.errors import ConfigError


@pytest.fixture
def bench(monkeypatch):
    """Runs ``benchmarks/gpu.py`` with the arguments that it is given."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the files beside it
    spec = importlib.util.spec_from_file_location('gpu_benchmark', ROOT / 'benchmarks' / 'gpu.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['gpu.py', *map(str, arguments)])
        return module.main()

    run.module = module
    return run


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU, which would be measured')
def test_without_a_gpu_it_says_so_in_one_sentence_and_writes_nothing(bench, tmp_path, capsys):
    assert bench('--out', tmp_path / 'gpu.md') == 0
    text = capsys.readouterr().out
    assert text.startswith('No GPU was found by PyTorch') and text.count('\n') == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize('arguments, message', [
    (['--weights', 'pwcnet=a.pth'], 'pwcnet=a.pth: is invalid; NETWORK=FILE is expected, with raft or raft-small'),
    (['--weights', 'raft'], '--weights raft: is invalid'),
    (['--official', 'nowhere'], '--official nowhere: has no core/raft.py'),
])
def test_an_option_that_is_invalid_is_told_before_anything_is_measured(bench, arguments, message):
    with pytest.raises(ConfigError, match=message):
        bench(*arguments)


@pytest.mark.parametrize('size', ['436', '0x64', '436x1024x3'])
def test_a_size_that_is_invalid_is_told(bench, capsys, size):
    with pytest.raises(SystemExit):
        bench('--sizes', size)
    assert f"'{size}' is invalid: HEIGHTxWIDTH in px is expected" in capsys.readouterr().err


def test_the_loss_of_the_rivals_is_a_weighted_mean_that_fades_back_in_time(bench):
    target, weight = torch.zeros(1, 2, 2, 2), torch.tensor([[[[1., 1.], [0., 0.]]]])
    flows = [torch.full((1, 2, 2, 2), value) for value in (4., 2.)]
    found = sys.modules['training_steps'].sequence_loss(flows, target, weight)
    assert float(found) == pytest.approx(.85 * .5 * 4 + .5 * 2)

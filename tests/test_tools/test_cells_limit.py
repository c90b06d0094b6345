"""``benchmarks/cells_limit.py``: the map of cells that is nearest to a flow."""
from __future__ import annotations

import importlib
import sys

import pytest
import torch
from small_trees import ROOT

from mmrefine.geometry import resize


@pytest.fixture(scope='module')
def bench():
    """The benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        yield importlib.import_module('cells_limit')
    for name in ('cells_limit', 'davis_student', 'davis_clips', 'rival_rows'):
        sys.modules.pop(name, None)


def test_what_is_a_map_of_cells_is_found_and_a_sharp_border_becomes_a_ramp(bench):
    cells = torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    flow = resize(cells, (48, 64))
    assert float((bench.in_cells(flow) - flow).abs().mean()) < 0.02 * float(flow.abs().mean())
    step = torch.zeros(1, 2, 48, 64)
    step[..., 29:] = 4.  # px, amid a cell
    found = bench.in_cells(step)
    off = (found - step).abs().mean(dim=(0, 1, 2))  # by column
    assert float(off[:16].max()) < 0.2 and float(off[-16:].max()) < 0.2  # far from the border it is right
    assert float(off[24:34].max()) > 1.
    # nearer than the means of the cells, enlarged
    means = resize(torch.nn.functional.avg_pool2d(step, 8), (48, 64))
    assert float(off.mean()) < float((means - step).abs().mean())


def test_a_flow_is_estimated_once(bench, monkeypatch):
    asked = []

    class View:
        def look(self, model, batch, request):
            asked.append(batch)
            return type('Look', (), dict(flow_fw=batch.frames1[:, :2]))

    monkeypatch.setattr(bench.TEACHER_VIEWS, 'build', lambda config: View())
    flow, frames = bench.remembered(None, {}), torch.rand(2, 1, 3, 8, 8)
    first = flow(frames[0], frames[1])
    assert torch.equal(first, frames[0][:, :2]) and flow(frames[0].clone(), frames[1]) is first and len(asked) == 1
    flow(frames[1], frames[0])
    assert len(asked) == 2

"""F14: from what a network returns to flows in pixels."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrefine.errors import ConfigError
from mmrefine.models import readout_for
from mmrefine.models.refiners.readout import PyramidReadout, upsample_cells


def test_levels_come_out_coarse_to_fine_in_pixels_of_full_size():
    levels = dict(
        level2=torch.full((1, 2, 16, 32), 0.5), level6=torch.full((1, 2, 1, 2), 0.1), level5=torch.zeros(1, 2, 2, 4))
    flows = PyramidReadout(flow_div=20.)(levels, (64, 128))
    assert [tuple(flow.shape) for flow in flows] == [(1, 2, 64, 128)] * 3
    assert [float(flow.mean()) for flow in flows] == pytest.approx([2., 0., 10.])


def test_of_a_tuple_the_first_dict_counts_and_of_a_level_its_flows_in_order():
    """IRR-PWC: forward flows, backward flows, occlusions; each level first rough, then refined."""
    forward = dict(level1=[torch.full((1, 2, 2, 2), 3.)], level2=[torch.full((1, 2, 1, 1), v) for v in (1., 2.)])
    backward = dict(level1=[torch.full((1, 2, 2, 2), -9.)])
    flows = PyramidReadout(flow_div=1.)((forward, backward), (4, 4))
    assert [float(flow.mean()) for flow in flows] == pytest.approx([1., 2., 3.])


@pytest.mark.parametrize('cells, size', [((4, 6), (16, 24)), ((1, 1), (64, 64)), ((3, 5), (7, 9))])
def test_cells_sit_at_the_centres_of_their_blocks(cells, size):
    """Oracle: the interpolation with which mmflow reads its pyramids out, in both conventions of torch."""
    values = torch.randn(2, 2, *cells)
    wanted = F.interpolate(values, size=size, mode='bilinear', align_corners=False)
    assert torch.allclose(upsample_cells(values, size), wanted, atol=1e-5)
    if cells != (1, 1):
        other = F.interpolate(values, size=size, mode='bilinear', align_corners=True)
        assert not torch.allclose(upsample_cells(values, size), other, atol=1e-2)


def test_a_map_of_full_size_stays_as_it_is():
    values = torch.randn(1, 2, 8, 8)
    assert torch.equal(upsample_cells(values, (8, 8)), values)


def test_a_network_of_no_known_family_is_refused_by_name():
    class Stranger(nn.Module):

        def __init__(self):
            super().__init__()
            self.decoder = nn.Conv2d(1, 1, 1)

    with pytest.raises(ConfigError, match='Stranger.*Conv2d.*neither `iters`.*nor `flow_div`'):
        readout_for(Stranger())

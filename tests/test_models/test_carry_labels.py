"""Maps of labels along a flow."""
from __future__ import annotations

import pytest
import torch

from mmrefine.models import carry_labels


def test_a_mask_moves_with_the_object():
    mask = torch.zeros(6, 8)
    mask[2:4, 1:3] = 1.
    flow_bw = torch.zeros(2, 6, 8)
    flow_bw[0], flow_bw[1] = -3., 1.  # the object went 3 px right and 1 px up
    moved = torch.zeros(6, 8)
    moved[1:3, 4:6] = 1.
    torch.testing.assert_close(carry_labels(mask, flow_bw), moved)


def test_half_a_pixel_of_motion_makes_a_soft_edge():
    mask = torch.zeros(3, 6)
    mask[:, :3] = 1.
    flow_bw = torch.zeros(2, 3, 6)
    flow_bw[0] = -0.5
    assert carry_labels(mask, flow_bw)[1].tolist() == pytest.approx([0.5, 1, 1, 0.5, 0, 0])  # 0 comes in from outside


def test_an_object_that_moves_leaves_no_trail_where_the_way_back_is_checked():
    before, after = torch.zeros(20, 40), torch.zeros(20, 40)
    before[5:15, 5:15], after[5:15, 11:21] = 1., 1.  # 6 px to the right, over a background that stands still
    flow_fw, flow_bw = torch.zeros(2, 20, 40), torch.zeros(2, 20, 40)
    flow_fw[0], flow_bw[0] = 6 * before, -6 * after
    trail, clean = carry_labels(before, flow_bw), carry_labels(before, flow_bw, flow_fw)
    torch.testing.assert_close(trail, (before + after).clamp(max=1))  # the exact motion, and yet
    # what comes into view is background where background is nearer, and of the object where that is nearer:
    # half of the trail goes
    torch.testing.assert_close(clean[:, :8], after[:, :8])
    torch.testing.assert_close(clean[:, 11:], after[:, 11:])


def test_what_never_returns_is_carried_as_it_is():
    mask = torch.rand(8, 9, generator=torch.Generator().manual_seed(0))
    flow_bw = torch.full((2, 8, 9), 1.)
    astray = torch.full((2, 8, 9), 30.)
    assert torch.equal(carry_labels(mask, flow_bw, astray), carry_labels(mask, flow_bw))
    astray[:, :4] = -1.  # a part that returns is not asked for the rest
    assert torch.equal(carry_labels(mask, flow_bw, astray), carry_labels(mask, flow_bw))
    # all of it does
    torch.testing.assert_close(carry_labels(mask, flow_bw, -flow_bw)[:7, :8], carry_labels(mask, flow_bw)[:7, :8])


def test_a_flow_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'\(6, 8\) and \(2, 3, 4\)'):
        carry_labels(torch.zeros(6, 8), torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r'\(6, 8\) and \(2, 6, 8\) and \(2, 5, 8\)'):
        carry_labels(torch.zeros(6, 8), torch.zeros(2, 6, 8), torch.zeros(2, 5, 8))


def test_several_maps_move_as_each_does_alone():
    maps = torch.rand(3, 2, 16, 20)
    flow = torch.randn(2, 2, 16, 20) * 0.4
    flow[1] = -flow[0] + torch.randn(2, 16, 20) * 0.3
    together = carry_labels(maps, flow[0], flow[1])
    for i, j in ((0, 0), (2, 1)):
        assert torch.equal(together[i, j], carry_labels(maps[i, j], flow[0], flow[1]))
    assert not torch.equal(together, carry_labels(maps, flow[0]))  # some were filled in

"""Our windows of matches and our gated update are those of mmflow, whatever fits into memory."""
from __future__ import annotations

import pytest
import torch

from mmrefine.models.raft_fast.correlation import Correlation, _chunk_bytes, corr_bytes
from mmrefine.models.raft_fast.update_gates import UpdateGates


def mmflow_windows(feat1, feat2, flow, levels, radius):
    from mmflow.models.decoders.raft_decoder import CorrelationPyramid
    from mmflow.models.utils.corr_lookup import CorrLookup
    return CorrLookup(radius=radius)(CorrelationPyramid(num_levels=levels)(feat1, feat2), flow)


def features(height, width, batch=2, channels=24):
    return torch.randn(batch, channels, height, width), torch.randn(batch, channels, height, width)


# 8 x 8 ends at a level of one cell, 9 x 13 loses rows and columns at each level
@pytest.mark.parametrize('size', [(8, 8), (9, 13), (8, 16)])
@pytest.mark.parametrize('radius', [3, 4])
@pytest.mark.parametrize('kept', [0, 1, 2, 4])
def test_windows_are_those_of_mmflow_whichever_levels_are_kept(size, radius, kept):
    torch.manual_seed(0)
    feat1, feat2 = features(*size)
    flow = 4 * torch.randn(2, 2, *size)  # many land outside
    flow[:, :, 0, 0] = torch.tensor([[0., 1.], [-300., 5000.]])
    limit = sum(corr_bytes(2 * size[0] * size[1], size, 4)[4 - kept:])
    corr = Correlation(feat1, feat2, levels=4, radius=radius, max_bytes=limit)
    assert corr.first_kept == 4 - kept
    torch.testing.assert_close(corr(flow), mmflow_windows(feat1, feat2, flow.clone(), 4, radius), rtol=0, atol=2e-5)


def test_a_mirrored_batch_looks_back_where_it_was_looked_at():
    torch.manual_seed(0)
    one, two = features(9, 12, batch=3)
    flow = 3 * torch.randn(6, 2, 9, 12)
    plain = Correlation(torch.cat([one, two]), torch.cat([two, one]), 4, 3, max_bytes=10**9)
    mirrored = Correlation(torch.cat([one, two]), torch.cat([two, one]), 4, 3, max_bytes=10**9, mirrored=True)
    torch.testing.assert_close(mirrored(flow), plain(flow), rtol=0, atol=1e-5)


def test_rows_are_compared_in_chunks_that_give_the_whole(monkeypatch):
    torch.manual_seed(0)
    feat1, feat2 = features(9, 13)
    flow = 3 * torch.randn(2, 2, 9, 13)
    corr = Correlation(feat1, feat2, 4, 3, max_bytes=0)
    whole = corr(flow)
    seen = []
    product = torch.bmm
    # two rows of 13 cells
    monkeypatch.setattr('mmrefine.models.raft_fast.correlation._CHUNK_BYTES', 4 * 64 * 24 * 13 * 2)
    monkeypatch.setattr(torch, 'bmm', lambda a, b: seen.append(len(a)) or product(a, b))
    torch.testing.assert_close(corr(flow), whole, rtol=0, atol=1e-6)
    assert seen == [26] * 9 * 4  # 2 * 9 rows, two at a time, on 4 levels


# some levels of one row or column, which has no outside
@pytest.mark.parametrize('size', [(9, 13), (17, 22), (8, 8), (8, 40)])
def test_the_way_of_a_gpu_gives_the_same_windows(size):
    feat1, feat2 = features(*size)
    for spread in (.5, 3., 100.):
        flow = spread * torch.randn(2, 2, *size)
        corr = Correlation(feat1, feat2, 4, 3, max_bytes=2**40)
        found, wanted = corr._sampled(flow), corr(flow)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-4)


def test_a_gpu_takes_pieces_as_large_as_the_limit_leaves():
    assert _chunk_bytes('cpu', 2**40) == _chunk_bytes('cuda', -5) == _chunk_bytes('cuda', 2**20) == 2**23
    assert _chunk_bytes('cuda', 2**30) == 2**30 and _chunk_bytes('cuda', 2**40) == 2**31


def test_the_predicted_bytes_are_those_of_mmflows_pyramid():
    from mmflow.models.decoders.raft_decoder import CorrelationPyramid
    feat1, feat2 = features(9, 13)
    pyramid = CorrelationPyramid(num_levels=4)(feat1, feat2)
    assert corr_bytes(2 * 9 * 13, (9, 13), 4) == [level.numel() * level.element_size() for level in pyramid]


@pytest.mark.parametrize('kind', ['Conv', 'SeqConv'])
def test_the_update_is_that_of_mmflow(kind):
    from mmflow.models.decoders.raft_decoder import ConvGRU
    torch.manual_seed(0)
    gru = ConvGRU(12, 5 + 7, net_type=kind)
    context, hidden, motion = torch.randn(2, 5, 6, 8), torch.tanh(torch.randn(2, 12, 6, 8)), torch.randn(3, 2, 7, 6, 8)
    with torch.no_grad():
        gates, ours, theirs = UpdateGates(gru, 12, context), hidden, hidden
        for step in motion:
            ours, theirs = gates(ours, step), gru(theirs, torch.cat([context, step], dim=1))
    # sums of 216 products in another order, three times over; how far off that is depends on the CPU
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-6)
    assert float((ours - hidden).abs().max()) > .1

"""From the data loader to the device."""
from __future__ import annotations

import pytest
import torch

from mmrefine.models import FramePreprocessor


def test_grey_levels_become_fractions():
    pair = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    out = FramePreprocessor()(dict(inputs=[pair, pair], data_samples=['a', 'b']))
    assert out['inputs'].dtype == torch.float32 and tuple(out['inputs'].shape) == (2, 2, 3, 4, 5)
    assert out['inputs'][1, 1, :, 2, 3].tolist() == pytest.approx([0., 0.2, 1.])
    assert out['data_samples'] == ['a', 'b']


def test_floats_and_stacked_batches_pass_unchanged():
    batch = torch.rand(3, 2, 3, 4, 5)
    data = dict(inputs=batch)
    out = FramePreprocessor()(data)
    assert torch.equal(out['inputs'], batch) and out['data_samples'] is None
    assert set(data) == {'inputs'}


def test_frames_of_two_sizes_in_one_batch_are_named():
    with pytest.raises(ValueError, match=r'\(4, 5\) and \(4, 6\).*batch_size=1'):
        FramePreprocessor()(dict(inputs=[torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 6)]))

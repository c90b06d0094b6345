"""Labels of pixels from those of points."""
from __future__ import annotations

import torch

from mmrefine.models.propagation.by_tracks import labels_of_nearest


def test_the_labels_of_the_nearest_points_equal_brute_force():
    generator = torch.Generator().manual_seed(0)
    points, labels = torch.rand(60, 2, generator=generator) * 70 - 10, torch.rand(60, 3, generator=generator)
    y, x = torch.meshgrid(torch.arange(37), torch.arange(50), indexing='ij')
    pixels = torch.stack([x, y], dim=-1).view(-1, 2).float()
    for nearest in (1, 4, 60, 99):
        distance, which = (pixels[:, None] - points).norm(dim=-1).topk(min(nearest, 60), largest=False)
        weight = 1 / (distance + 1)
        wanted = ((labels[which] * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)).t().view(3, 37, 50)
        torch.testing.assert_close(labels_of_nearest(points, labels, (37, 50), nearest), wanted)

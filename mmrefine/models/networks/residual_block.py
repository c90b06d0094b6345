"""The residual block that the encoders of the official RAFT and of PIPs are made of."""
from __future__ import annotations

from typing import List, Optional, Tuple

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn


class ResidualBlock(BaseModule):
    """A residual block whose branch ends in a ReLU: ``relu(shortcut(x) + relu(norm(conv(...))))``.

    mmflow's bottleneck leaves that last ReLU of the branch out (F13 in docs/platform.md), and neither of its blocks can
    do without a norm.

    Args:
        kernels: side of each convolution of the branch, px.
        channels: of the input, and after each convolution.
        strided: index of the convolution that carries the stride.
        stride: 1 or 2; with 2 the shortcut is a strided 1x1 convolution and a norm, with 1 it is the identity.
        norm_cfg: norm after each convolution, ``None`` for none.
    """

    def __init__(self, kernels: Tuple[int, ...], channels: Tuple[int, ...], strided: int, stride: int,
                 norm_cfg: Optional[dict]) -> None:
        super().__init__()
        self.steps: List[Tuple[str, Optional[str]]] = []
        for i, kernel in enumerate(kernels):
            conv = nn.Conv2d(
                channels[i],
                channels[i + 1],
                kernel,
                stride=stride if i == strided else 1,
                padding=kernel // 2)
            self.add_module(f'conv{i + 1}', conv)
            self.steps.append((f'conv{i + 1}', add_norm(self, norm_cfg, channels[i + 1], i + 1)))
        self.relu = nn.ReLU()
        self.downsample: Optional[nn.Sequential] = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(channels[0], channels[-1], 1, stride=stride))
            if norm_cfg is not None:
                self.downsample.append(build_norm_layer(norm_cfg, channels[-1])[1])

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> ``(B, C', H / stride, W / stride)``."""
        out = x
        for conv, norm in self.steps:
            out = getattr(self, conv)(out)
            if norm is not None:
                out = getattr(self, norm)(out)
            out = self.relu(out)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(shortcut + out)


def add_norm(module: nn.Module, norm_cfg: Optional[dict], channels: int,
             postfix: int) -> Optional[str]:
    """Add a norm under mmflow's name (``bn1``, ``in1``, ...) and return that name; nothing and ``None`` without a
    config."""
    if norm_cfg is None:
        return None
    name, norm = build_norm_layer(norm_cfg, channels, postfix=postfix)
    module.add_module(name, norm)
    return name

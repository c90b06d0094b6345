"""The encoder of CorrFlow (Lai and Xie, BMVC 2019): a ResNet-18 that looks at a quarter of the size."""
from __future__ import annotations

from typing import List

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefine.errors import InputError
from mmrefine.registry import MODELS
from mmrefine.values import as_count

LEAST_SIDE = 8  # px; the guard cuts frames to multiples of it


class BasicBlock(BaseModule):
    """``relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))`` with convolutions of 3x3.

    Args:
        before: channels of the input.
        channels: of the output; where they differ, or with a stride, the shortcut is a 1x1 convolution and a norm.
        stride: 1 or 2.
    """

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(
            nn.Conv2d(before, channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(channels)) if stride != 1 or before != channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, H, W)`` -> ``(B, channels, H / stride, W / stride)``, rounded up."""
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + self.downsample(x))


@MODELS.register_module()
class CorrFlowEncoder(BaseModule):
    """Features by which CorrFlow finds a place of one frame again in another (section 3 and appendix A).

    A ResNet-18 without max-pooling whose third and fourth stages keep the size, then a convolution to
    ``out_channels``. 5,291,648 parameters with the default.

    Args:
        out_channels: of the features.
        init_cfg: MMEngine's; default: what PyTorch's layers start with, as in the authors' code. With larger weights,
            such as Kaiming's, a cell at first copies from whichever neighbour has the longest features, which takes
            hundreds of steps to unlearn.

    Raises:
        ConfigError: ``out_channels`` below 1.
    """
    stride = 4

    def __init__(self, out_channels: int = 64, init_cfg: object = None) -> None:
        super().__init__(init_cfg)
        self.out_channels = as_count('CorrFlowEncoder.out_channels', out_channels)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        stages: List[nn.Module] = []
        before = 64
        for channels, stride in ((64, 1), (128, 2), (256, 1), (256, 1)):
            stages.append(nn.Sequential(BasicBlock(before, channels, stride), BasicBlock(channels, channels, 1)))
            before = channels
        self.layers = nn.Sequential(*stages)
        self.head = nn.Conv2d(before, self.out_channels, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames ``(B, 3, H, W)``, RGB in [0, 1] -> ``(B, out_channels, H / 4, W / 4)``, rounded up.

        Raises:
            InputError: frames that are smaller than 8 px.
        """
        if min(frames.shape[-2:]) < LEAST_SIDE:
            raise InputError(f'frames of {frames.shape[-2]}x{frames.shape[-1]} px (height x width) are too small for '
                             f'CorrFlow, which needs {LEAST_SIDE} px a side; enlarge them')
        return self.head(self.layers(self.relu(self.bn1(self.conv1(frames)))))

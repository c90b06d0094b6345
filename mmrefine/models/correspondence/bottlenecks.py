"""What of their colours frames show to a network that learns to copy colours, which it could match by otherwise."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmrefine.geometry import luma
from mmrefine.registry import MODELS
from mmrefine.values import as_share


@MODELS.register_module()
class ChannelDropout(nn.Module):
    """In training, black out one or two of the three channels now and then: the same for a whole batch.

    Those that remain are brighter, by 3 / 2 or by 3, so that the sum over channels stays what it is on average.
    Evaluation sees all colours. Source: CorrFlow (Lai and Xie, BMVC 2019), section 3.2, and its code.

    Args:
        prob: how often, in [0, 1]; one and two channels are equally likely.

    Raises:
        ConfigError: ``prob`` outside [0, 1].
    """
    in_use = False  # the network sees all colours in use

    def __init__(self, prob: float = 0.7) -> None:
        super().__init__()
        self.prob = as_share('ChannelDropout.prob', prob)

    @property
    def is_constant(self) -> bool:
        """Whether the network sees no other frames in training, so that statistics can only be theirs."""
        return self.prob == 1

    def forward(self, frames: Tensor) -> Tensor:
        """``(..., 3, H, W)`` RGB -> a new tensor of that shape, or the frames themselves where nothing is dropped."""
        if not self.training:
            return frames
        dropped, count, order = torch.rand(()) < self.prob, int(torch.randint(1, 3, ())), torch.randperm(3)
        if not dropped:
            return frames
        factor = frames.new_full((3, 1, 1), 3 / (3 - count))
        factor[order[:count].to(frames.device)] = 0.
        return frames * factor

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'prob={self.prob}'


@MODELS.register_module()
class GreyInput(nn.Module):
    """Frames without their colours, in training and in use: the luma (ITU-R BT.601) in all three channels.

    As Vondrick et al. (ECCV 2018) do; what CorrFlow's ablation has in place of :class:`ChannelDropout`.
    """
    in_use = True  # the network sees such frames in use, too

    def forward(self, frames: Tensor) -> Tensor:
        """``(..., 3, H, W)`` RGB in [0, 1] -> the same shape."""
        grey = luma(frames.reshape(-1, *frames.shape[-3:])) / 255
        return grey.expand(-1, 3, -1, -1).reshape(frames.shape)

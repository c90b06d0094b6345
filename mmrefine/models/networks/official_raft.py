"""The image encoder of RAFT as its authors trained it, for use inside mmflow's ``RAFT`` (F13 in docs/platform.md)."""
from __future__ import annotations

from typing import List, Optional, Union

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.models.networks.residual_block import ResidualBlock, add_norm
from mmrefine.registry import MODELS

# channels of the stem and of the three stages
_CHANNELS = {'Basic': (64, 64, 96, 128), 'Small': (32, 32, 64, 96)}
_STRIDES = (1, 2, 2)
_BLOCKS_PER_STAGE = 2

# The authors' initialisation (their norms start at weight 1, bias 0, as PyTorch's do).
_INIT = dict(type='Kaiming', layer=['Conv2d'], mode='fan_out', nonlinearity='relu')


@MODELS.register_module()
class OfficialRAFTEncoder(BaseModule):
    """RAFT's feature or context encoder, 1/8 of the frame size, as published by the authors.

    It differs from mmflow's ``RAFTEncoder`` in the ReLU that ends the branch of each bottleneck (so in the small
    network only) and in that it can go without a norm (F13 in docs/platform.md); parameters have the same names. In a
    config of mmflow's ``RAFT`` it is ``encoder=dict(type='mmrefine.OfficialRAFTEncoder', ...)``.
    Source: Teed & Deng, RAFT, ECCV 2020, figure 3 and appendix.

    Args:
        in_channels: channels of a frame.
        out_channels: channels of the features; of a context encoder: hidden state plus context.
        net_type: ``'Basic'`` (residual blocks of 64, 96, 128 channels) or ``'Small'`` (bottlenecks of 32, 64, 96).
        norm_cfg: norm after each convolution but the last, e.g. ``dict(type='IN')``; ``None`` for none.
        init_cfg: initialisation; default: the authors' (Kaiming normal, fan out).

    Raises:
        ConfigError: a ``net_type`` that does not exist.
    """

    def __init__(self,
                 in_channels: int = 3,
                 out_channels: int = 128,
                 net_type: str = 'Basic',
                 norm_cfg: Optional[dict] = None,
                 init_cfg: Optional[Union[dict, List[dict]]] = None) -> None:
        super().__init__(init_cfg=_INIT if init_cfg is None else init_cfg)
        if net_type not in _CHANNELS:
            raise ConfigError(f'OfficialRAFTEncoder: net_type is {net_type!r}, but there are only '
                              f'{" and ".join(map(repr, _CHANNELS))}')
        # mmflow's RAFT reads these two.
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.net_type = net_type
        stem, *stages = _CHANNELS[net_type]
        self.conv1 = nn.Conv2d(in_channels, stem, 7, stride=2, padding=3)
        self._stem_norm = add_norm(self, norm_cfg, stem, 1)
        self.relu = nn.ReLU()
        before = stem
        self.res_layers: List[str] = []
        for i, (channels, stride) in enumerate(zip(stages, _STRIDES)):
            blocks = []
            for k in range(_BLOCKS_PER_STAGE):
                blocks.append(
                    _make_block(net_type, before, channels, stride if k == 0 else 1, norm_cfg))
                before = channels
            self.add_module(f'res_layer{i + 1}', nn.Sequential(*blocks))
            self.res_layers.append(f'res_layer{i + 1}')
        self.conv2 = nn.Conv2d(before, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Frames ``(B, in_channels, H, W)`` in [-1, 1] -> features ``(B, out_channels, H / 8, W / 8)``."""
        x = self.conv1(x)
        if self._stem_norm is not None:
            x = getattr(self, self._stem_norm)(x)
        x = self.relu(x)
        for name in self.res_layers:
            x = getattr(self, name)(x)
        return self.conv2(x)


def _make_block(net_type: str, before: int, channels: int, stride: int,
                norm_cfg: Optional[dict]) -> ResidualBlock:
    """A residual block (two 3x3) or a bottleneck (1x1, 3x3, 1x1 through a quarter of the channels)."""
    if net_type == 'Basic':
        return ResidualBlock((3, 3), (before, channels, channels), 0, stride, norm_cfg)
    narrow = channels // 4
    return ResidualBlock((1, 3, 1), (before, narrow, narrow, channels), 1, stride, norm_cfg)

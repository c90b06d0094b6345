"""PIPs, the tracker of single points through windows of eight frames (Harley, Fang, Fragkiadaki, ECCV 2022)."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefine.errors import ConfigError, InputError
from mmrefine.geometry import resize, sample
from mmrefine.models.networks.pips_correlation import TrackCorrelation
from mmrefine.models.networks.residual_block import ResidualBlock
from mmrefine.registry import MODELS
from mmrefine.values import as_count

_STRIDES = (1, 2, 2, 2)  # of the encoder's stages, after a stride of 2
_WAVES = 64  # sines and cosines of each of x, y and time


class PIPsOutput(NamedTuple):
    """What PIPs says of N points in S frames.

    Args:
        points: after each iteration ``(B, S, N, 2)`` px, (x, y); of a network in evaluation mode only after the last.
        visibility: ``(B, S, N)``, logits.
        query_feature: ``(B, N, C)``, the feature that the tracks started with.
        track_features: before each iteration ``(B, S, N, C)``; empty in evaluation mode.
    """
    points: List[Tensor]
    visibility: Tensor
    query_feature: Tensor
    track_features: List[Tensor]


class PIPsEncoder(BaseModule):
    """Features of frames at ``1 / stride`` of their size: four stages, all resized to that size, and two convolutions.

    Args:
        out_channels: of the features.
        stride: 4 or 8.
        stages: channels of the stages.
    """

    def __init__(self, out_channels: int = 128, stride: int = 8, stages: Sequence[int] = (64, 96, 128, 128)) -> None:
        super().__init__(init_cfg=dict(type='Kaiming', layer=['Conv2d'], mode='fan_out', nonlinearity='relu'))
        self.stride = stride
        self.conv1 = nn.Conv2d(3, stages[0], 7, stride=2, padding=3)
        self.norm1 = nn.InstanceNorm2d(stages[0])
        before = stages[0]
        norm = dict(type='IN')
        for number, (channels, step) in enumerate(zip(stages, _STRIDES), start=1):
            self.add_module(f'res_layer{number}', nn.Sequential(
                ResidualBlock((3, 3), (before, channels, channels), 0, step, norm),
                ResidualBlock((3, 3), (channels, channels, channels), 0, 1, norm)))
            before = channels
        self.conv2 = nn.Conv2d(sum(stages), 2 * out_channels, 3, padding=1)
        self.norm2 = nn.InstanceNorm2d(2 * out_channels)
        self.conv3 = nn.Conv2d(2 * out_channels, out_channels, 1)
        self.relu = nn.ReLU()

    def forward(self, frames: Tensor) -> Tensor:
        """Frames ``(B, 3, H, W)`` in [-1, 1] -> ``(B, out_channels, H // stride, W // stride)``."""
        size = (frames.shape[-2] // self.stride, frames.shape[-1] // self.stride)
        x = self.relu(self.norm1(self.conv1(frames)))
        stages = []
        for number in range(1, len(_STRIDES) + 1):
            x = getattr(self, f'res_layer{number}')(x)
            stages.append(resize(x, size))
        return self.conv3(self.relu(self.norm2(self.conv2(torch.cat(stages, dim=1)))))


class MixerBlock(BaseModule):
    """One layer of an MLP-Mixer: across the tokens, then across the channels, each with a residual.

    Args:
        tokens: how many.
        channels: of each.
    """

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.norm_tokens = nn.LayerNorm(channels)
        self.tokens = nn.Sequential(nn.Conv1d(tokens, 4 * tokens, 1), nn.GELU(), nn.Conv1d(4 * tokens, tokens, 1))
        self.norm_channels = nn.LayerNorm(channels)
        self.channels = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, tokens, channels)`` to the same shape."""
        x = x + self.tokens(self.norm_tokens(x))
        return x + self.channels(self.norm_channels(x))


class TrackMixer(BaseModule):
    """Changes of points and features of tracks, from what is seen along each: an MLP-Mixer whose tokens are the frames.

    Args:
        frames: S.
        in_channels: of what is seen in each frame.
        out_channels: of the change in each frame.
        channels: inside.
        depth: layers.
    """

    def __init__(self, frames: int, in_channels: int, out_channels: int, channels: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Linear(in_channels, channels)
        self.blocks = nn.Sequential(*(MixerBlock(frames, channels) for _ in range(depth)))
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, frames * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, S, in_channels)`` -> ``(B, S, out_channels)``."""
        mean = self.norm(self.blocks(self.enter(x))).mean(dim=1)
        return self.leave(mean).unflatten(1, (x.shape[1], -1))


@MODELS.register_module()
class PIPs(BaseModule):
    """Tracks points from the first frame of a window through all of it, visible or not.

    Each iteration looks at how well a track's feature fits around its points, in all frames at once, and moves points
    and features. Frames are encoded once (:meth:`encode`), however many points are asked for. The weights of the
    authors' code are converted by ``tools/convert_checkpoint.py``.

    Args:
        stride: of the features, px: 4 or 8.
        window: S, frames that are seen at once.
        feat_channels: of the features.
        corr_levels: scales of the correlation, each half of the one before.
        corr_radius: of its windows.
        mixer_channels: of the mixer.
        mixer_depth: its layers.
        encoder_channels: of the four stages of the encoder.

    Raises:
        ConfigError: a stride that there is not, a window below 3, or another number below 1.
    """

    def __init__(self,
                 stride: int = 4,
                 window: int = 8,
                 feat_channels: int = 128,
                 corr_levels: int = 4,
                 corr_radius: int = 3,
                 mixer_channels: int = 512,
                 mixer_depth: int = 12,
                 encoder_channels: Sequence[int] = (64, 96, 128, 128)) -> None:
        super().__init__()
        if stride not in (4, 8):
            raise ConfigError(f'PIPs.stride must be 4 or 8, got {stride!r}')
        self.stride, self.window = stride, as_count('PIPs.window', window, 3)
        self.corr_levels = as_count('PIPs.corr_levels', corr_levels)
        self.corr_radius = as_count('PIPs.corr_radius', corr_radius)
        self.feat_channels = channels = as_count('PIPs.feat_channels', feat_channels)
        seen = channels + corr_levels * (2 * corr_radius + 1)**2 + 3 * _WAVES + 3
        if len(encoder_channels) != len(_STRIDES):
            raise ConfigError(f'PIPs.encoder_channels must be {len(_STRIDES)} numbers, got {encoder_channels!r}')
        stages = [as_count('PIPs.encoder_channels', count) for count in encoder_channels]
        self.encoder = PIPsEncoder(channels, stride, stages)
        self.mixer = TrackMixer(window, seen, channels + 2, as_count('PIPs.mixer_channels', mixer_channels),
                                as_count('PIPs.mixer_depth', mixer_depth))
        self.feature_norm = nn.GroupNorm(1, channels)
        self.feature_update = nn.Sequential(nn.Linear(channels, channels), nn.GELU())
        self.visibility = nn.Linear(channels, 1)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames ``(..., 3, H, W)`` RGB in [0, 1] -> features ``(..., C, H // stride, W // stride)``.

        Raises:
            InputError: frames that have nothing at the coarsest level.
        """
        least = self.stride * 2**(self.corr_levels - 1)
        if min(frames.shape[-2:]) < least:
            raise InputError(f'frames of {frames.shape[-2]}x{frames.shape[-1]} px (height x width) are too small for '
                             f'PIPs of stride {self.stride}, which needs {least} px a side; enlarge them')
        flat = frames.reshape(-1, *frames.shape[-3:])
        features = self.encoder(2 * flat - 1)
        return features.reshape(*frames.shape[:-3], *features.shape[1:])

    def forward(self, features: Tensor, queries: Tensor, iters: int = 6,
                query_feature: Optional[Tensor] = None) -> PIPsOutput:
        """Track points through a window.

        Args:
            features: ``(B, S, C, h, w)``, see :meth:`encode`.
            queries: ``(B, N, 2)`` px, (x, y), where the points are in the first frame; they may lie outside of it.
            iters: iterations, at least 1.
            query_feature: ``(B, N, C)``, what the points look like; None: as at the queries. A track that goes on from
                another window keeps that of its first.

        Raises:
            ValueError: another number of frames.
        """
        if features.shape[1] != self.window:
            raise ValueError(f'PIPs sees {self.window} frames at once, got {features.shape[1]}')
        first = queries / self.stride
        points = first[:, None].expand(-1, self.window, -1, -1)  # at rest
        if query_feature is None:
            query_feature = sample(features[:, 0], first.permute(0, 2, 1)[:, :, None],
                                   'border')[:, :, 0].permute(0, 2, 1)
        tracks = query_feature[:, None].expand(-1, self.window, -1, -1)
        correlation = TrackCorrelation(features, self.corr_levels, self.corr_radius)
        # the authors' times: from 0 to S in S steps
        times = torch.linspace(0, self.window, self.window, device=points.device).view(1, -1, 1, 1)
        locked = points[:, :1]
        found: List[Tensor] = []
        history: List[Tensor] = []
        for _ in range(iters):
            points = points.detach()
            if self.training:
                history.append(tracks)
            seen = correlation(points, tracks)
            moved = torch.cat([points - points[:, :1], times.expand(*points.shape[:3], 1)], dim=-1)
            token = torch.cat([tracks, seen, _waves(moved)], dim=-1)
            change = self.mixer(token.transpose(1, 2).flatten(0, 1)).unflatten(0, token.shape[:1] + token.shape[2:3])
            change = change.transpose(1, 2)  # (B, S, N, 2 + C)
            step = self.feature_norm(change[..., 2:].reshape(-1, tracks.shape[-1]))
            tracks = tracks + self.feature_update(step).view_as(tracks)
            points = points + change[..., :2]
            if not self.training:  # the query is known
                points = torch.cat([locked, points[:, 1:]], dim=1)
                found.clear()
            found.append(points * self.stride)
        return PIPsOutput(found, self.visibility(tracks)[..., 0], query_feature, history)


def _waves(moved: Tensor) -> Tensor:
    """``(..., 3)`` (x, y, time) -> ``(..., 3 * 64 + 3)``: sines and cosines of each, in turns, then the three."""
    rates = torch.arange(0, _WAVES, 2, device=moved.device, dtype=torch.float32) * (1000. / _WAVES)
    angles = moved[..., None] * rates
    return torch.cat([torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3), moved], dim=-1)

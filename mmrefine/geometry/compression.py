"""The loss of JPEG compression, and an estimate of the quality that a picture was compressed with; in memory."""
from __future__ import annotations

import math
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

# ITU-T T.81, annex K: the quantisation steps for luma and chroma that nearly all encoders scale, from low to high
# frequency in reading order
BRIGHTNESS = (16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
              22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
              87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99)
COLOUR = (17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99,
          99, 99, 99, 99, 99, *(99, ) * 32)
BLOCK = 8  # px
QUALITIES = tuple(range(20, 99, 2))
NEIGHBOUR = 2  # places in QUALITIES between a quality and those that it is compared with
DIP = 0.2  # of the logarithm of the change; pictures that were never compressed stay below 0
EXTENT = 512  # px a side that are looked at; more do not improve the estimate


def jpeg_loss(frames: Tensor, quality: int) -> Tensor:
    """Frames after JPEG compression at a quality, with chroma at half the size.

    Args:
        frames: ``(B, 3, H, W)`` RGB in [0, 1].
        quality: 1 to 100, as libjpeg counts.

    Returns:
        the same shape, rounded to 8 bits; close to libjpeg, whose chroma differs by up to about a grey level.
    """
    height, width = frames.shape[-2:]
    size = 2 * BLOCK
    padded = F.pad((255 * frames).round(), (0, -width % size, 0, -height % size), mode='replicate')
    red, green, blue = padded.unbind(1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    tint = torch.stack([(blue - grey) / 1.772, (red - grey) / 1.402], dim=1)
    grey = _quantized(grey[:, None].round() - 128, _steps(BRIGHTNESS, quality, frames))[:, 0] + 128
    tint = _quantized(F.avg_pool2d(tint.round(), 2).round(), _steps(COLOUR, quality, frames))
    tint = F.interpolate(tint, scale_factor=2, mode='bilinear').round()
    red, blue = grey + 1.402 * tint[:, 1], grey + 1.772 * tint[:, 0]
    green = (grey - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], dim=1)[..., :height, :width].round().clamp(0, 255) / 255


def jpeg_quality(frame: Tensor) -> Optional[int]:
    """The JPEG quality of a frame ``(3, H, W)`` RGB in [0, 1], to about 2; None if it shows no trace of JPEG.

    Compressed once more, a picture changes least at the quality that it already has (Farid, "Exposing Digital Forgeries
    from JPEG Ghosts", 2009). Measured by the change of the luma within blocks of 8 px, for qualities from 24 to 94.
    A picture that was resized since, cropped off the grid of the blocks, or compressed by a video codec has none; of
    one that was compressed several times, one of the qualities is returned.
    """
    height, width = (min(side, EXTENT) // BLOCK * BLOCK for side in frame.shape[-2:])
    if not height or not width:
        return None
    red, green, blue = 255 * frame[:, :height, :width]
    waves = _waves((0.299 * red + 0.587 * green + 0.114 * blue)[None, None]).double()
    waves[..., 0, 0] = 0  # the mean of a block: in flat pictures it mimics a compression
    changes = []
    for quality in QUALITIES:
        steps = _steps(BRIGHTNESS, quality, waves)
        changes.append(float(((waves / steps).round() * steps - waves).square().mean()))
    # 0.05: about what rounding makes of a picture without content
    logs = [math.log(change + 0.05) for change in changes]
    depths = [min(logs[i - NEIGHBOUR], logs[i + NEIGHBOUR]) - logs[i] for i in range(NEIGHBOUR, len(logs) - NEIGHBOUR)]
    depth = max(depths)
    return QUALITIES[depths.index(depth) + NEIGHBOUR] if depth > DIP else None


def _steps(table: Tuple[int, ...], quality: int, like: Tensor) -> Tensor:
    """The quantisation steps of a table at a quality: ``(8, 8)`` grey levels."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return like.new_tensor([min(max((step * scale + 50) // 100, 1), 255) for step in table]).view(BLOCK, BLOCK)


def _basis(like: Tensor) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of 8 values: ``(8, 8)``, a wave in each row."""
    places = torch.arange(BLOCK, dtype=like.dtype, device=like.device)
    waves = torch.cos(math.pi / BLOCK * (places[None] + 0.5) * places[:, None]) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _waves(image: Tensor) -> Tensor:
    """The cosine transform of the blocks of an image ``(B, C, H, W)``: ``(B, C, H / 8, W / 8, 8, 8)``."""
    basis = _basis(image)
    return basis @ image.unflatten(-1, (-1, BLOCK)).unflatten(-3, (-1, BLOCK)).transpose(-3, -2) @ basis.T


def _quantized(image: Tensor, steps: Tensor) -> Tensor:
    """An image ``(B, C, H, W)`` around 0 after quantisation of its waves, in steps of 8 bits."""
    basis = _basis(image)
    blocks = basis.T @ ((_waves(image) / steps).round() * steps) @ basis
    return blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2).round().clamp(-128, 127)

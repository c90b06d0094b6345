"""From images to what the networks take."""
from __future__ import annotations

from typing import Sequence, Union

import numpy as np
import torch
from torch import Tensor


def as_frames(images: Union[np.ndarray, Sequence[np.ndarray]], device: Union[str, torch.device] = 'cpu') -> Tensor:
    """Images ``(H, W, 3)`` uint8 RGB of one size as a batch ``(B, 3, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy(np.stack(list(images))).to(device).permute(0, 3, 1, 2).float() / 255

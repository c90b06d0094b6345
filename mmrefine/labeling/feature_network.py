"""Filters that ask a network of correspondences, whose features tell whether two places show the same."""
from __future__ import annotations

from typing import Any, ClassVar, Dict, Tuple

import torch.nn.functional as F
from torch import Tensor

from mmrefine.labeling.second_network import SecondNetwork
from mmrefine.structures import FeatureEncoder
from mmrefine.values import as_number

_DIVISOR = 8  # px; sides are padded to multiples of it, so that all cells are whole


class FeatureNetwork(SecondNetwork):
    """What such filters have in common.

    Args:
        name: of the filter, for messages.
        features: config of the part of ``TEACHERS`` that has the network.
        tolerance: greatest change of the features, in [0, 2].

    Raises:
        ConfigError: a value out of range, or a network without features.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    described_by_contents: ClassVar[Tuple[str, ...]] = ('features', )

    def __init__(self, name: str, features: Dict[str, Any], tolerance: float) -> None:
        self.tolerance = as_number(f'{name}.tolerance', tolerance, '[0, 2]')
        super().__init__(f'{name}.features', features, FeatureEncoder, 'CorrespondenceLearner')

    def encode(self, frames: Tensor) -> Tuple[Tensor, int]:
        """Features of frames ``(B, 3, H, W)`` RGB in [0, 1], and px a cell."""
        padded = F.pad(frames, [0, -frames.shape[-1] % _DIVISOR, 0, -frames.shape[-2] % _DIVISOR], mode='replicate')
        found = self.network.to(frames.device).encode(padded).float()
        return found, padded.shape[-1] // found.shape[-1]

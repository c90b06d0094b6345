"""From the data loader to the device."""
from __future__ import annotations

from typing import Any, Dict

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmrefine.registry import MODELS


@MODELS.register_module()
class FramePreprocessor(BaseDataPreprocessor):
    """Stacks frame pairs, moves them to the device, and turns grey levels into RGB in [0, 1].

    Mean, standard deviation and channel order belong to a network, so they are applied in
    :class:`~mmrefine.models.refiners.FlowRefiner`, not here: the labeler's checks see the frames as they are.

    Args:
        non_blocking: passed on to the copy to the device.
    """

    def __init__(self, non_blocking: bool = False) -> None:
        super().__init__(non_blocking=non_blocking)

    def forward(self, data: Dict[str, Any], training: bool = False) -> Dict[str, Any]:
        """Prepare one batch.

        Args:
            data: ``inputs``: ``(2, C, H, W)`` tensors in a list, or stacked ``(B, 2, C, H, W)``; uint8 grey levels or
                floats in [0, 1]. Everything else is only moved to the device.
            training: not used; augmentation is the pipeline's business.

        Returns:
            the same dict with ``inputs`` ``(B, 2, C, H, W)`` float in [0, 1], and ``data_samples`` (None if absent).

        Raises:
            ValueError: frames of different sizes in one batch.
        """
        data = dict(self.cast_data(data))
        inputs = data['inputs']
        if not isinstance(inputs, Tensor):
            sizes = sorted({tuple(item.shape[-2:]) for item in inputs})
            if len(sizes) > 1:
                raise ValueError('the frames of one batch must have one size, got '
                                 f'{" and ".join(map(str, sizes))} (height, width); '
                                 'crop them in the pipeline or use batch_size=1')
            inputs = torch.stack(list(inputs))
        data['inputs'] = inputs.float() / 255. if inputs.dtype == torch.uint8 else inputs.float()
        data.setdefault('data_samples', None)
        return data

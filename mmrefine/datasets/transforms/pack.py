"""From numpy ``(H, W, C)`` to torch ``(C, H, W)``."""
from __future__ import annotations

from typing import Any, Dict

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmrefine.registry import TRANSFORMS
from mmrefine.structures import FlowSample


@TRANSFORMS.register_module()
class PackPair(BaseTransform):
    """Turn a frame pair into what the model's data preprocessor takes.

    Required keys: frame1, frame2, key, scene. Optional keys: flow, weight (1 everywhere if there is only flow); what
    ``LoadTruth(benchmark=True)`` adds to them; whole_frames, corner. Returns only: inputs, uint8 ``(2, 3, H, W)`` RGB;
    data_samples, a FlowSample with ``flow``, ``weight``, ``whole_frames`` and key, scene, size, corner.
    """

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Pack; nothing of ``results`` is shared with the tensors."""
        frames = np.stack([results['frame1'], results['frame2']]).transpose(0, 3, 1, 2)
        sample = FlowSample(
            metainfo=dict(key=results['key'], scene=results['scene'], size=tuple(results['frame1'].shape[:2])))
        if 'flow' in results:
            flow = results['flow']
            sample.flow = _to_tensor(flow)
            sample.weight = _to_tensor(results.get('weight', np.ones_like(flow[..., :1])))
            if 'regions' in results:
                sample.regions = {name: torch.from_numpy(region.copy()) for name, region in results['regions'].items()}
            if 'subpixel_flow' in results:
                sample.subpixel_flow = torch.stack([_to_tensor(flow) for flow in results['subpixel_flow']])
        if 'whole_frames' in results:
            sample.whole_frames = torch.from_numpy(
                np.ascontiguousarray(np.stack(results['whole_frames']).transpose(0, 3, 1, 2)))
            sample.set_metainfo(dict(corner=results['corner']))
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(frames)), data_samples=sample)


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    """``(H, W, C)`` -> float32 ``(C, H, W)``."""
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), dtype=np.float32, order='C'))

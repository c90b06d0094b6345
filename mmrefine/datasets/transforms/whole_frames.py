"""Keep the whole frames of a pair for the losses."""
from __future__ import annotations

from typing import Any, Dict

from mmcv.transforms import BaseTransform

from mmrefine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KeepWholeFrames(BaseTransform):
    """Keep both frames as they are now, for losses that compare frames.

    Such a loss then looks into the whole frame 2, where motion may leave the crop, and at the colours of the video,
    whatever later transforms show the network (full-frame warping of Stone et al., SMURF, CVPR 2021). Crops and mirrors
    that follow only note where the crop lies; a resize of the pair moves the whole frames along, too, so it must come
    before the crop. Costs memory and the transfer of both frames; losses on labels do not use them.

    Required keys: frame1, frame2. Added keys: whole_frames, a list of both; corner, (x, y) px of the crop in them.
    """

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Keep them; nothing writes into frames, so they are not copied."""
        return {**results, 'whole_frames': [results['frame1'], results['frame2']], 'corner': (0, 0)}

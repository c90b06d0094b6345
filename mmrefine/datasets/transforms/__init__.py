"""Transforms between disk and model: numpy ``(H, W, C)`` in, tensors out at :class:`PackPair` and :class:`PackClip`.

Every transform takes and returns a dict. That of a frame pair has ``frame1``, ``frame2`` ``(H, W, 3)`` uint8 RGB and,
once loaded, ``flow`` ``(H, W, 2)`` float32 px (x, y) and ``weight`` ``(H, W, 1)`` float32 in [0, 1]; that of a clip has
a list ``frames`` and, once loaded, ``tracks`` ``(N, T, 2)`` float32 px and ``visible`` bool ``(N, T)``. All randomness
comes from its ``rng``.
"""
from mmrefine.datasets.transforms.clip_loaders import LoadTracks, LoadTrackTruth
from mmrefine.datasets.transforms.clips import ClipBlur, ClipDrift, ClipOcclude, PackClip, SampleTracks
from mmrefine.datasets.transforms.eraser import Eraser
from mmrefine.datasets.transforms.jitter import ColorJitter
from mmrefine.datasets.transforms.loaders import LoadLabel, LoadTruth
from mmrefine.datasets.transforms.moves import move_pair
from mmrefine.datasets.transforms.noise import SensorNoise
from mmrefine.datasets.transforms.pack import PackPair
from mmrefine.datasets.transforms.self_warp import SelfWarp
from mmrefine.datasets.transforms.spatial import RandomCrop, RandomFlip, RandomScaleStretch
from mmrefine.datasets.transforms.whole_frames import KeepWholeFrames

__all__ = [
    'ClipBlur', 'ClipDrift', 'ClipOcclude', 'ColorJitter', 'Eraser', 'KeepWholeFrames', 'LoadLabel',
    'LoadTrackTruth', 'LoadTracks', 'LoadTruth', 'PackClip', 'PackPair', 'RandomCrop', 'RandomFlip',
    'RandomScaleStretch', 'SampleTracks', 'SelfWarp', 'SensorNoise', 'move_pair'
]

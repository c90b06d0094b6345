"""Transforms of a frame pair between disk and model: numpy ``(H, W, C)`` in, tensors out at :class:`PackPair`.

Every transform takes and returns a dict with ``frame1``, ``frame2`` ``(H, W, 3)`` uint8 RGB and, once loaded, ``flow``
``(H, W, 2)`` float32 px (x, y) and ``weight`` ``(H, W, 1)`` float32 in [0, 1]. All randomness comes from its ``rng``.
"""
from mmrefine.datasets.transforms.eraser import Eraser
from mmrefine.datasets.transforms.jitter import ColorJitter
from mmrefine.datasets.transforms.loaders import LoadLabel, LoadTruth
from mmrefine.datasets.transforms.moves import move_pair
from mmrefine.datasets.transforms.noise import SensorNoise
from mmrefine.datasets.transforms.pack import PackPair
from mmrefine.datasets.transforms.self_warp import SelfWarp
from mmrefine.datasets.transforms.spatial import RandomCrop, RandomFlip, RandomScaleStretch

__all__ = [
    'ColorJitter', 'Eraser', 'LoadLabel', 'LoadTruth', 'PackPair', 'RandomCrop', 'RandomFlip',
    'RandomScaleStretch', 'SelfWarp', 'SensorNoise', 'move_pair'
]

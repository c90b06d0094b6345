"""What happens to a frame pair between disk and model: numpy ``(H, W, C)`` in, tensors out at :class:`PackPair`.

Every transform takes and returns a dict with ``frame1``, ``frame2`` ``(H, W, 3)`` uint8 RGB and, once loaded, ``flow``
``(H, W, 2)`` float32 px (x, y) and ``weight`` ``(H, W, 1)`` float32 in [0, 1]. All randomness comes from its ``rng``.
"""
from .color import ColorJitter
from .eraser import Eraser
from .load import LoadLabel, LoadTruth
from .moves import move_pair
from .noise import SensorNoise
from .pack import PackPair
from .self_warp import SelfWarp
from .spatial import RandomCrop, RandomFlip, RandomScaleStretch

__all__ = [
    'ColorJitter', 'Eraser', 'LoadLabel', 'LoadTruth', 'PackPair', 'RandomCrop', 'RandomFlip',
    'RandomScaleStretch', 'SelfWarp', 'SensorNoise', 'move_pair'
]

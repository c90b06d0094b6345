"""Frame pairs from disk, and the order in which training draws them."""
from . import transforms  # noqa: F401  registers the transforms
from .benchmarks import KittiPairs, SintelPairs, SpringPairs
from .clips import DavisClips
from .frame_pairs import FramePairs, LazySources
from .held_out import split_pairs
from .samplers import DrawSampler

__all__ = ['DavisClips', 'DrawSampler', 'FramePairs', 'KittiPairs', 'LazySources', 'SintelPairs', 'SpringPairs', 'split_pairs']

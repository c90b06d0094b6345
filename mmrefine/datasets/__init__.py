"""Frame pairs from disk, and the order in which training draws them."""
from . import transforms  # noqa: F401  registers the transforms
from .samplers import DrawSampler

__all__ = ['DrawSampler']

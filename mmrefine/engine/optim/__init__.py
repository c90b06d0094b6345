"""Optimizer wrappers."""
from .bfloat16 import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper']

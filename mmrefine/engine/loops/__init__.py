"""The loop of rounds."""
from .self_training_loop import SelfTrainingLoop

__all__ = ['SelfTrainingLoop']

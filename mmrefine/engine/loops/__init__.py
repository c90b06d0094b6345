"""The loop of rounds."""
from mmrefine.engine.loops.self_training_loop import SelfTrainingLoop

__all__ = ['SelfTrainingLoop']

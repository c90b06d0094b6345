"""How far the training of a model is."""
from __future__ import annotations

from mmengine.logging import MessageHub


def training_step() -> int:
    """How many optimiser steps of the current run are done, as MMEngine's ``RuntimeInfoHook`` says before each step,
    also in a resumed run; 0 where nothing is being trained."""
    return int(MessageHub.get_current_instance().get_info('iter', 0))


def training_progress() -> float:
    """The share of the steps of the current run that are done, in [0, 1); 0 where nothing is being trained."""
    return training_step() / max(1, MessageHub.get_current_instance().get_info('max_iters', 1))

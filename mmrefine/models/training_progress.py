"""How far the training of a model is."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from mmengine.logging import MessageHub


def training_step() -> int:
    """How many optimiser steps of the current run are done, as MMEngine's ``RuntimeInfoHook`` says before each step,
    also in a resumed run; when it is over that stays, and before the first run of a process it is 0."""
    return int(MessageHub.get_current_instance().get_info('iter', 0))


def training_progress() -> float:
    """The share of the steps of the current run that are done, in [0, 1), by :func:`training_step`."""
    return training_step() / max(1, MessageHub.get_current_instance().get_info('max_iters', 1))


@contextmanager
def at_progress(share: float) -> Iterator[None]:
    """As if a share of the steps, in [0, 1], were done."""
    hub = MessageHub.get_current_instance()
    known = {name: hub.get_info(name) for name in ('iter', 'max_iters')}
    steps = 1000
    hub.update_info('iter', round(share * steps))
    hub.update_info('max_iters', steps)
    try:
        yield
    finally:
        for name, value in known.items():
            if value is None:
                hub.pop_info(name)
            else:
                hub.update_info(name, value)

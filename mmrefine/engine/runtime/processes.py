"""Helpers for the processes of a distributed run."""
from __future__ import annotations

from typing import Any, Callable, Optional, TypeVar

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_gather_object, is_distributed
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmrefine.errors import MMRefineError

T = TypeVar('T')


def join_processes(launcher: str) -> None:
    """Join the process group of ``launcher='pytorch'`` where there is no GPU; anything else is left to MMEngine's
    runner.

    MMEngine selects a CUDA device before it joins, which fails without one; it keeps a group that exists
    already. RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT come from the environment, as torchrun sets them.
    """
    if launcher == 'pytorch' and not torch.cuda.is_available() and not is_distributed():
        torch_dist.init_process_group('gloo')


def model_of(runner: Runner) -> Any:
    """The model of a run, without the wrapper that distributed training puts around it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def together(action: Callable[[], T]) -> T:
    """Run ``action`` in every process; if it fails in one, all raise its error instead of waiting forever.

    Returns:
        what ``action`` returned in this process, once all processes are done.

    Raises:
        MMRefineError: of the first process that failed.
    """
    result: Optional[T] = None
    failure: Optional[MMRefineError] = None
    try:
        result = action()
    except MMRefineError as error:
        failure = error
    for error_there in all_gather_object(failure):
        if error_there is not None:
            raise failure or error_there
    return result  # type: ignore[return-value]  # None only where T allows it

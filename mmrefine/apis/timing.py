"""Computations on small frames are timed to forecast those on large ones."""
from __future__ import annotations

import math
import time
from typing import Callable

import cv2
import numpy as np
import torch

from mmrefine.errors import MMRefineError

TIMED = 128 * 192  # px of the frames that are timed, at most; time is taken to grow like the pixels
WARM_UP = 64 * 96  # of those before them, when libraries set themselves up
LEAST_SIDE = 64  # px of the frames that are timed, as networks refuse what has nothing left at their coarsest level


def seconds_a_pixel(run: Callable[[int], int], device: str) -> float:
    """Time a computation on small frames.

    Args:
        run: given how many pixels a frame may have, computes and returns how many it had.
        device: where.
    """
    run(WARM_UP)
    began = time.perf_counter()
    pixels = run(TIMED)
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / pixels


def shrunk(frame: np.ndarray, pixels: int) -> np.ndarray:
    """A frame ``(H, W, 3)`` uint8 of at most about so many pixels, but no side is made shorter than 64 px; sides that
    change become multiples of 8."""
    share = max(math.sqrt(pixels / (frame.shape[0] * frame.shape[1])), LEAST_SIDE / min(frame.shape[:2]))
    if share >= 1:
        return frame
    height, width = (max(round(side * share / 8), 1) * 8 for side in frame.shape[:2])
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))


def tell(forecast: Callable[[], str], dry_run: bool, log: Callable[[str], None]) -> None:
    """Log a forecast; what stops it stops only a dry run, as the run itself says what is wrong, and where.

    Raises:
        MMRefineError: of a dry run, what is wrong with it.
    """
    try:
        line = forecast()
    except MMRefineError:
        if dry_run:
            raise
    except Exception as error:  # parts of the user's own need not have what is asked of them here
        log(f'no forecast ({type(error).__name__}: {" ".join(str(error).split())})')
    else:
        log(line)

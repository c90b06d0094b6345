"""How long it takes to estimate the flow of a video, told before it starts."""
from __future__ import annotations

import math
from typing import Any, Callable, Mapping

from mmrefine.apis.frame_damage import intact_pairs
from mmrefine.apis.timing import seconds_a_pixel, shrunk, tell
from mmrefine.engine.stage1.forecast import time_text
from mmrefine.fileio.video.frame_check import FrameCheck
from mmrefine.fileio.video.frames import Place
from mmrefine.fileio.video.reader import open_frames
from mmrefine.fileio.video.reading import Reading
from mmrefine.structures import PairBatch, as_frames


def tell_flow_forecast(scenes: Mapping[str, Place], checks: Mapping[str, FrameCheck], reading: Reading,
                       look: Callable[[PairBatch], Any], device: str, dry_run: bool,
                       log: Callable[[str], None], work: str = '') -> None:
    """Log how long the flow of all pairs takes.

    Args:
        scenes, checks, reading, look, device, work: see :func:`forecast_flow`.
        dry_run: nothing follows that would say what is wrong.
        log: called with a line.

    Raises:
        MMRefineError: of a dry run, what is wrong with it.
    """
    tell(lambda: forecast_flow(scenes, checks, reading, look, device, work), dry_run, log)


def forecast_flow(scenes: Mapping[str, Place], checks: Mapping[str, FrameCheck], reading: Reading,
                  look: Callable[[PairBatch], Any], device: str, work: str = '') -> str:
    """A line that says how long the flow of all pairs takes, from the first pair of intact frames at a small size.

    Args:
        scenes: where each one is.
        checks: what is known of the frames of each.
        reading: of the frames.
        look: estimates a batch of pairs there and back.
        device: where.
        work: what is done for each pair, to be told beside the time.

    Raises:
        InputError: a scene without a pair of intact frames.
    """
    pairs = {name: intact_pairs(scenes[name], check) for name, check in checks.items()}
    name, check = next(iter(checks.items()))
    frames = open_frames(scenes[name], sorted(frame.name for frame in check.corrupt), reading)

    def run(pixels: int) -> int:
        one, two = (as_frames([shrunk(frames[pairs[name][0] + i], pixels)], device) for i in range(2))
        look(PairBatch(one, two))
        return one[0, 0].numel()

    pixels = sum(len(pairs[name]) * math.prod(check.size) for name, check in checks.items())
    return (f'forecast: about {time_text(seconds_a_pixel(run, device) * pixels)} for the flow of '
            f'{sum(map(len, pairs.values()))} pairs{work} (from small frames)')

"""How long it takes to follow points through a video, told before it starts."""
from __future__ import annotations

import math
import time
from typing import Any, Callable, Mapping

import torch
from torch import Tensor

from mmrefine.apis.frame_damage import CheckedScenes, intact_runs
from mmrefine.apis.timing import TIMED, WARM_UP, shrunk, tell
from mmrefine.engine.stage1.forecast import time_text
from mmrefine.fileio.video.reader import open_frames
from mmrefine.report import counted
from mmrefine.structures import as_frames

FRAMES = 8  # of a timed clip, at most; so many pairs, too, so that with several steps it is shorter
POINTS = 64  # of a timed clip


def tell_track_forecast(video: CheckedScenes, queries: Mapping[str, Tensor], follow: Callable[..., Any], device: str,
                        dry_run: bool, log: Callable[[str], None], both_ways: bool = False,
                        pairs: Callable[[int], float] = float) -> None:
    """Log how long the tracks of all scenes take.

    Args:
        video, queries, follow, device, both_ways, pairs: see :func:`forecast_tracks`.
        dry_run: nothing follows that would say what is wrong.
        log: called with a line.

    Raises:
        MMRefineError: of a dry run, what is wrong with it.
    """
    tell(lambda: forecast_tracks(video, queries, follow, device, both_ways, pairs), dry_run, log)


def forecast_tracks(video: CheckedScenes, queries: Mapping[str, Tensor], follow: Callable[..., Any], device: str,
                    both_ways: bool = False, pairs: Callable[[int], float] = float) -> str:
    """A line that says how long the tracks of all scenes take.

    One point and then 64 are followed through the first frames of the first scene, made small: the difference is what
    points take, which do not depend on the size of the frames, and the rest grows like the pixels.

    Args:
        video: the scenes.
        queries: of each scene that has any.
        follow: as ``track_stream`` of :class:`~mmrefine.structures.StreamTracker`.
        device: where.
        both_ways: points are followed to the first frame, too.
        pairs: at how many pairs of frames a tracker looks in a video of so many frames; default: as many.
    """
    name = next(iter(queries))
    check = video.checks[name]
    source = open_frames(video.places[name], sorted(one.name for one in check.corrupt), video.reading)
    most = next(count for count in range(FRAMES, 1, -1) if pairs(count) <= FRAMES)
    first, end = max(intact_runs(check), key=lambda run: min(run[1] - run[0], most))
    numbers = range(first, min(end, first + most))

    def seconds(pixels: int, count: int, numbers: range = numbers) -> Any:
        clip = as_frames([shrunk(source[number], pixels) for number in numbers], device)
        size = (clip.shape[-2], clip.shape[-1])
        middle = torch.tensor([[0., (size[0] - 1) / 2, (size[1] - 1) / 2]]).repeat(count, 1)
        began = time.perf_counter()
        follow(clip.__getitem__, len(clip), size, middle)
        if torch.device(device).type == 'cuda':
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / len(clip), math.prod(size)

    seconds(WARM_UP, POINTS, numbers[:2])
    alone, pixels = seconds(TIMED, 1)
    each = max(seconds(TIMED, POINTS)[0] - alone, 0.) / (POINTS - 1)
    total, frames = 0., 0
    for scene, asked in queries.items():
        for begin, stop in intact_runs(video.checks[scene]):
            here = asked[(asked[:, 0] >= begin) & (asked[:, 0] < stop), 0]
            if len(here):
                frames += stop - begin
                lasts = torch.full_like(here, stop - begin) if both_ways else stop - here  # frames that each is in
                longer = pairs(int(lasts.max())) / max(pairs(len(numbers)), 1)  # than what was timed
                total += alone / pixels * math.prod(video.checks[scene].size) * len(numbers) * longer
                total += each * float(lasts.sum())
    tracks = counted(sum(map(len, queries.values())), 'track')
    return f'forecast: about {time_text(total)} for {tracks} through {frames} frames (from small frames)'

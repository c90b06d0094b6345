"""Whether there is anything to learn from a video, by its frames alone and before anything is labelled or trained."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation.guard.frame_changes import FrameChange, frame_change, is_flat, nothing_changes
from mmrefine.structures import LabelSource

CHECKED = 24  # units of each source, spread evenly over it


def nothing_to_learn(sources: Sequence[LabelSource], log: Callable[[str], None]) -> Optional[str]:
    """Why nothing can be learned from these videos; None if something can, or may.

    The first and the last frame of some units from all over the video are compared, and those of one scene with each
    other, too, as a motion that is too slow for one unit shows in the long run. A network that fails on a moving video
    must not make it look like one that stands still, so no network is asked.

    Args:
        sources: the frames to learn from and to judge by.
        log: called with a line now and then.

    Raises:
        InputError: a frame that cannot be read.
    """
    chosen: List[Tuple[LabelSource, Any]] = []
    for source in sources:
        units = source.units
        count = min(CHECKED, len(units))
        chosen += [(source, units[k * len(units) // count]) for k in range(count)]
    progress = Progress('Guard: does anything move, {} frame pairs', len(chosen), log)
    changes: List[FrameChange] = []
    flat = True
    before: Dict[str, np.ndarray] = {}  # the frame that came before, by its scene
    for done, (source, unit) in enumerate(chosen, start=1):
        first, last = (source.frame(unit.scene, number) for number in (min(unit.frames), max(unit.frames)))
        changes.append(frame_change(first, last))
        if unit.scene in before:
            changes.append(frame_change(before[unit.scene], first))
        before = {unit.scene: first}
        flat = flat and is_flat(first)
        if not nothing_changes(changes):
            return None
        progress(done)
    found = 'nothing is to be seen: the frames are of one grey level each' if flat else (
        'nothing moves: the frames of each scene are the same')
    return (f'{found}, but for noise, in {len(chosen)} frame pairs from all over the video, so nothing was trained, '
            'and the original network is handed back; refine on a video with motion (held_out=0 switches this check '
            'and the guard off)')

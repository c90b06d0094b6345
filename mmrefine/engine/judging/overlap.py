"""Whether a network is judged on frames whose ground truth it learned."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from mmrefine.errors import ConfigError


def refuse_learned_truth(train_data: Any, judged: Any, key: str) -> None:
    """Refuse to judge on frames that training has ground truth of: the network would know the answers.

    Files are compared, whatever links lead to them, and of video files the names of frames; a copy is another file.

    Args:
        train_data: the training data; only one with ``truth_files()`` (:class:`~mmrefine.datasets.MixedPairs`) can
            tell.
        judged: what is judged on; only one with ``frame_files()`` (:class:`~mmrefine.datasets.VideoScenes`) can tell.
        key: the config key of ``judged``, for the message.

    Raises:
        ConfigError: they share frames; names one.
    """
    if not hasattr(train_data, 'truth_files') or not hasattr(judged, 'frame_files'):
        return
    shared = shared_frames(train_data.truth_files(), judged.frame_files())
    if shared:
        path, frame = shared[0]
        raise ConfigError(
            f'{key} judges on {len(shared)} frames that train_dataloader.dataset learns from with ground truth, the '
            f'first is {path}{f", {frame}" if frame else ""}; leave their scenes out (hold_out) of one of the two')


def shared_frames(known: Sequence[Tuple[Path, str]], frames: Sequence[Tuple[Path, str]]) -> List[Tuple[Path, str]]:
    """Those of ``frames`` that are among ``known``, whatever links lead to them; both as of
    :meth:`~mmrefine.datasets.VideoScenes.frame_files`."""
    identities = {_identity(*file) for file in known} - {None}
    return [file for file in frames if identities and _identity(*file) in identities]


def _identity(path: Path, frame: str) -> Optional[Tuple[int, int, str]]:
    """The same for the same frame of the same file; None if there is no such file, which whoever reads it says."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, frame

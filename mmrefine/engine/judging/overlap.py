"""Whether a network is judged on frames whose ground truth it learned."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional, Tuple

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
    learned = {_identity(*file) for file in train_data.truth_files()} - {None}
    shared = [file for file in judged.frame_files() if learned and _identity(*file) in learned]
    if shared:
        path, frame = shared[0]
        raise ConfigError(
            f'{key} judges on {len(shared)} frames that train_dataloader.dataset learns from with ground truth, the '
            f'first is {path}{f", {frame}" if frame else ""}; leave their scenes out (hold_out) of one of the two')


def _identity(path: Path, frame: str) -> Optional[Tuple[int, int, str]]:
    """The same for the same frame of the same file; None if there is no such file, which whoever reads it says."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, frame

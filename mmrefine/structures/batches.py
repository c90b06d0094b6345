"""What stage 1 labels at a time: units of frames, and the batches of them that share a pass of the teacher."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor


def as_frames(images: Union[np.ndarray, Sequence[np.ndarray]], device: Union[str, torch.device] = 'cpu') -> Tensor:
    """Images ``(H, W, 3)`` uint8 RGB of one size as a batch ``(B, 3, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy(np.stack(list(images))).to(device).permute(0, 3, 1, 2).float() / 255


def label_key(scene: str, first: str, last: str, stride: Optional[int] = None) -> str:
    """The key of a label: ``scene/first__last``, and ``scene/first__last@stride`` for a clip.

    Args:
        scene: name of the video, may have several parts.
        first: name of the frame that the motion starts from.
        last: name of the frame that it leads to.
        stride: frames from one frame of a clip to the next; None for a pair. Clips of different strides between the
            same two frames are different labels.
    """
    return f'{scene}/{first}__{last}' + ('' if stride is None else f'@{stride}')


@dataclass(frozen=True)
class LabelUnit:
    """What becomes one label, or one for each direction: a frame pair or a clip.

    Args:
        key: of the label, see :func:`label_key`.
        scene: the video that the frames are from.
        frames: their numbers in the scene, in the order in which the motion runs; a pair backwards in time has the
            later one first.
        names: of these frames, in the same order.
    """
    key: str
    scene: str
    frames: Tuple[int, ...]
    names: Tuple[str, ...]

    @property
    def backward_key(self) -> str:
        """The key of the same pair the other way round: ``scene/b__a`` of ``scene/a__b``."""
        return label_key(self.scene, self.names[-1], self.names[0])


def name_units(units: Sequence[LabelUnit]) -> str:
    """What units are called in sentences: ``'frame pairs'`` or ``'clips'``."""
    return 'frame pairs' if all(len(unit.frames) == 2 for unit in units) else 'clips'


@dataclass(frozen=True)
class LabelBatch:
    """Units of one scene with their frames, on their way to a labeler.

    Args:
        units: in order.
        frames: for each unit its frames and those that ``Labeler.extra_frames`` asked for, number in the scene ->
            ``(H, W, 3)`` uint8 RGB.
        names: for each unit the names of these frames by number.
        device: where the labels are computed.
    """
    units: Sequence[LabelUnit]
    frames: Sequence[Mapping[int, np.ndarray]]
    names: Sequence[Mapping[int, str]]
    device: str = 'cpu'


class Labeled(NamedTuple):
    """One label with its name.

    Args:
        key: under which it is stored.
        label: of the kind that the labeler's codec writes.
        statistics: numbers by name, for the manifest; ``kept`` in [0, 1], the share that became a label, is always
            among them.
    """
    key: str
    label: Any
    statistics: Mapping[str, float]

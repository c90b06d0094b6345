"""What filters say of the tracks that a teacher saw."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Sequence, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.structures import TrackBalance, TrackFilter, TrackLook


@dataclass(frozen=True)
class TrackVerdicts:
    """What a labeler thinks of the tracks of a clip.

    Args:
        points: ``(N, 2)`` px (x, y), where they begin.
        look: what the teacher saw of them.
        passed: by filter, in their order, which tracks it keeps: bool ``(N,)``. The second of two filters of one class
            has a 2 behind its name.
        kept: bool ``(N,)``, those that all filters keep.
        chosen: bool ``(N,)``, those of them that become the label; fewer where its size is limited (``most``).
    """
    points: Tensor
    look: TrackLook
    passed: Dict[str, Tensor]
    kept: Tensor
    chosen: Tensor


def judge_tracks(points: Tensor, look: TrackLook, filters: Sequence[TrackFilter]) -> TrackVerdicts:
    """What each filter says; all that is kept is chosen.

    Args:
        points: ``(N, 2)`` px (x, y), where the tracks begin.
        look: what the teacher saw of them.
        filters: in order.
    """
    passed: Dict[str, Tensor] = {}
    for part in filters:
        name = type(part).__name__
        same = sum(known.split()[0] == name for known in passed)
        passed[f'{name} {same + 1}' if same else name] = part(look)
    kept = torch.ones(len(points), dtype=torch.bool, device=look.frames.device)
    for one in passed.values():
        kept &= one
    return TrackVerdicts(points, look, passed, kept, kept)


def check_part(key: str, part: Union[TrackFilter, TrackBalance], dtype: torch.dtype, example: str) -> None:
    """Refuse what is no filter or balance of tracks, by what it says of two tracks that stand still for three frames.

    Raises:
        ConfigError: a part that asks for what a look at tracks has not, or gives anything but a bool (a share, for a
            balance) for each track.
    """
    still = torch.full((2, 3, 2), 8.)
    name = type(part).__name__
    try:
        found = part(TrackLook(torch.zeros(3, 3, 16, 16), still, still, torch.ones(2, 3), still))
    except (AttributeError, TypeError) as error:
        raise ConfigError(f'TrackLabeler.{key}: {name} is not for tracks ({error}); use one such as '
                          f'{example}') from error
    if found.dtype != dtype or tuple(found.shape) != (2, ):
        wanted = 'bool' if dtype == torch.bool else 'float'
        raise ConfigError(f'TrackLabeler.{key}: {name} must return a {wanted} for each track, got {found.dtype} of '
                          f'shape {tuple(found.shape)} for 2 tracks')

"""Filters with a network of their own, beside the teacher's: how it is built, described, and counted in memory."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from mmrefine.errors import ConfigError
from mmrefine.registry import TEACHERS


class SecondNetwork:
    """What such filters have in common.

    Args:
        key: of the config, for messages.
        config: of a part of ``TEACHERS`` that has a network whatever the student is, such as ``OtherNetwork``.
        kind: the Protocol that the network must implement.
        example: a model of that kind, for the message.

    Raises:
        ConfigError: another part, or a network of another kind.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """

    def __init__(self, key: str, config: Dict[str, Any], kind: type, example: str) -> None:
        source = TEACHERS.build(config)
        self.network: Any = source.network() if hasattr(source, 'network') else None
        if not isinstance(self.network, kind):
            raise ConfigError(f"{key} must be dict(type='OtherNetwork', model=dict(type='{example}', …), "
                              f'checkpoint=…), got {type(source).__name__} of {type(self.network).__name__}')

    def describe(self) -> Dict[str, Any]:
        """The digest of the weights of the network, and what else decides over its answers."""
        return dict(digest=self.network.digest(), **self.network.describe())

    def peak_bytes(self, size: Tuple[int, int]) -> int:
        """Bytes that the network must hold at once, both ways of a pair or a clip there and back; 0 if not known.

        Args:
            size: (height, width) of the frames, px.
        """
        return int(self.network.peak_bytes(size, 2))


def own_bytes(filters: Sequence[Any], size: Tuple[int, int]) -> int:
    """Bytes that the parts with networks of their own must hold at once, one after the other; 0 if not known.

    Args:
        filters: those of a labeler.
        size: (height, width) of the frames, px.
    """
    known: List[int] = [part.peak_bytes(size) for part in filters if hasattr(part, 'peak_bytes')]
    return max(known, default=0)

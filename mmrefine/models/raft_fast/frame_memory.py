"""Features of the last frames, so that a video is encoded frame by frame and not pair by pair."""
from __future__ import annotations

from collections import OrderedDict
from typing import Callable, Hashable, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

Features = Tuple[Tensor, ...]


class FrameMemory:
    """Remembers what an encoder made of the frames that it saw last, by the name that the caller gave them.

    A name stands for one picture: a caller that rotates or crops a frame gives it another name (the memory itself
    distinguishes sizes). Each hit is compared with the picture itself, so a name that was used twice is an error
    and never a wrong answer. Every frame is encoded alone: what comes out does not depend on what else was in the
    batch or in the memory, to the bit. A memory belongs to one encoder, whose weights and precision stay.

    Args:
        frames: how many to remember beyond a call: two neighbours of a video in three sizes make 6.
    """

    def __init__(self, frames: int = 6) -> None:
        self.frames = frames
        self._known: 'OrderedDict[Hashable, Tuple[Tensor, Features]]' = OrderedDict()

    def encode(self, encoder: Callable[[Tensor], Features], frames: Tensor, names: Sequence[Hashable],
               size: Optional[Tuple[int, int]] = None) -> Features:
        """The features of a batch, each frame encoded at most once.

        Args:
            encoder: frames ``(1, C, H, W)`` -> features, each ``(1, ...)``.
            frames: ``(B, C, H, W)`` as the encoder wants them.
            names: of the frames, ``B`` of them.
            size: (height, width) px before they were padded: two sizes of one small frame are padded to the same.

        Returns:
            the features of the batch.

        Raises:
            ValueError: another number of names, or a name that was given to another picture before.
        """
        if len(names) != len(frames):
            raise ValueError(f'{len(frames)} frames need as many names, got {len(names)}')
        found: List[Features] = []
        for i, name in enumerate(names):
            key = (name, size, frames.shape[1:], frames.dtype, frames.device)
            frame = frames[i:i + 1]
            if key not in self._known:
                # a copy: a slice would keep the whole batch alive and see what becomes of it, and how it lies in memory
                # shows in the last bit of what is computed from it
                alone = frame.clone(memory_format=torch.contiguous_format)
                self._known[key] = (alone, encoder(alone))
            known, features = self._known[key]
            if not torch.equal(known, frame):
                raise ValueError(f'the frame name {name!r} was given to two different pictures of '
                                 f'{frame.shape[-2]}x{frame.shape[-1]} px; name each picture differently (a flipped '
                                 'frame is another picture), or leave names out')
            self._known.move_to_end(key)
            found.append(features)
        while len(self._known) > self.frames:
            self._known.popitem(last=False)
        return tuple(torch.cat(parts) for parts in zip(*found))

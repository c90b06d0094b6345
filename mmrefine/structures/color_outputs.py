"""Colours that a network of correspondences copies from frame to frame, in front of the losses."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.geometry import copy_labels


@dataclass(frozen=True)
class ColorOutputs:
    """What a network of correspondences found for a batch of clips of T frames, and the colours that it is judged by.

    The first T of the F frames are those of the clip.

    Args:
        frames: ``(B, T, 3, H, W)`` RGB in [0, 1], as the network saw them.
        features: ``(B, F, C, h, w)`` float32.
        classes: ``(B, F, H, W)``, the colour class of each pixel.
        cells: ``(B, F, K, h, w)``, how much of each cell is of each class; each cell sums to 1.
        radius: of the window in which a cell looks for another, cells; None: all cells.
        ways_back: of each frame of the clip, its number among the F frames on a way back. As they are, a way back
            leads over the frames of the way there: ``(0, 1, …, T - 1)``.
    """
    frames: Tensor
    features: Tensor
    classes: Tensor
    cells: Tensor
    radius: Optional[int]
    ways_back: Sequence[int]
    _copied: Dict[Tuple[int, ...], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def walk(self, path: Sequence[int]) -> Tensor:
        """The colours of the first frame of a path after they were copied along it, from each of its frames to the
        next; the losses share what their paths have in common.

        Args:
            path: numbers among the F frames, two or more.

        Returns:
            ``(B, K, h, w)``, cells of the last frame; each sums to 1.
        """
        path = tuple(path)
        if len(path) == 1:
            return self.cells[:, path[0]]
        if path not in self._copied:
            reference, target = path[-2:]
            self._copied[path] = copy_labels(self.features[:, target], self.features[:, reference][:, None],
                                             self.walk(path[:-1])[:, None], self.radius)
        return self._copied[path]

    def round_trip(self, turn: int) -> Tuple[int, ...]:
        """The path from frame 0 to frame ``turn`` and back."""
        return (*range(turn + 1), *(self.ways_back[t] for t in reversed(range(turn))))

    def share_found(self, path: Sequence[int]) -> Tensor:
        """The share of cells, in [0, 1], whose most frequent class is that of the colours copied along a path."""
        with torch.no_grad():
            return (self.walk(path).argmax(dim=1) == self.cells[:, path[-1]].argmax(dim=1)).float().mean()

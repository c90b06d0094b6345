"""What lies over the scenes of a data set and never changes, found when it is first asked for."""
from __future__ import annotations

from typing import Any, Dict, Hashable, List, Optional, Tuple

import numpy as np

from mmrefine.fileio.video.overlay import fixed_overlay

FRAMES = 8  # to tell what never changes


class SceneOverlays:
    """The overlays of some scenes, see :func:`~mmrefine.fileio.video.overlay.fixed_overlay`.

    A scene of fewer than :data:`FRAMES` frames is looked at together with all others of its size, as a logo lies over a
    whole video.

    Args:
        dataset: with ``scene_names``, ``frame_names``, ``size``, ``usable`` and ``frame``, as
            :class:`~mmrefine.datasets.scenes.VideoScenes`.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._short: Optional[Dict[Hashable, List[Tuple[str, int]]]] = None  # size -> frames of all short scenes
        self._shares: Dict[Hashable, float] = {}
        # masks are large, and scenes are asked about in order
        self._last: Tuple[Hashable, Optional[np.ndarray]] = (None, None)

    def of(self, scene: str) -> Optional[np.ndarray]:
        """Bool ``(H, W)``, true on what lies over the scene; None if nothing does, or if there are too few frames to
        tell.

        Raises:
            InputError: a frame that cannot be read.
        """
        group = self._group(scene)
        if self._last[0] != group:
            frames = self._frames_of(group)
            if len(frames) < FRAMES:
                return None
            chosen = (frames[k * len(frames) // FRAMES] for k in range(FRAMES))
            self._last = group, fixed_overlay(self._dataset.frame(*one) for one in chosen)
        return self._last[1]

    def share(self, scene: str) -> float:
        """The share of the frame that lies under it, in [0, 1)."""
        group = self._group(scene)
        if group not in self._shares:
            fixed = self.of(scene)
            self._shares[group] = 0. if fixed is None else float(fixed.mean())
        return self._shares[group]

    def _group(self, scene: str) -> Hashable:
        """The scene itself, or the size that it shares with other short ones."""
        is_long = len(self._dataset.frame_names(scene)) >= FRAMES
        return scene if is_long else self._dataset.size(scene)

    def _frames_of(self, group: Hashable) -> List[Tuple[str, int]]:
        if isinstance(group, str):
            return self._usable(group)
        if self._short is None:
            self._short = {}
            for scene in self._dataset.scene_names:
                if not isinstance(self._group(scene), str):
                    self._short.setdefault(self._group(scene), []).extend(self._usable(scene))
        return self._short.get(group, [])

    def _usable(self, scene: str) -> List[Tuple[str, int]]:
        numbers = range(len(self._dataset.frame_names(scene)))
        return [(scene, number) for number in numbers if self._dataset.usable(scene, number)]

"""BADJA: the joints of animals in videos of DAVIS, as tracks."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

import numpy as np

from mmrefine.datasets.benchmarks.davis_clips import DavisClips
from mmrefine.datasets.benchmarks.track_clips import Sizes, TrackClips, TrueTracks
from mmrefine.datasets.scenes import SceneNames, choose_scenes
from mmrefine.errors import InputError
from mmrefine.registry import DATASETS


@DATASETS.register_module()
class BadjaClips(TrackClips):
    """The videos of DAVIS that have joints of BADJA (Biggs et al., ACCV 2018), for trackers.

    Every joint is a track, which begins where it is first seen; one that is never seen is followed from the middle of
    the first frame and counts for nothing, so that joint i is the same in all videos. The truth is known in about every
    fifth frame. ``KeypointMetric(rule='mask', shares=(0.2, ))`` scores the samples as it does those of
    :class:`DavisClips`, along which flow carries the joints: they have the masks, too.

    Args:
        data_root: the folder that holds ``JPEGImages`` and ``Annotations`` of DAVIS.
        badja: folder of joints ``<video>.json``.
        scenes: 'all', the name of a video, or a list of names; of those with joints.
        resolution: name of the folders of frames and masks, such as '480p'.
        resize: (height, width) of the frames, px, see :class:`TrackClips`; ``(320, 512)`` in the code of PIPs.

    Raises:
        ConfigError: unknown videos.
        InputError: no such folder, or no video with joints; when an item is read, frames and annotations that do not
            belong together.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 badja: Union[str, Path],
                 scenes: SceneNames = 'all',
                 resolution: str = '480p',
                 resize: Sizes = None) -> None:
        super().__init__(resize)
        everything = DavisClips(data_root, badja=badja, resolution=resolution)
        found = [name for name in everything.videos if (Path(badja) / f'{name}.json').is_file()]
        if not found:
            raise InputError(f'{badja}: has no <video>.json of the {len(everything.videos)} videos in '
                             f'{everything.frames}; name the folder joint_annotations of BADJA')
        chosen = choose_scenes(Path(badja), found, scenes, None)
        self.videos = DavisClips(data_root, chosen, badja=badja, resolution=resolution)
        self.clips = [dict(key=name, scene=name, numbers=(), truth=Path(badja) / f'{name}.json', index=index)
                      for index, name in enumerate(chosen)]

    def _load(self, clip: Dict[str, Any]) -> Tuple[List[np.ndarray], TrueTracks]:
        item = self.videos[clip['index']]
        sample, frames = item['data_samples'], list(item['inputs'].numpy().transpose(0, 2, 3, 1))
        points, visible = (part.numpy().swapaxes(0, 1) for part in (sample.points, sample.visible))
        seen, begins = visible.any(axis=1), visible.argmax(axis=1)
        height, width = sample.size
        starts = np.where(seen[:, None], points[np.arange(len(points)), begins], [(width - 1) / 2, (height - 1) / 2])
        limit = np.array([width, height]) - 0.5
        outside = ((starts < -0.5) | (starts > limit)).any(axis=1)
        if outside.any():
            joint = int(outside.argmax())
            raise InputError(f'{clip["truth"]}: joint {joint} is first seen at x {starts[joint, 0]:g}, y '
                             f'{starts[joint, 1]:g}, outside of the frame of {height}x{width} px (height x width); '
                             'correct its visibility, or leave the video out of scenes')
        return frames, TrueTracks(points, visible, visible, np.column_stack([begins, starts[:, ::-1]]),
                                  sample.masks.numpy())

"""Clips of several frames out of videos and folders of frames."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmrefine.datasets.frame_pairs import as_steps, build_pipeline, check_truth_root
from mmrefine.datasets.scenes import SceneNames, VideoScenes
from mmrefine.errors import InputError
from mmrefine.fileio.video.scenes import Roots
from mmrefine.registry import DATASETS
from mmrefine.structures import LabelUnit, label_key
from mmrefine.values import as_count


@DATASETS.register_module()
class FrameClips(VideoScenes):
    """Clips of ``frames`` frames, ``stride`` apart, of every scene, with a key that names each in the label store.

    ``ds[i]`` is draw i of clip i; ``ds[(i, draw)]`` is clip i under the randomness of (seed, draw) and nothing else.
    The pipeline gets a dict with frames (a list of ``(H, W, 3)`` uint8 RGB), key, scene, index, stride, numbers, truth,
    labels, size, rng, and the function smallest_size.

    Args:
        data_root: a video file; a folder of frames; a folder of such folders and video files, one a scene; or a list of
            these.
        scenes: 'all', the name of a scene, or a list of names.
        pipeline: transforms (configs or callables), applied in order.
        labels: root of the label store for LoadTracks; may be set later, before the data are read.
        frames: of a clip, at least 2; PIPs sees 8.
        stride: from one frame of a clip to the next, at least 1; or several different numbers.
        spacing: frames from the first frame of a clip to that of the next one of its stride. None: clips tile the
            video without overlap, as in Refine.
        truth_root: true tracks ``<truth_root>/<scene>.npz`` (:func:`~mmrefine.fileio.codecs.tracks.read_tracks`).
        hold_out: name or list of names of scenes to leave out of ``scenes``.
        held_out: share of the video, in [0, 1), that a guard keeps back to judge with, see
            :func:`~mmrefine.datasets.split_pairs`.
        least_held: how many clips are kept back even where that is more than ``held_out``, up to 40 % of the video.
        held: True: use the clips that are kept back; False: the others.
        skip: scene -> names of its corrupt frames; clips with one of them are left out.
        seed: of the augmentations.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name.

    Attributes:
        clips: one dict per item: ``key`` 'scene/first__last@stride', ``scene``, ``index`` (of the first frame),
            ``stride``, ``step`` (frames from the first to the last), ``numbers`` of the frames, ``truth`` (path or
            None).

    Raises:
        ConfigError: unknown scenes, numbers out of range; nothing left after hold_out; nothing can be kept back.
        InputError: a missing folder, a scene that is shorter than a clip.
    """

    def __init__(self,
                 data_root: Roots,
                 scenes: SceneNames = 'all',
                 pipeline: Sequence[Any] = (),
                 labels: Optional[Union[str, Path]] = None,
                 frames: int = 8,
                 stride: Union[int, Sequence[int]] = 1,
                 spacing: Optional[int] = None,
                 truth_root: Optional[Union[str, Path]] = None,
                 hold_out: Optional[SceneNames] = None,
                 held_out: float = 0.,
                 least_held: int = 0,
                 held: bool = False,
                 skip: Optional[Mapping[str, Sequence[str]]] = None,
                 seed: int = 0,
                 reading: Optional[Mapping[str, Any]] = None) -> None:
        self.frames, self.strides = as_count('FrameClips.frames', frames, 2), as_steps('stride', stride)
        self.spacing = None if spacing is None else as_count('FrameClips.spacing', spacing)
        self.truth_root, self.seed = check_truth_root(truth_root, reading), seed
        super().__init__(data_root, scenes, labels, hold_out, skip, reading)
        every = [clip for name in self.scene_names for clip in self._clips_of(name)]
        self.clips = self._keep_back(every, held_out, held, (self.frames - 1) * max(self.strides), least_held)
        self.pipeline = build_pipeline(pipeline)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: Union[int, Tuple[int, int]]) -> Any:
        """Clip ``i`` or ``(i, draw)`` after the pipeline.

        Raises:
            InputError: a frame that cannot be read, or frames of different sizes in one scene.
        """
        index, draw = item if isinstance(item, tuple) else (item, int(range(len(self))[item]))
        clip = self.clips[index]
        frames = [self.frame(clip['scene'], number) for number in clip['numbers']]
        results: Any = dict(
            clip,
            frames=frames,
            size=tuple(frames[0].shape[:2]),
            labels=self.labels,
            smallest_size=self.smallest_size,
            rng=np.random.default_rng((self.seed, draw)))
        for transform in self.pipeline:
            results = transform(results)
        return results

    @property
    def units(self) -> List[LabelUnit]:
        """The clips as stage 1 labels them."""
        return [LabelUnit(clip['key'], clip['scene'], clip['numbers'],
                          tuple(self.frame_name(clip['scene'], number) for number in clip['numbers']))
                for clip in self.clips]

    def _clips_of(self, scene: str) -> Iterator[Dict[str, Any]]:
        names, skip = self.frame_names(scene), self._skip.get(scene, frozenset())
        least = (self.frames - 1) * min(self.strides) + 1
        if len(names) < least:
            raise InputError(f'{self.data_root}: scene {scene} has {len(names)} frames, and a clip of {self.frames} '
                             f'frames with stride={min(self.strides)} needs {least}; leave the scene out (hold_out), '
                             'or lower stride or frames')
        truth = None if self.truth_root is None else self.truth_root / f'{scene}.npz'
        found = 0
        for stride in self.strides:
            reach = (self.frames - 1) * stride
            for first in range(0, len(names) - reach, self.spacing or self.frames * stride):
                numbers = tuple(range(first, first + reach + 1, stride))
                is_whole = not self._reaches_across(scene, first, first + reach)
                if not is_whole or any(names[number] in skip for number in numbers):
                    continue
                found += 1
                yield dict(
                    key=label_key(scene, names[first], names[first + reach], stride), scene=scene, index=first,
                    stride=stride, step=reach, numbers=numbers,
                    truth=truth if truth is not None and truth.is_file() else None)
        if not found:
            raise InputError(f'{self.data_root}: scene {scene} has no {least} frames in a row without a gap in their '
                             'numbers or a corrupt one, which a clip needs; leave the scene out (hold_out), or lower '
                             'stride, frames or spacing')

"""Pairs of frames out of videos and folders of frames."""
from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmrefine.datasets.scenes import SceneNames, VideoScenes
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.video.reading import Reading
from mmrefine.fileio.video.scenes import Roots
from mmrefine.registry import DATASETS, TRANSFORMS
from mmrefine.structures import LabelUnit, label_key


@DATASETS.register_module()
class FramePairs(VideoScenes):
    """Frame t and frame t + step of every scene, for one step or for several, with a key that names the pair in the
    label store.

    ``ds[i]`` is draw i of pair i; ``ds[(i, draw)]`` is pair i under the randomness of (seed, draw) and nothing else.
    The pipeline gets a dict with frame1, frame2 ``(H, W, 3)`` uint8 RGB, key, scene, index, reverse, truth, labels,
    size, rng, and, as functions without arguments, smallest_size (:meth:`smallest_size`) and share_overlaid
    (:meth:`share_overlaid` of the scene).

    Args:
        data_root: a video file; a folder of frames; a folder of such folders and video files, one a scene; or a list of
            these.
        scenes: 'all', the name of a scene, or a list of names.
        pipeline: transforms (configs or callables), applied in order.
        labels: root of the label store for LoadLabel; may be set later, before the data are read.
        directions: 'forward', or 'both': each pair is followed by the reversed one.
        step: distance between the two frames of a pair, in frames, at least 1; or several different numbers: each
            frame begins a pair of each step that still fits into the scene.
        truth_root: ground truth ``<truth_root>/<scene>/<stem of frame 1>.flo`` or ``.png``, for forward pairs of step
            1.
        hold_out: name or list of names of scenes to leave out of ``scenes``.
        held_out: share of the video, in [0, 1), that a guard keeps back to judge with, see
            :func:`~mmrefine.datasets.split_pairs`.
        least_held: how many pairs are kept back even where that is more than ``held_out``, up to 40 % of the video.
        held: True: use the pairs that are kept back; False: the others.
        skip: scene -> names of its corrupt frames; pairs with one of them are left out.
        seed: of the augmentations.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name, such as
            ``dict(range=(0, 4095))``.

    Attributes:
        pairs: one dict per item: ``key`` 'scene/frame1__frame2', ``scene``, ``index`` (of the earlier frame), ``step``,
            ``reverse``, ``truth`` (path or None), ``region_files`` (name -> path of maps that a benchmark
            provides with its truth, see :class:`~mmrefine.datasets.transforms.LoadTruth`).
        scene_names: the scenes in use, in order.
        sources: scene -> FrameSource, opened when used.

    Raises:
        ConfigError: unknown scenes, directions or step; nothing left after hold_out; nothing can be kept back.
        InputError: a missing folder, a scene with too few frames.
    """

    def __init__(self,
                 data_root: Roots,
                 scenes: SceneNames = 'all',
                 pipeline: Sequence[Any] = (),
                 labels: Optional[Union[str, Path]] = None,
                 directions: str = 'forward',
                 step: Union[int, Sequence[int]] = 1,
                 truth_root: Optional[Union[str, Path]] = None,
                 hold_out: Optional[SceneNames] = None,
                 held_out: float = 0.,
                 least_held: int = 0,
                 held: bool = False,
                 skip: Optional[Mapping[str, Sequence[str]]] = None,
                 seed: int = 0,
                 reading: Optional[Mapping[str, Any]] = None) -> None:
        if directions not in ('forward', 'both'):
            raise ConfigError(f"directions must be 'forward' or 'both', got {directions!r}")
        self.steps = as_steps('step', step)
        self.truth_root, self.seed = check_truth_root(truth_root, reading), seed
        super().__init__(data_root, scenes, labels, hold_out, skip, reading)
        every = [pair for name in self.scene_names for pair in self._pairs_of(name, directions == 'both')]
        self.pairs = self._keep_back(every, held_out, held, max(self.steps), least_held)
        self.pipeline = build_pipeline(pipeline)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, item: Union[int, Tuple[int, int]]) -> Any:
        """Pair ``i`` or ``(i, draw)`` after the pipeline.

        Raises:
            InputError: a frame that cannot be read, or frames of different sizes in one scene.
        """
        index, draw = item if isinstance(item, tuple) else (item, int(range(len(self))[item]))
        pair = self.pairs[index]
        numbers = self._frames_of(pair)
        # in order, as reading a video forward is fastest
        frames = {number: self.frame(pair['scene'], number) for number in sorted(numbers)}
        frame1, frame2 = (frames[number] for number in numbers)
        results: Any = dict(
            pair,
            frame1=frame1,
            frame2=frame2,
            size=tuple(frame1.shape[:2]),
            labels=self.labels,
            smallest_size=self.smallest_size,
            share_overlaid=partial(self.share_overlaid, pair['scene']),
            rng=np.random.default_rng((self.seed, draw)))
        for transform in self.pipeline:
            results = transform(results)
        return results

    @property
    def units(self) -> List[LabelUnit]:
        """The pairs as stage 1 labels them; a pair backwards in time has the later frame first."""
        return [self._unit_of(pair) for pair in self.pairs]

    def _unit_of(self, pair: Mapping[str, Any]) -> LabelUnit:
        frames, scene = self._frames_of(pair), pair['scene']
        return LabelUnit(pair['key'], scene, frames, tuple(self.frame_name(scene, number) for number in frames))

    def _truth_of(self, scene: str, stem: str) -> Optional[Path]:
        """The ground-truth file of the forward pair that begins at this frame, if there is one."""
        if self.truth_root is None:
            return None
        paths = (self.truth_root / scene / f'{stem}{suffix}' for suffix in ('.flo', '.png'))
        return next((path for path in paths if path.exists()), None)

    def _regions_of(self, scene: str, stem: str) -> Dict[str, Path]:
        """Maps that come with the truth of the forward pair that begins at this frame: name -> path."""
        return {}

    def _frames_of(self, pair: Mapping[str, Any]) -> Tuple[int, int]:
        """The numbers of frame 1 and frame 2 in their source."""
        earlier, later = pair['index'], pair['index'] + pair['step']
        return (later, earlier) if pair['reverse'] else (earlier, later)

    def _pairs_of(self, scene: str, both: bool) -> Iterator[Dict[str, Any]]:
        names, skip = self.frame_names(scene), self._skip.get(scene, frozenset())
        if len(names) <= min(self.steps):
            raise InputError(f'{self.data_root}: scene {scene} has {len(names)} frames, and a pair with '
                             f'step={min(self.steps)} needs {min(self.steps) + 1}; leave the scene out (hold_out) or '
                             'lower step')
        every = ((index, step) for index in range(len(names)) for step in self.steps if index + step < len(names))
        for (index, step), reverse in product(every, (False, True) if both else (False, )):
            pair: Dict[str, Any] = dict(
                key='', scene=scene, index=index, step=step, reverse=reverse, truth=None, region_files={})
            first, second = (names[number] for number in self._frames_of(pair))
            if first in skip or second in skip or self._reaches_across(scene, index, index + step):
                continue
            pair['key'] = label_key(scene, first, second)
            if not reverse and step == 1:
                pair['truth'] = self._truth_of(scene, first)
            if pair['truth'] is not None:
                pair['region_files'] = self._regions_of(scene, first)
            yield pair


def as_steps(key: str, step: Any) -> Tuple[int, ...]:
    """One step or several, in frames, in rising order.

    Raises:
        ConfigError: not whole numbers of at least 1, or the same one twice; names ``key``.
    """
    steps = tuple(step) if isinstance(step, (list, tuple)) else (step, )
    if not steps or len(set(steps)) < len(steps) or not all(isinstance(one, int) and one >= 1 for one in steps):
        raise ConfigError(f'{key} must be a whole number of frames, at least 1, got {step!r}; or several different '
                          'ones such as (1, 2)')
    return tuple(sorted(steps))


def check_truth_root(truth_root: Optional[Union[str, Path]],
                     reading: Optional[Mapping[str, Any]] = None) -> Optional[Path]:
    """The folder of ground truth.

    Raises:
        ConfigError: the frames are resized (``reading``).
        InputError: there is no such folder.
    """
    if truth_root is not None and Reading.of(reading).resize is not None:
        raise ConfigError('resize and truth_root exclude one another, as truth has the size of the files; leave one '
                          'out')
    root = None if truth_root is None else Path(truth_root)
    if root is not None and not root.is_dir():
        raise InputError(f'{root}: there is no such folder of ground truth; correct truth_root or leave it out')
    return root


def build_pipeline(pipeline: Sequence[Any]) -> List[Any]:
    """Transforms of their configs; callables stay."""
    # our scope first: mmcv and mmflow have transforms of the same names
    return [TRANSFORMS.build({'_scope_': 'mmrefine', **part}) if isinstance(part, dict) else part for part in pipeline]

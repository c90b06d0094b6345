"""Pairs of frames out of videos and folders of frames."""
from __future__ import annotations

import copy
import difflib
from collections import OrderedDict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from torch.utils.data import Dataset

from mmrefine.datasets.held_out import split_pairs
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.video.frames import list_images
from mmrefine.fileio.video.reader import FrameSource, list_scenes, open_frames
from mmrefine.registry import DATASETS, TRANSFORMS
from mmrefine.structures import LabelUnit, label_key

__all__ = ['FramePairs', 'LazySources']

Scenes = Union[str, Sequence[str]]
Opener = Union[Path, Callable[[], FrameSource]]

# scenes that keep a few decoded frames each
_WARM_SCENES = 16


class LazySources(Mapping[str, FrameSource]):
    """Scene name -> its frames, opened when first asked for.

    Of thousands of scenes only the last few keep decoded frames and open files.

    Args:
        openers: scene name -> path of a folder or video file, or a picklable function without arguments.
    """

    def __init__(self, openers: Mapping[str, Opener]) -> None:
        self._openers = dict(openers)
        self._opened: Dict[str, FrameSource] = {}
        self._warm: 'OrderedDict[str, None]' = OrderedDict()

    def __getitem__(self, scene: str) -> FrameSource:
        if scene not in self._opened:
            opener = self._openers[scene]
            self._opened[scene] = opener() if callable(opener) else open_frames(opener)
        self._warm[scene] = None
        self._warm.move_to_end(scene)
        if len(self._warm) > _WARM_SCENES:
            cooled, _ = self._warm.popitem(last=False)
            # a copy of a source knows what opening found out, and holds no frames
            self._opened[cooled] = copy.copy(self._opened[cooled])
        return self._opened[scene]

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


@DATASETS.register_module()
class FramePairs(Dataset):
    """Frame t and frame t + step of every scene, for one step or for several, with a key that names the pair in the label store.

    ``ds[i]`` is draw i of pair i; ``ds[(i, draw)]`` is pair i under the randomness of (seed, draw) and nothing else. The
    pipeline gets a dict with frame1, frame2 ``(H, W, 3)`` uint8 RGB, key, scene, index, reverse, truth, labels, size, rng, and
    smallest_size, which is :meth:`smallest_size`.

    Args:
        data_root: a video file; a folder of frames; or a folder of such folders and video files, one a scene.
        scenes: 'all', the name of a scene, or a list of names.
        pipeline: transforms (configs or callables), applied in order.
        labels: root of the label store for LoadLabel; may be set later, before the data are read.
        directions: 'forward', or 'both': each pair is followed by the reversed one.
        step: frames from the one frame of a pair to the other, at least 1; or several different numbers: from each frame there is a pair
            of each step, as long as the scene reaches.
        truth_root: ground truth ``<truth_root>/<scene>/<stem of frame 1>.flo`` or ``.png``, for forward pairs of step 1.
        hold_out: name or list of names of scenes to leave out of ``scenes``.
        held_out: share of the video, in [0, 1), that a guard keeps back to judge with, see :func:`~mmrefine.datasets.split_pairs`.
        held: whether these are the pairs that are kept back; else those that are left.
        skip: scene -> names of its corrupt frames; there is no pair that has one.
        seed: of the augmentations.

    Attributes:
        pairs: one dict per item: ``key`` 'scene/frame1__frame2', ``scene``, ``index`` (of the earlier frame), ``step``,
            ``reverse``, ``truth`` (path or None), ``region_files`` (name -> path of what the benchmark draws beside its truth, see
            :class:`~mmrefine.datasets.transforms.LoadTruth`).
        scene_names: the scenes in use, in order.
        sources: scene -> FrameSource, opened when used.

    Raises:
        ConfigError: unknown scenes, directions or step; nothing left after hold_out; nothing that can be kept back.
        InputError: a missing folder, a scene with too few frames.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 scenes: Scenes = 'all',
                 pipeline: Sequence[Any] = (),
                 labels: Optional[Union[str, Path]] = None,
                 directions: str = 'forward',
                 step: Union[int, Sequence[int]] = 1,
                 truth_root: Optional[Union[str, Path]] = None,
                 hold_out: Optional[Scenes] = None,
                 held_out: float = 0.,
                 held: bool = False,
                 skip: Optional[Mapping[str, Sequence[str]]] = None,
                 seed: int = 0) -> None:
        if directions not in ('forward', 'both'):
            raise ConfigError(f"directions must be 'forward' or 'both', got {directions!r}")
        self.steps = _as_steps(step)
        self.data_root = Path(data_root)
        self.truth_root = None if truth_root is None else Path(truth_root)
        if self.truth_root is not None and not self.truth_root.is_dir():
            raise InputError(f'{self.truth_root}: there is no such folder of ground truth; correct truth_root or leave it out')
        self.labels = labels
        self.seed = seed
        found = self._find_scenes()
        self.scene_names = _chosen(self.data_root, list(found), scenes, hold_out)
        self._found = {name: found[name] for name in self.scene_names}
        self._skip = {scene: frozenset(names) for scene, names in (skip or {}).items()}
        self._names: Dict[str, List[str]] = {}
        self.sources = LazySources({name: self._opener(name) for name in self.scene_names})
        self._smallest: Optional[Tuple[int, int]] = None
        every = [pair for name in self.scene_names for pair in self._pairs_of(name, directions == 'both')]
        split = split_pairs(every, held_out, max(self.steps))
        if held and not split.held:
            raise ConfigError(f'held=True asks for the pairs that are kept back, and held_out={held_out!r} keeps none back; set held_out '
                              'to a share above 0')
        self.pairs = split.held if held else split.rest
        self._ends = {} if held else split.ends
        self.scene_names = [name for name in self.scene_names if any(pair['scene'] == name for pair in self.pairs)]
        # our scope first: mmcv and mmflow have transforms of the same names
        self.pipeline = [
            TRANSFORMS.build({'_scope_': 'mmrefine', **part}) if isinstance(part, dict) else part for part in pipeline
        ]

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What MMEngine's evaluator and checkpoints record of a dataset."""
        return dict(dataset=type(self).__name__, scenes=list(self.scene_names))

    def digests(self) -> Dict[str, str]:
        """Scene -> hash of the contents of its frames; reads every file once."""
        return {name: self.sources[name].digest() for name in self.scene_names}

    def smallest_size(self) -> Tuple[int, int]:
        """(least height, least width) over the frames of all scenes, px; opens every scene when first asked."""
        if self._smallest is None:
            sizes = [self.sources[name].size for name in self.scene_names]
            self._smallest = (min(size[0] for size in sizes), min(size[1] for size in sizes))
        return self._smallest

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, item: Union[int, Tuple[int, int]]) -> Any:
        """Pair ``i`` or ``(i, draw)`` after the pipeline.

        Raises:
            InputError: a frame that cannot be read, or frames of different sizes in one scene.
        """
        index, draw = item if isinstance(item, tuple) else (item, int(range(len(self))[item]))
        pair = self.pairs[index]
        source = self.sources[pair['scene']]
        frame1, frame2 = (source[number] for number in self._frames_of(pair))
        results: Any = dict(
            pair,
            frame1=frame1,
            frame2=frame2,
            size=tuple(frame1.shape[:2]),
            labels=self.labels,
            smallest_size=self.smallest_size,
            rng=np.random.default_rng((self.seed, draw)))
        for transform in self.pipeline:
            results = transform(results)
        return results

    @property
    def units(self) -> List[LabelUnit]:
        """The pairs as stage 1 labels them; a pair backwards in time has the later frame first."""
        return [self._unit_of(pair) for pair in self.pairs]

    def usable(self, scene: str, number: int) -> bool:
        """Whether a frame exists, is not to be skipped, and is not kept back for the guard."""
        source = self.sources[scene]
        return 0 <= number < self._ends.get(scene, len(source)) and not self._skips(scene, source.name(number))

    def frame(self, scene: str, number: int) -> np.ndarray:
        """A frame ``(H, W, 3)`` uint8 RGB.

        Raises:
            InputError: it cannot be read, or is of another size than the first one of its scene.
        """
        return self.sources[scene][number]

    def frame_name(self, scene: str, number: int) -> str:
        """The name of a frame, unique in its scene."""
        return self.sources[scene].name(number)

    def size(self, scene: str) -> Tuple[int, int]:
        """(height, width) of the frames of a scene, px."""
        return self.sources[scene].size

    def set_labels(self, root: Union[str, Path]) -> None:
        """Take the labels from the label store at ``root`` from now on."""
        self.labels = str(root)

    def _unit_of(self, pair: Mapping[str, Any]) -> LabelUnit:
        frames, names = self._frames_of(pair), self._names[pair['scene']]
        return LabelUnit(pair['key'], pair['scene'], frames, tuple(names[number] for number in frames))

    def _opener(self, scene: str) -> Opener:
        found = self._found[scene]
        return partial(open_frames, found, sorted(self._skip[scene])) if isinstance(found, Path) and self._skip.get(scene) else found

    def _skips(self, scene: str, name: str) -> bool:
        return name in self._skip.get(scene, ())

    def _find_scenes(self) -> Mapping[str, Opener]:
        """All scenes of the data."""
        return list_scenes(self.data_root)

    def _names_of(self, scene: str) -> List[str]:
        """The names of a scene's frames; of a folder without opening it, which would decode a frame of each scene."""
        path = self._found[scene]
        if isinstance(path, Path) and path.is_dir():
            names = [file.stem for file in list_images(path)]
            if len(names) > 1:
                return names
        source = self.sources[scene]
        return [source.name(number) for number in range(len(source))]

    def _truth_of(self, scene: str, stem: str) -> Optional[Path]:
        """The ground-truth file of the forward pair that begins at this frame, if there is one."""
        if self.truth_root is None:
            return None
        paths = (self.truth_root / scene / f'{stem}{suffix}' for suffix in ('.flo', '.png'))
        return next((path for path in paths if path.exists()), None)

    def _regions_of(self, scene: str, stem: str) -> Dict[str, Path]:
        """Files beside the truth of the forward pair that begins at this frame: what they draw, and where they are."""
        return {}

    def _frames_of(self, pair: Mapping[str, Any]) -> Tuple[int, int]:
        """The numbers of frame 1 and frame 2 in their source."""
        earlier, later = pair['index'], pair['index'] + pair['step']
        return (later, earlier) if pair['reverse'] else (earlier, later)

    def _pairs_of(self, scene: str, both: bool) -> Iterator[Dict[str, Any]]:
        names = self._names[scene] = self._names_of(scene)
        if len(names) <= min(self.steps):
            raise InputError(f'{self.data_root}: scene {scene} has {len(names)} frames, and a pair with step={min(self.steps)} needs '
                             f'{min(self.steps) + 1}; leave the scene out (hold_out) or lower step')
        every = ((index, step) for index in range(len(names)) for step in self.steps if index + step < len(names))
        for (index, step), reverse in product(every, (False, True) if both else (False, )):
            pair: Dict[str, Any] = dict(key='', scene=scene, index=index, step=step, reverse=reverse, truth=None, region_files={})
            first, second = (names[number] for number in self._frames_of(pair))
            if self._skips(scene, first) or self._skips(scene, second):
                continue
            pair['key'] = label_key(scene, first, second)
            if not reverse and step == 1:
                pair['truth'] = self._truth_of(scene, first)
            if pair['truth'] is not None:
                pair['region_files'] = self._regions_of(scene, first)
            yield pair


def _as_steps(step: Any) -> Tuple[int, ...]:
    """One step or several, in rising order."""
    steps = tuple(step) if isinstance(step, (list, tuple)) else (step, )
    if not steps or len(set(steps)) < len(steps) or not all(isinstance(one, int) and one >= 1 for one in steps):
        raise ConfigError(f'step must be a whole number of frames, at least 1, got {step!r}; or several different ones such as (1, 2)')
    return tuple(sorted(steps))


def _chosen(root: Path, found: List[str], scenes: Scenes, hold_out: Optional[Scenes]) -> List[str]:
    """The scenes in use, in the order of ``found``."""
    wanted = found if isinstance(scenes, str) and scenes == 'all' else _named(root, found, 'scenes', scenes)
    left_out = [] if hold_out is None else _named(root, found, 'hold_out', hold_out)
    chosen = [name for name in found if name in set(wanted) - set(left_out)]
    if not chosen:
        raise ConfigError(f'{root}: hold_out={hold_out!r} leaves no scene of {len(wanted)}; hold out fewer')
    return chosen


def _named(root: Path, found: List[str], key: str, names: Scenes) -> List[str]:
    """``names`` as a list of scenes that exist; ``key`` is the config key for the message."""
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{key} must be 'all', the name of a scene or a list of names, got {names!r}")
    for name in names:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=3) or found[:3]
            raise ConfigError(f'{root}: {key} names {name!r}, which is not among its {len(found)} scene(s); '
                              f'did you mean {", ".join(near)}?')
    return list(names)

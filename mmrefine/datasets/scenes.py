"""The scenes of a data root: their frames, which of them are used, and which are kept back for the guard."""
from __future__ import annotations

import bisect
import copy
import difflib
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union, cast

import numpy as np
from torch.utils.data import Dataset

from mmrefine.datasets.held_out import split_pairs
from mmrefine.datasets.overlays import SceneOverlays
from mmrefine.errors import ConfigError
from mmrefine.fileio.video.frame_cache import FrameCache
from mmrefine.fileio.video.frames import PictureSeries, Place, pictures_of
from mmrefine.fileio.video.numbering import find_gaps
from mmrefine.fileio.video.reader import FrameSource, open_frames
from mmrefine.fileio.video.reading import Reading, gaps_among
from mmrefine.fileio.video.scenes import Roots, common_root, list_scenes

SceneNames = Union[str, Sequence[str]]
Opener = Union[Place, Callable[[], FrameSource]]

# how many scenes keep decoded frames and open files at a time
_WARM_SCENES = 16


class LazySources(Mapping[str, FrameSource]):
    """Scene name -> its frames, opened when first asked for.

    However many scenes there are, only the most recently used ones keep decoded frames and open files.

    Args:
        openers: scene name -> what :func:`~mmrefine.fileio.open_frames` opens, or a picklable function without
            arguments.
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
            # a copy of a source keeps its index and drops its frames and open files
            self._opened[cooled] = copy.copy(self._opened[cooled])
        return self._opened[scene]

    def replace(self, scene: str, change: Callable[[FrameSource], FrameSource]) -> None:
        """Give the frames of a scene as ``change`` returns them from now on."""
        self._opened[scene] = change(self[scene])

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


class VideoScenes(Dataset):
    """Base of the data sets of frame pairs and of clips: videos as scenes, frames by scene and number, a held-out
    share, labels.

    Subclasses list their records, hand them to :meth:`_keep_back`, and add ``units`` and ``__getitem__``
    (``LabelSource``).

    Args:
        data_root: a video file; a folder of frames; a folder of such folders and video files, one a scene; or a list of
            these.
        scenes: 'all', the name of a scene, or a list of names.
        labels: root of the label store; see :meth:`set_labels`.
        hold_out: name or list of names of scenes to leave out of ``scenes``.
        skip: scene -> names of its corrupt frames, which are not used.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name.

    Attributes:
        scene_names: the scenes in use, in order.
        sources: scene -> FrameSource, opened when used.
        holds_whole_scenes: whether these are scenes that were kept back whole, and stand for the others.

    Raises:
        ConfigError: unknown scenes; nothing left after hold_out.
        InputError: a missing folder.
    """

    def __init__(self,
                 data_root: Roots,
                 scenes: SceneNames = 'all',
                 labels: Optional[Union[str, Path]] = None,
                 hold_out: Optional[SceneNames] = None,
                 skip: Optional[Mapping[str, Sequence[str]]] = None,
                 reading: Optional[Mapping[str, Any]] = None) -> None:
        self.reading = Reading.of(reading)
        self.data_root, self._roots = common_root(data_root), data_root
        self.labels = labels
        found = self._find_scenes()
        self.scene_names = choose_scenes(self.data_root, list(found), scenes, hold_out)
        self._found = {name: found[name] for name in self.scene_names}
        self._skip = {scene: frozenset(names) for scene, names in (skip or {}).items()}
        self._frame_names: Dict[str, List[str]] = {}
        self._gaps: Dict[str, List[int]] = {}
        self._ends: Dict[str, int] = {}
        self.holds_whole_scenes = False
        self._smallest: Optional[Tuple[int, int]] = None
        self._overlays = SceneOverlays(self)
        self.sources = LazySources({name: self._opener(name) for name in self.scene_names})

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What MMEngine's evaluator and checkpoints record of a dataset."""
        return dict(dataset=type(self).__name__, scenes=list(self.scene_names))

    def set_labels(self, root: Union[str, Path]) -> None:
        """Take the labels from the label store at ``root`` from now on; call it before the data are read."""
        self.labels = str(root)

    def video_frames(self) -> Dict[str, List[int]]:
        """Scene -> numbers of the frames that the items use, in order, for each scene that is a video file."""
        found: Dict[str, Set[int]] = {scene: set() for scene in self.scene_names if self._is_video(scene)}
        for unit in getattr(self, 'units', ()) if found else ():
            if unit.scene in found:
                found[unit.scene].update(unit.frames)
        return {scene: sorted(numbers) for scene, numbers in found.items() if numbers}

    def read_through(self, cache: FrameCache) -> None:
        """Take the frames of video files out of ``cache`` where it has them; call it before the data are read."""
        for scene in self.video_frames():
            self.sources.replace(scene, cache.wrap)

    def frame_files(self) -> List[Tuple[Path, str]]:
        """Where the frames are that the items use: the file, and the name of the frame if the file holds several."""
        used: Dict[str, Set[int]] = {}
        for unit in getattr(self, 'units', ()):
            used.setdefault(unit.scene, set()).update(unit.frames)
        found = []
        for scene, numbers in used.items():
            files = self._pictures_of(scene)  # without opening them, see _names_of
            chosen = [files[place] for place in self.reading.numbers(len(files))] if len(files) > 1 else []
            files = chosen or getattr(self.sources[scene], 'files', [])
            found += [(files[number], '') if files else (self.sources[scene].path, self.frame_name(scene, number))
                      for number in sorted(numbers)]
        return found

    def digests(self) -> Dict[str, str]:
        """Scene -> hash of the contents of its frames; reads every file once."""
        return {name: self.sources[name].digest() for name in self.scene_names}

    def smallest_size(self) -> Tuple[int, int]:
        """(least height, least width) over the frames of all scenes, px; opens every scene when first asked."""
        if self._smallest is None:
            heights, widths = zip(*(self.size(name) for name in self.scene_names))
            self._smallest = (min(heights), min(widths))
        return self._smallest

    def size(self, scene: str) -> Tuple[int, int]:
        """(height, width) of the frames of a scene, px."""
        return self.sources[scene].size

    def frame(self, scene: str, number: int) -> np.ndarray:
        """A frame ``(H, W, 3)`` uint8 RGB.

        Raises:
            InputError: it cannot be read, or is of another size than the first one of its scene.
        """
        return self.sources[scene][number]

    def frame_name(self, scene: str, number: int) -> str:
        """The name of a frame, unique in its scene."""
        return self.frame_names(scene)[number]

    def frame_names(self, scene: str) -> List[str]:
        """The names of all frames of a scene, in order."""
        if scene not in self._frame_names:
            self._frame_names[scene] = self._names_of(scene)
        return self._frame_names[scene]

    def overlay(self, scene: str) -> Optional[np.ndarray]:
        """What lies over a scene and never changes, see :class:`~mmrefine.datasets.overlays.SceneOverlays`."""
        return self._overlays.of(scene)

    def share_overlaid(self, scene: str) -> float:
        """The share of the frame that lies under it, in [0, 1)."""
        return self._overlays.share(scene)

    def gaps(self, scene: str) -> List[int]:
        """Rising numbers of the frames before which the names of a scene skip some, see
        :func:`~mmrefine.fileio.video.numbering.find_gaps`; no motion is estimated across a gap."""
        if scene not in self._gaps:
            pictures = self._pictures_of(scene)
            if pictures and self.reading != Reading():
                gaps = find_gaps([file.stem for file in pictures])
                self._gaps[scene] = gaps_among(self.reading.numbers(len(pictures)), gaps)
            else:
                self._gaps[scene] = find_gaps(self.frame_names(scene))
        return self._gaps[scene]

    def usable(self, scene: str, number: int, beside: Optional[int] = None) -> bool:
        """Whether a frame exists, is not to be skipped, and is not kept back for the guard; and whether no gap is
        between it and the frame ``beside`` it."""
        names = self.frame_names(scene)
        if not 0 <= number < self._ends.get(scene, len(names)) or names[number] in self._skip.get(scene, ()):
            return False
        return beside is None or not self._reaches_across(scene, min(number, beside), max(number, beside))

    def _reaches_across(self, scene: str, earlier: int, later: int) -> bool:
        """Whether a gap is between two frames."""
        gaps = self.gaps(scene)
        return bisect.bisect(gaps, earlier) < bisect.bisect(gaps, later)

    def _keep_back(self, records: Sequence[Mapping[str, Any]], share: float, held: bool,
                   reach: int, least: int = 0) -> List[Mapping[str, Any]]:
        """The records to use after the split of :func:`~mmrefine.datasets.split_pairs`; scenes that have none are
        dropped from :attr:`scene_names`.

        Args:
            records: with ``scene``, ``index``, the number of the first frame, and ``step``, frames from the first to
                the last.
            share: of the video that is kept back, in [0, 1).
            held: True: use the records that are kept back; False: the others.
            reach: the greatest ``step``.
            least: how many are kept back if possible, whatever the share.

        Raises:
            ConfigError: nothing can be kept back, or ``held`` and a share of 0.
        """
        split = split_pairs(records, share, reach, least)
        if held and not split.held:
            raise ConfigError(f'held=True asks for the pairs that are kept back, and held_out={share!r} keeps none '
                              'back; set held_out to a share above 0')
        self._ends = {} if held else split.ends
        self.holds_whole_scenes = held and not split.ends
        used = list(split.held if held else split.rest)
        kept = {record['scene'] for record in used}
        self.scene_names = [name for name in self.scene_names if name in kept]
        return used

    def _opener(self, scene: str) -> Opener:
        found, skip = self._found[scene], sorted(self._skip.get(scene, ()))
        if not isinstance(found, (Path, PictureSeries)) or not (skip or self.reading.values()):
            return found
        return partial(open_frames, found, skip, self.reading)

    def _find_scenes(self) -> Mapping[str, Opener]:
        """All scenes of the data."""
        return list_scenes(self._roots)

    def _is_video(self, scene: str) -> bool:
        path = self._found[scene]
        return isinstance(path, Path) and path.is_file()

    def _pictures_of(self, scene: str) -> List[Path]:
        """The pictures of a scene; none if it is a video or a source of its own."""
        place = self._found[scene]
        is_folder = isinstance(place, PictureSeries) or (isinstance(place, Path) and place.is_dir())
        return pictures_of(cast(Place, place)) if is_folder else []

    def _names_of(self, scene: str) -> List[str]:
        """The names of a scene's frames; of a folder without opening it, which would decode a frame of each scene."""
        pictures = self._pictures_of(scene)
        if len(pictures) > 1:
            return [pictures[number].stem for number in self.reading.numbers(len(pictures))]
        source = self.sources[scene]
        return [source.name(number) for number in range(len(source))]


def choose_scenes(root: Path, found: List[str], scenes: SceneNames, hold_out: Optional[SceneNames]) -> List[str]:
    """The scenes in use, in the order of ``found``."""
    wanted = found if isinstance(scenes, str) and scenes == 'all' else _named(root, found, 'scenes', scenes)
    left_out = [] if hold_out is None else _named(root, found, 'hold_out', hold_out)
    chosen = [name for name in found if name in set(wanted) - set(left_out)]
    if not chosen:
        raise ConfigError(f'{root}: hold_out={hold_out!r} leaves no scene of {len(wanted)}; hold out fewer')
    return chosen


def _named(root: Path, found: List[str], key: str, names: SceneNames) -> List[str]:
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

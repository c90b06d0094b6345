"""The scenes below a folder: which of its files are frames and videos, and what became of the others."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Set, Tuple, Union, cast

from mmrefine.errors import InputError
from mmrefine.fileio.video.frames import PictureSeries, Place, is_picture, list_folder, pictures_of
from mmrefine.fileio.video.label_like import holds_flow, holds_ids, names_labels, series_of_labels
from mmrefine.fileio.video.numbering import split_series
from mmrefine.fileio.video.reader import VIDEO_SUFFIXES, is_video
from mmrefine.fileio.video.results import holds_results

# one path or several
Roots = Union[str, Path, Sequence[Union[str, Path]]]

_LABELS = 'holds labels such as masks, depth or flow, by its name'
_DRAWN = 'holds labels such as masks or flow, by its pictures'
_RESULTS = 'holds results of mmrefine'
_LINK = 'links to what is listed in another place'
_OTHER = 'is neither a picture nor a video that can be read'
_STRAY = 'does not belong to the numbered pictures beside it'
_SINGLE = 'is a single picture, which has no motion'
_BELOW = 'lies in a folder of frames'
_EMPTY = 'holds neither frames nor videos'


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not used.

    Args:
        path: where it is.
        reason: why, as a clause whose subject is the path.
    """
    path: Path
    reason: str


@dataclass
class SceneList:
    """What a data root holds.

    Args:
        scenes: name -> what :func:`~mmrefine.fileio.open_frames` opens, sorted by name.
        left_out: every other file and folder that is not hidden; of a folder that is left out, only the folder.
    """
    scenes: Dict[str, Place] = field(default_factory=dict)
    left_out: List[LeftOut] = field(default_factory=list)

    def summary(self) -> List[str]:
        """One line for each reason, with a count and an example."""
        return summarize_left_out(self.left_out)


def list_scenes(root: Roots) -> Dict[str, Place]:
    """The scenes of :func:`find_scenes` alone."""
    return find_scenes(root).scenes


def find_scenes(root: Roots) -> SceneList:
    """The scenes below a path, and what is left out.

    A video is one scene, named after its stem; a folder of pictures is one, named after the folder, or one for each
    series of names (``left_0001``, ``right_0001``). Any other folder is searched: each folder of pictures and each
    video below it is a scene, named by its relative path ("day1/clip2"). Each real folder is searched once, whatever
    links to it. Below the root, folders and pictures of labels are left out where there are other scenes.

    Args:
        root: a video file, a folder, or several of them. Pictures among several paths are one scene, in this order.

    Raises:
        InputError: no such path, no scene in it, two scenes of one name, or a folder that mixes frames and videos.
    """
    paths = paths_of(root)
    if len(paths) > 1:
        return _find_in_each(paths)
    root = paths[0]
    if root.is_file():
        if not is_video(root):
            raise InputError(f'{root}: not a video ({", ".join(VIDEO_SUFFIXES)}); '
                             'name a video, a folder of frames, a folder of scenes, or several pictures')
        return SceneList({root.stem: root})
    if not root.exists():
        raise InputError(f'{root}: there is no such file or folder; check the path')
    search = _Search(root)
    search.run()
    found = SceneList(dict(sorted(search.scenes.items())), search.left_out)
    if not found.scenes:
        seen = ''.join(f'; {line}' for line in found.summary())
        raise InputError(f'{root}: holds neither frames nor videos, nor folders of them{seen}; check the path, or name '
                         'a folder of frames itself')
    return found


def paths_of(root: Roots) -> List[Path]:
    """One path or several as a list."""
    return [Path(one) for one in root] if isinstance(root, (list, tuple)) else [Path(cast(Union[str, Path], root))]


def common_root(root: Roots) -> Path:
    """The path itself, or the folder that holds all of several paths."""
    paths = paths_of(root)
    return paths[0] if len(paths) == 1 else Path(os.path.commonpath([path.absolute() for path in paths]))


def _find_in_each(roots: Sequence[Path]) -> SceneList:
    """The scenes of several paths; of two of one name the second is named after its folder, too."""
    pictures = tuple(root for root in roots if is_picture(root))
    found = SceneList()
    parts = []
    if pictures:
        name = f'{pictures[0].stem}__{pictures[-1].stem}'
        parts.append(SceneList({name: PictureSeries(pictures[0].parent, '', pictures)}))
    known = set(pictures)
    parts += [find_scenes(root) for root in roots if root not in known]
    for part in parts:
        found.left_out += part.left_out
        for name, place in part.scenes.items():
            path = place if isinstance(place, Path) else place.path
            name = f'{path.resolve().parent.name}/{name}' if name in found.scenes else name
            if name in found.scenes:
                raise InputError(f'{found.scenes[name]} and {place} are two scenes of one name ({name}); name each '
                                 'only once, or rename one')
            found.scenes[name] = place
    return SceneList(dict(sorted(found.scenes.items())), found.left_out)


def summarize_left_out(left_out: Sequence[LeftOut]) -> List[str]:
    """``3 left out, as each holds …, such as …``: one line for each reason, with a count and an example."""
    lines = []
    for reason in dict.fromkeys(one.reason for one in left_out):
        paths = [one.path for one in left_out if one.reason == reason]
        suffixes = sorted({path.suffix.lower() for path in paths if path.suffix})
        kinds = f' ({", ".join(suffixes)})' if reason == _OTHER and suffixes else ''
        lines.append(f'left out: {paths[0]}, which {reason}{kinds}' if len(paths) == 1 else
                     f'left out: {len(paths)} paths, such as {paths[0]}, each of which {reason}{kinds}')
    return lines


class _Search:
    """One search of a folder: real folders first, then what links lead to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scenes: Dict[str, Place] = {}
        self.left_out: List[LeftOut] = []
        self._links: List[Path] = []
        self._seen: Set[Tuple[int, int]] = set()

    def run(self) -> None:
        """Fill ``scenes`` and ``left_out``."""
        self._folder(self.root)
        for link in self._links:  # grows while it runs
            if self._is_new(link):
                self._entry(link)
            else:
                self._leave(link, _LINK)
        self._leave_labels()

    def _is_new(self, path: Path) -> bool:
        state = os.stat(path)
        return (state.st_dev, state.st_ino) not in self._seen

    def _folder(self, folder: Path) -> None:
        state = os.stat(folder)
        self._seen.add((state.st_dev, state.st_ino))
        entries = list_folder(folder)
        images = [entry for entry in entries if is_picture(entry)]
        videos = [entry for entry in entries if is_video(entry) and entry.is_file()]
        series, strays = split_series(images)
        if len(images) > 1 and videos:
            raise InputError(f'{folder}: holds frames ({images[0].name}, …) beside videos ({videos[0].name}, …); '
                             'put the frames into a folder of their own')
        before = len(self.scenes)
        for video in videos:
            if video.is_symlink():
                self._links.append(video)
            else:
                self._video(video)
        folders = [entry for entry in entries if entry.is_dir()]
        frames = [] if videos else images
        if len(frames) > 1:
            self._pictures(folder, series, strays)
            for entry in folders:
                self._leave(entry, _BELOW)
        else:
            for entry in folders:
                if entry.is_symlink():
                    self._links.append(entry)
                else:
                    self._entry(entry)
            if frames and len(self.scenes) == before:  # a scene of one frame, which whoever opens it refuses
                self._add(folder, folder)
            else:
                for image in images:
                    self._leave(image, _SINGLE)
        known = {*images, *videos, *folders}
        for entry in entries:
            if entry not in known:
                self._leave(entry, _OTHER)
        if not entries and folder != self.root:
            self._leave(folder, _EMPTY)

    def _entry(self, path: Path) -> None:
        """A folder or a link to a video."""
        if path.is_file():
            self._video(path)
        elif names_labels(path.name):
            self._leave(path, _LABELS)
        elif holds_results(path):
            self._leave(path, _RESULTS)
        else:
            self._folder(path)

    def _video(self, path: Path) -> None:
        state = os.stat(path)
        self._seen.add((state.st_dev, state.st_ino))
        self._add(path.with_suffix(''), path)

    def _pictures(self, folder: Path, series: Sequence, strays: Sequence[Path]) -> None:
        """The series of a folder of pictures: one scene, or one each."""
        frames = [one for one in series if not series_of_labels(one.name)]
        if frames:  # else the names tell nothing apart, and all are kept
            for one in series:
                if series_of_labels(one.name):
                    for file in one.files:
                        self._leave(file, _LABELS)
        kept = frames or list(series)
        for file in strays:
            self._leave(file, _STRAY)
        if len(kept) == 1:
            whole = len(series) == 1 and not strays
            self._add(folder, folder if whole else PictureSeries(folder, kept[0].name, tuple(kept[0].files)))
            return
        for one in kept:
            scene = PictureSeries(folder, one.name, tuple(one.files))
            self._add(folder / (one.name or 'frames'), scene)

    def _leave_labels(self) -> None:
        """Leave out scenes of flow; and those whose pictures look like masks, unless most do: then it is the footage
        that has few colours, such as a game's."""
        files = {name: _files_of(scene) for name, scene in self.scenes.items()}
        self._drop(files, holds_flow, 1.)
        self._drop(files, holds_ids, 0.5)

    def _drop(self, files: Dict[str, Sequence[Path]], is_label: Callable[[Sequence[Path]], bool], most: float) -> None:
        """Leave out scenes of labels if they are no more than a share of all."""
        labels = {name: scene for name, scene in self.scenes.items() if is_label(files[name])}
        if len(labels) <= most * len(self.scenes):
            for name, scene in labels.items():
                del self.scenes[name]
                self._leave(scene if isinstance(scene, Path) else scene.path, _DRAWN)

    def _leave(self, path: Path, reason: str) -> None:
        self.left_out.append(LeftOut(path, reason))

    def _add(self, place: Path, scene: Place) -> None:
        name = place.relative_to(self.root).as_posix()
        name = self.root.resolve().name if name == '.' else name
        if name in self.scenes:
            raise InputError(f'{self.scenes[name]} and {scene} are two scenes of one name ({name}); rename one')
        self.scenes[name] = scene


def _files_of(scene: Place) -> Sequence[Path]:
    """The pictures of a scene; of a video none."""
    return () if isinstance(scene, Path) and scene.is_file() else pictures_of(scene)

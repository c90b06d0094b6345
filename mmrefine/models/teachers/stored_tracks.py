"""A teacher that reads tracks which another tracker has made."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.tapvid import read_any_tracks
from mmrefine.fileio.digest import digest_of_files
from mmrefine.geometry import points_inside
from mmrefine.models.teachers.stateless import StatelessSource
from mmrefine.registry import TEACHERS
from mmrefine.structures import LabelSource

Size = Tuple[int, int]
Ways = Tuple[Tensor, Tensor, Tensor]  # there, back, visible


@TEACHERS.register_module()
class StoredTracks(StatelessSource):
    """Tracks in files, the same in all rounds. Implements ``TeacherSource``.

    The files are those that :func:`~mmrefine.fileio.read_any_tracks` reads, one for each scene with its tracks through
    all frames of the scene. They have no room for other points, so a :class:`~mmrefine.labeling.TrackLabeler` has
    neither view nor queries with this teacher: a label begins with all tracks that are seen in the first frame of its
    clip.

    Args:
        there: folder of files ``<scene>.npz``, or one such file.
        back: the same of the ways back: row k is track k, followed from the last frame to the first, in the order of
            the frames of ``there``. None: there is no way back, and whatever needs one cannot verify these tracks.
    """

    def __init__(self, there: str, back: Optional[str] = None) -> None:
        self.there, self.back = there, back
        self._teacher: Optional[TrackFiles] = None

    def frozen(self, student: nn.Module) -> 'TrackFiles':
        """The tracks in the files.

        Raises:
            InputError: no such folder, or no file in it.
        """
        if self._teacher is None:
            self._teacher = TrackFiles(Path(self.there), None if self.back is None else Path(self.back))
        return self._teacher


class TrackFiles:
    """Gives the tracks of a scene through frames of it. Implements ``GivenTracks`` and ``Teacher``.

    Args:
        there: see :class:`StoredTracks`.
        back: see there.

    Raises:
        InputError: no such folder, or no file in it.
    """

    def __init__(self, there: Path, back: Optional[Path] = None) -> None:
        self.there, self.back = _files('there', there), None if back is None else _files('back', back)
        self._read: Dict[str, Ways] = {}  # of the last scene that was asked for

    @property
    def has_way_back(self) -> bool:
        """Whether there are files of the ways back."""
        return self.back is not None

    def digest(self) -> str:
        """Identifies the contents of the files."""
        return digest_of_files((f'{way}/{scene}', path) for way, files in (('there', self.there), ('back', self.back))
                               for scene, path in (files or {}).items())

    def describe(self) -> Dict[str, Any]:
        """What decides over the answers beside the files."""
        return dict(network=type(self).__name__)

    def peak_bytes(self, size: Size, pairs: int = 1) -> int:
        """Nothing that counts: the tracks of a scene."""
        return 0

    def check_source(self, source: LabelSource) -> None:
        """Refuse files that do not fit what is to be labelled, before any label is made.

        Args:
            source: clips of all scenes that are labelled.

        Raises:
            InputError: a scene without a file, a file that is damaged or of another number or size of frames, or one
                with no track that begins in a clip.
        """
        for scene in dict.fromkeys(unit.scene for unit in source.units):
            size = source.size(scene)
            there, _, visible = self._tracks(scene, size)
            count = len(source.frame_names(scene)) if hasattr(source, 'frame_names') else there.shape[1]
            if there.shape[1] != count:
                raise InputError(f'{self.there[scene]}: has tracks through {there.shape[1]} frames, and scene {scene} '
                                 f'has {count}; run the tracker on all frames of the scene as they are read here')
            clips = [list(unit.frames) for unit in source.units if unit.scene == scene]
            if not any(bool(self._begins(scene, size, clip).any()) for clip in clips):
                raise InputError(f'{self.there[scene]}: no track is seen in the first frame of a clip and known, there '
                                 'and back, in all its frames; let tracks begin in the first frame of each clip')

    def tracks_of(self, scene: str, frames: Sequence[int], size: Size) -> Ways:
        """The tracks that are seen in the first of some frames and known in all of them; see
        :class:`~mmrefine.structures.GivenTracks`."""
        there, back, visible = self._tracks(scene, size)
        if max(frames) >= there.shape[1]:
            raise InputError(f'{self.there[scene]}: has tracks through {there.shape[1]} frames, and frame '
                             f'{max(frames)} (from 0) of scene {scene} is to be labelled; run the tracker on all '
                             'frames of the scene')
        own = self._begins(scene, size, frames).nonzero()  # (n, 1), so that both are picked together
        numbers = list(frames)
        return there[own, numbers], back[own, numbers], visible[own, numbers]

    def _begins(self, scene: str, size: Size, frames: Sequence[int]) -> Tensor:
        """Which tracks of a scene can become labels of these frames: bool ``(N,)``."""
        there, back, visible = (part[:, list(frames)] for part in self._tracks(scene, size))
        known = there.isfinite().all(dim=2).all(dim=1)
        if self.has_way_back:
            known &= back.isfinite().all(dim=2).all(dim=1)
        return known & (visible[:, 0] > 0.5) & points_inside(there[:, 0], size)

    def _tracks(self, scene: str, size: Size) -> Ways:
        if scene not in self._read:
            there, visible = self._one('there', self.there, scene, size)
            back = torch.full_like(there, float('nan'))
            if self.back is not None:
                back, _ = self._one('back', self.back, scene, size)
                if back.shape != there.shape:
                    raise InputError(f'{self.back[scene]}: has {back.shape[0]} tracks through {back.shape[1]} frames, '
                                     f'and {self.there[scene]} has {there.shape[0]} through {there.shape[1]}; the ways '
                                     'back must be those of the same tracks in the same order')
            self._read = {scene: (there, back, visible)}
        return self._read[scene]

    @staticmethod
    def _one(way: str, files: Dict[str, Path], scene: str, size: Size) -> Tuple[Tensor, Tensor]:
        if scene not in files:
            raise InputError(f'StoredTracks.{way} has no tracks of scene {scene}, but of {", ".join(files)}; add '
                             f'{scene}.npz, or leave the scene out (hold_out)')
        tracks = read_any_tracks(files[scene], size)
        if tracks.size != size:
            (height, width), (own_height, own_width) = size, tracks.size
            raise InputError(f'{files[scene]}: its tracks are px of frames of {own_height}x{own_width} (height x '
                             f'width), and scene {scene} has {height}x{width}; scale them, and its size')
        return tracks.points, tracks.visible


def _files(way: str, path: Path) -> Dict[str, Path]:
    """The files of a folder by scene, or the one file."""
    files = {path.stem: path} if path.is_file() else {
        file.relative_to(path).with_suffix('').as_posix(): file for file in sorted(path.rglob('*.npz'))}
    if not files:
        found = 'has no tracks' if path.is_dir() else 'is not there'
        raise InputError(f'{path}: {found}; StoredTracks.{way} is a folder of files <scene>.npz, or one of them')
    return files

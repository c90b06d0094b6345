"""Frames out of video files, and what a data root holds."""
from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.digest import digest_of_files
from mmrefine.fileio.video.frames import FolderFrames, FrameSource, list_folder, list_images

__all__ = ['FolderFrames', 'FrameSource', 'VIDEO_SUFFIXES', 'VideoFrames', 'list_scenes', 'open_frames']

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mov', '.3gp', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.ogv', '.wmv', '.flv')

# frames; up to here decoding onwards is cheaper than a jump, which starts at the last key frame
_NEAR = 16
# the two parts that a Matroska or WebM file consists of
_MATROSKA = {b'\x1a\x45\xdf\xa3': 'EBML', b'\x18\x53\x80\x67': 'Segment'}
# Captures of a parent process. Their decoder threads do not exist after a fork, so that closing one would wait for ever.
_ABANDONED: List[cv2.VideoCapture] = []


def open_frames(path: PathLike, skip: Sequence[str] = ()) -> FrameSource:
    """The frames of a folder of pictures or of a video file.

    Args:
        path: folder or file.
        skip: names of corrupt frames (:func:`~mmrefine.fileio.check_frames`), which keep their numbers and are never asked for.

    Raises:
        InputError: nothing there, neither of the two, fewer than two frames, frames of several sizes, broken files.
    """
    path = Path(path)
    if path.is_dir():
        return FolderFrames(path, skip)
    if path.is_file() and not is_video(path):
        raise InputError(f'{path}: neither a folder of frames nor a video ({", ".join(VIDEO_SUFFIXES)}); '
                         'motion needs at least 2 frames')
    return VideoFrames(path)


def list_scenes(root: PathLike) -> Dict[str, Path]:
    """Scene name -> folder or file for ``open_frames``, sorted by name.

    A video is one scene named after its stem; so is a folder of pictures. Any other folder is looked through: each folder of
    pictures and each video below it is a scene, named by its place ("day1/clip2"). Hidden entries are left out.

    Raises:
        InputError: nothing there, no scene in it, two scenes of one name, or a folder that mixes frames and videos.
    """
    root = Path(root)
    if root.is_file():
        if not is_video(root):
            raise InputError(f'{root}: not a video ({", ".join(VIDEO_SUFFIXES)}); '
                             'name a video, a folder of frames, or a folder of scenes')
        return {root.stem: root}
    if not root.exists():
        raise InputError(f'{root}: there is no such file or folder; check the path')
    if list_images(root) and not _videos(root):
        return {root.resolve().name: root}
    scenes: Dict[str, Path] = {}
    _collect(root, root, scenes)
    if not scenes:
        raise InputError(f'{root}: holds neither frames nor videos, nor folders of them; check the path')
    return dict(sorted(scenes.items()))


def is_video(path: Path) -> bool:
    """Whether the suffix is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def refuse_unusable(path: Path, count: int) -> None:
    """Raise the error of a video that is cut off, or of which only ``count`` < 2 frames can be decoded."""
    damage = 'the file is empty' if path.stat().st_size == 0 else _find_truncation(path)
    if damage is None and count > 1:
        return
    found = damage or ('too short' if count else 'damaged, or of an unknown kind')
    raise InputError(f'{path}: the video cannot be used ({found}), {count} frame{"s" * (count != 1)} can be decoded; '
                     f'{"motion needs at least 2, " * (damage is None)}copy it again'
                     f'{", or convert what is left of it (ffmpeg -i)" * (count > 1)}')


class VideoFrames(FrameSource):
    """The frames of a video file, upright, streamed; ``frame_000000`` is the first.

    Opening decodes the whole video once: the frame count of a container is only a promise (an estimate in mkv, cut by edit
    lists in mp4), and jumps of the decoder may land beside the frame that was asked for. That pass keeps one checksum per
    frame. Later a jump that lands elsewhere is noticed, and the video read from its start instead: random access gives
    exactly the frames of reading in order. Memory stays constant.

    Raises:
        InputError: a missing, truncated or unreadable video, or one with fewer than two frames.
    """

    def __init__(self, path: PathLike) -> None:
        super().__init__(path)
        self._capture: Optional[cv2.VideoCapture] = None
        self._pid = os.getpid()
        self._next = 0  # the frame that the capture gives next
        self._jumps = True  # until one lands elsewhere
        self._checksums: List[int] = []
        if not self.path.is_file():
            raise InputError(f'{self.path}: there is no such file; check the path')
        promised = self._index()
        count = len(self._checksums)
        refuse_unusable(self.path, count)
        if promised > count:
            warnings.warn(
                f'{self.path}: promises {promised} frames, {count} can be decoded; these are used', stacklevel=2)

    def __len__(self) -> int:
        return len(self._checksums)

    def name(self, index: int) -> str:
        return f'frame_{range(len(self))[index]:06d}'

    def digest(self) -> str:
        return digest_of_files([('', self.path)])

    def __getstate__(self) -> Dict[str, Any]:
        return {**super().__getstate__(), '_capture': None}

    def _index(self) -> int:
        """Decode everything once; returns the number of frames that the container promises."""
        capture = self._open()
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            if self._checksums and frame.shape[:2] != self.size:
                raise InputError(f'{self.path}: the picture size changes from {self.size[1]} x {self.size[0]} to '
                                 f'{frame.shape[1]} x {frame.shape[0]} at frame {len(self)}; cut the video there')
            self.size = frame.shape[:2]
            self._checksums.append(_checksum(frame))
        self._close()
        return promised

    def _load(self, index: int) -> np.ndarray:
        if not self._is_near(index):
            # one frame early, at no cost: a pair that is asked for in reverse wants it next
            self._jump(max(index - 1, 0))
        frame = self._read_to(index)
        if frame is None:
            self._jumps = False
            self._open()
            frame = self._read_to(index)
        if frame is None:
            raise InputError(f'{self.path}: frame {self._next - 1} is not what it was when the video was opened; '
                             'leave the file alone while it is in use, and start again')
        return frame

    def _is_near(self, index: int) -> bool:
        if not self._is_open() or self._next > index:
            return False
        return not self._jumps or index - self._next <= _NEAR

    def _jump(self, index: int) -> None:
        if not self._is_open():
            self._open()
        if self._jumps and index > _NEAR:
            assert self._capture is not None
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            self._next = index
        elif self._next > index:
            self._open()

    def _is_open(self) -> bool:
        return self._capture is not None and self._pid == os.getpid()

    def _read_to(self, index: int) -> Optional[np.ndarray]:
        """Decode onwards to ``index``; ``None`` when a frame is not the one that the first pass saw."""
        assert self._capture is not None
        rgb = None
        while self._next <= index:
            at, self._next = self._next, self._next + 1
            if not self._capture.grab():
                return None
            if at < index - 1:
                continue
            ok, bgr = self._capture.retrieve()
            if not ok or _checksum(bgr) != self._checksums[at]:
                return None
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            self._remember(at, rgb)
        return rgb

    def _open(self) -> cv2.VideoCapture:
        self._close()
        # one thread: several mend a damaged frame now this way and now that
        self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_ANY, [cv2.CAP_PROP_N_THREADS, 1])
        self._next, self._pid = 0, os.getpid()
        return self._capture

    def _close(self) -> None:
        if self._capture is not None:
            if self._pid == os.getpid():
                self._capture.release()
            else:
                _ABANDONED.append(self._capture)
            self._capture = None


def _checksum(frame: np.ndarray) -> int:
    """Of every fourth row: tells neighbouring frames apart at a quarter of the price."""
    return zlib.crc32(np.ascontiguousarray(frame[::4]).data)


def _videos(folder: Path) -> List[Path]:
    return [entry for entry in list_folder(folder) if is_video(entry) and entry.is_file()]


def _collect(root: Path, folder: Path, scenes: Dict[str, Path]) -> None:
    """Add the scenes right in ``folder`` and below it."""
    images, videos = list_images(folder), _videos(folder)
    if len(images) > 1 and videos:
        raise InputError(f'{folder}: holds frames ({images[0].name}, …) beside videos ({videos[0].name}, …); '
                         'put the frames into a folder of their own')
    if images and not videos:
        _add(scenes, folder.relative_to(root).as_posix(), folder)
        return
    for video in videos:
        _add(scenes, video.relative_to(root).with_suffix('').as_posix(), video)
    for entry in list_folder(folder):
        if entry.is_dir():
            _collect(root, entry, scenes)


def _add(scenes: Dict[str, Path], name: str, path: Path) -> None:
    if name in scenes:
        raise InputError(f'{scenes[name]} and {path} are two scenes of one name ({name}); rename one')
    scenes[name] = path


def _find_truncation(path: Path) -> Optional[str]:
    """Where an mp4/mov, avi or mkv/webm ends before its own lengths say; ``None`` for whole files and other containers."""
    total, at = path.stat().st_size, 0
    with open(path, 'rb') as file:
        while at + 8 <= total:
            file.seek(at)
            head = file.read(16).ljust(16, b'\0')
            if head[:4] in _MATROSKA:
                length = _matroska_length(head)
                if length is None:
                    return None
                kind = _MATROSKA[head[:4]]
            elif head[:4] == b'RIFF':
                kind, length = 'RIFF', struct.unpack_from('<I', head, 4)[0] + 8
            elif head[4:8].isalnum() and (at > 0 or head[4:8] in (b'ftyp', b'moov', b'mdat', b'wide', b'free', b'skip')):
                kind, length = head[4:8].decode('ascii'), struct.unpack_from('>I', head)[0]
                if length == 1:
                    length = struct.unpack_from('>Q', head, 8)[0]
                elif length == 0:  # "to the end of the file"
                    return None
            else:
                return None
            if at + length > total:
                return f'truncated: its {kind} part ends at byte {at + length}, the file at {total}'
            if length < 8:
                return None
            at += length
    return None


def _matroska_length(head: bytes) -> Optional[int]:
    """Bytes of the element that begins with ``head``, its own head included; ``None`` where a live writer left the length open.

    After 4 bytes of name the length follows in 1 to 8 bytes: as many as the first bit that is set says, the rest of which are the number.
    """
    more = 9 - head[4].bit_length()
    if more > 8:
        return None
    bits = 7 * more
    length = int.from_bytes(head[4:4 + more], 'big') & ((1 << bits) - 1)
    return None if length == (1 << bits) - 1 else 4 + more + length

"""Decoded frames of video files on disk, so that a frame at random costs no decoding from its key frame on."""
from __future__ import annotations

import contextlib
import copy
import errno
import shutil
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import av
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, remove_leftovers, write_bytes, write_failure
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.video.frames import FrameSource
from mmrefine.fileio.video.reader import READER, VideoFrames
from mmrefine.fileio.video.reading import ChosenFrames

# lossless, each frame alone; of FFmpeg's codecs for RGB the one that is decoded fastest (docs/speed.md)
CODEC, _PIXELS = 'magicyuv', 'gbrp'
_SUFFIX = '.frame'
# of the free disk: labels and checkpoints are written there, too
_SHARE_OF_DISK = 0.5


class CachePlan(NamedTuple):
    """What a cache will hold.

    Args:
        chosen: number of frames that it will hold.
        wanted: number of frames that it was asked to hold.
        size: estimate of their bytes on disk, including those that are there already.
        limit: most bytes that it may take.
    """
    chosen: int
    wanted: int
    size: int
    limit: float


class FrameCache:
    """Frames of video files below a folder, packed without loss, one file each:
    ``<root>/<digest of the video>/frame_000000.frame``.

    :meth:`add` the videos, :meth:`plan`, :meth:`fill`; and read from what :meth:`wrap` returns. Frames are written by
    :meth:`fill` alone, whole or not at all, and only if they come back equal to the bit. Where not all frames fit into
    the limit, those are kept that are farthest behind their key frame, as they are the ones that take longest to
    decode. The digest stands for the contents of the video, and for the versions of our reader and of the decoder.

    Args:
        root: the folder; of its files the cache removes what ends in ``.frame``, and no other.
        max_bytes: most bytes that the files may take. They never take more than half of the disk space that is free.
    """

    def __init__(self, root: PathLike, max_bytes: float) -> None:
        self.root, self.max_bytes = Path(root), max_bytes
        self._videos: Dict[Path, Tuple[VideoFrames, List[int]]] = {}  # by folder
        self._folders: Dict[Path, Path] = {}  # by video
        self._chosen: Dict[Path, List[int]] = {}

    def add(self, video: FrameSource, numbers: Iterable[int]) -> None:
        """Ask for frames of a video, which is read once for its digest; other sources are left alone."""
        if isinstance(video, ChosenFrames):
            numbers, video = [video.numbers[number] for number in numbers], video.source
        video = video.source if isinstance(video, CachedFrames) else video
        if not isinstance(video, VideoFrames):
            return
        folder = self.root / digest_of([video.digest(), READER, av.__version__, dict(av.library_versions)])
        known = self._videos.get(folder, (video, []))[1]
        self._videos[folder] = video, sorted({*known, *numbers})
        self._folders[video.path] = folder

    def wrap(self, source: FrameSource) -> FrameSource:
        """The same frames, out of the cache where it has them; a source that was not added comes back as it is."""
        if isinstance(source, ChosenFrames):
            return source.on(self.wrap(source.source))
        folder = self._folders.get(source.path)
        return source if folder is None or isinstance(source, CachedFrames) else CachedFrames(source, folder)

    def plan(self) -> CachePlan:
        """Choose the frames to hold. Sizes are estimated from a frame in the middle of each video; a video whose sample
        cannot be read is left out.
        """
        ranked: List[Tuple[int, Path, int]] = []
        size_of: Dict[Path, int] = {}
        for folder, (video, numbers) in self._videos.items():
            data = _packed(copy.copy(video), folder, numbers[len(numbers) // 2])
            if data is not None:
                size_of[folder] = len(data)
                ranked += [(-video.distance(number), folder, number) for number in numbers]
        limit = self._room()
        self._chosen, size, chosen = {}, 0, 0
        for _, folder, number in sorted(ranked, key=lambda one: one[0]):
            if size + size_of[folder] > limit:
                break
            self._chosen.setdefault(folder, []).append(number)
            size, chosen = size + size_of[folder], chosen + 1
        return CachePlan(chosen, sum(len(numbers) for _, numbers in self._videos.values()), size, limit)

    def fill(self, warn: Callable[[str], None]) -> Tuple[int, int]:
        """Decode what was chosen and is missing, in order, and remove what was not; one process at a time may do it.

        It ends early where the limit is reached, or, with a warning, where the disk is full. The rest of a video that
        cannot be read is left out: whoever needs such a frame will get the error.

        Returns:
            how many of the frames it was asked for are there, and their bytes.
        """
        paths = {folder: {number: _path(folder, video, number) for number in sorted(self._chosen.get(folder, ()))}
                 for folder, (video, _) in self._videos.items()}
        ordered = [path for files in paths.values() for path in files.values()]
        self._keep_only(frozenset(ordered))
        limit, size = self._room(), self._size()
        while size > limit and ordered:  # it was filled under a higher one
            path = ordered.pop()
            size -= _bytes_of(path)
            path.unlink(missing_ok=True)
        try:
            for folder, files in paths.items():
                video = copy.copy(self._videos[folder][0])  # this one is closed afterwards
                for number, path in files.items():
                    if path.exists():
                        continue
                    data = _packed(video, folder, number)
                    if data is None:
                        break
                    if size + len(data) > limit:
                        return len(self._files()), size
                    write_bytes(path, data)
                    size += len(data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # labels and checkpoints need the room more
                self.remove()
                warn(f'{self.root}: the disk is full, so the decoded frames were removed again; training decodes the '
                     'video instead, which is slower')
            else:
                warn(f'{write_failure(self.root, error)}. Frames that are not there are decoded from the video')
        return len(self._files()), self._size()

    def remove(self) -> None:
        """Remove all files of the cache, also those of other videos; whoever still reads then decodes the video."""
        self._keep_only(frozenset())

    def _room(self) -> float:
        """Most bytes that the files may take now."""
        return min(self.max_bytes, self._size() + _SHARE_OF_DISK * shutil.disk_usage(_existing(self.root)).free)

    def _files(self) -> List[Path]:
        return list(self.root.glob(f'*/*{_SUFFIX}'))

    def _size(self) -> int:
        return sum(map(_bytes_of, self._files()))

    def _keep_only(self, kept: Collection[Path]) -> None:
        """Remove all other files, what killed writers left, and folders that are empty then."""
        remove_leftovers(self.root)
        for path in self._files():
            if path not in kept:
                path.unlink(missing_ok=True)
        for folder in (*self.root.glob('*/'), self.root):
            with contextlib.suppress(OSError):  # it does not exist, or holds something
                folder.rmdir()


class CachedFrames(FrameSource):
    """The frames of a source, read from the files of a :class:`FrameCache` where there are whole ones.

    Args:
        source: whose frames they are.
        folder: the files of its frames.
    """

    def __init__(self, source: FrameSource, folder: Path) -> None:
        super().__init__(source.path)
        self.source, self.folder, self.size = source, folder, source.size

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        """As the source names it."""
        return self.source.name(index)

    def digest(self) -> str:
        """That of the source."""
        return self.source.digest()

    def __getstate__(self) -> Dict[str, Any]:
        return {**super().__getstate__(), 'source': copy.copy(self.source)}  # without frames and open files

    def _load(self, index: int) -> np.ndarray:
        try:
            frame = unpack_frame(_path(self.folder, self.source, index).read_bytes(), self.size)
        except OSError:
            frame = None
        return self.source._load(index) if frame is None else frame


def pack_frame(frame: np.ndarray) -> Optional[bytes]:
    """A frame ``(H, W, 3)`` uint8 packed without loss, behind its checksum; None if it would not come back equal."""
    height, width = frame.shape[:2]
    try:
        codec: Any = av.CodecContext.create(CODEC, 'w')
        codec.height, codec.width, codec.pix_fmt = height, width, _PIXELS
        codec.time_base, codec.thread_count = Fraction(1, 25), 1
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24').reformat(format=_PIXELS)
        body = b''.join(map(bytes, [*codec.encode(picture), *codec.encode(None)]))
    except (av.FFmpegError, ValueError):
        return None
    data = struct.pack('>I', zlib.crc32(body)) + body
    found = unpack_frame(data, (height, width))
    return data if found is not None and np.array_equal(found, frame) else None


def unpack_frame(data: bytes, size: Sequence[int]) -> Optional[np.ndarray]:
    """The frame that :func:`pack_frame` packed; None if ``data`` is damaged or not a frame of ``size`` = (height,
    width) px.
    """
    body = data[4:]
    if len(data) <= 4 or struct.pack('>I', zlib.crc32(body)) != data[:4]:
        return None
    try:
        codec: Any = av.CodecContext.create(CODEC, 'r')
        codec.thread_count = 1
        frames = [*codec.decode(av.Packet(body)), *codec.decode(None)]
    except (av.FFmpegError, ValueError):
        return None
    found = [frame.to_ndarray(format='rgb24') for frame in frames if (frame.height, frame.width) == tuple(size)]
    return found[0] if len(found) == 1 else None


def _packed(video: VideoFrames, folder: Path, number: int) -> Optional[bytes]:
    """The file of a frame, as it is there or as it would be; None if the frame cannot be read or packed."""
    with contextlib.suppress(OSError):
        data = _path(folder, video, number).read_bytes()
        if unpack_frame(data, video.size) is not None:
            return data
    try:
        return pack_frame(video[number])
    except InputError:
        return None


def _bytes_of(path: Path) -> int:
    """The size of a file; 0 if somebody has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _path(folder: Path, source: FrameSource, number: int) -> Path:
    return folder / f'{source.name(number)}{_SUFFIX}'


def _existing(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())

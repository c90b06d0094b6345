"""Points followed through videos, in the files of TAP-Vid (Doersch et al., NeurIPS 2022), and in ours.

TAP-Vid's coordinates are fractions of the frame: 0 and 1 are its edges, so the centre of the first of W pixels is at
0.5 / W. Pixel centres are at integers here: ``x = fraction * W - 0.5``, and the same of y with the height.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, TypeVar

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.array_pickle import PickledArray, load_pickle
from mmrefine.fileio.atomic import PathLike, atomic_write
from mmrefine.fileio.codecs.tracks import MOST_NUMBERS, read_tracks
from mmrefine.fileio.npz import Npz, write_npz

if TYPE_CHECKING:
    from mmrefine.structures import Tracks

T = TypeVar('T')
Size = Tuple[int, int]

POINTS, OCCLUDED, VIDEO = 'points', 'occluded', 'video'
_ZIP, _PICKLE = b'PK', b'\x80'
_FARTHEST = 1.  # frames beyond the edge: a point that is seen there is given in px, not as a fraction
_ANYWHERE = 1e6  # frames from the edge: beyond it a point that is not seen counts as infinite
_NAME = 60  # letters of a name in a message


@dataclass(frozen=True)
class TapVidVideo:
    """A video of TAP-Vid.

    Attributes:
        video: uint8 ``(T, H, W, 3)`` RGB, which may be read-only; None if the file has only points.
        tracks: px; each begins where its point is first seen.
        left_out: number of points that are seen in no frame, which ``tracks`` does not have.
    """
    video: Optional[np.ndarray]
    tracks: Tracks
    left_out: int


def read_tapvid(path: PathLike, size: Optional[Size] = None) -> Mapping[str, TapVidVideo]:
    """The videos of a file of TAP-Vid, by name.

    Args:
        path: an ``.npz`` with ``points`` ``(N, T, 2)``, ``occluded`` ``(N, T)`` and, if it has one, ``video``
            ``(T, H, W, 3)``, which is named as the file; or a pickle of a dict of such videos, like
            ``tapvid_davis.pkl``. A pickle is read without running it.
        size: (height, width) px of the frames where the file has no video.

    Raises:
        InputError: the file is missing, damaged or another one, or has no video and no size is given.
    """
    def read(stream: BinaryIO, start: bytes) -> Mapping[str, TapVidVideo]:
        if start.startswith(_ZIP):
            npz = Npz(stream)
            return {Path(path).stem: _video_of_npz(npz, size, with_video=True)}
        if start.startswith(_PICKLE):
            return _videos_of_pickle(load_pickle(stream), stream.tell(), size)
        raise ValueError('it is neither an .npz nor a pickle of protocol 2 or later')

    return _read(path, read)


def read_any_tracks(path: PathLike, size: Optional[Size] = None) -> Tracks:
    """The tracks in an ``.npz`` of ours (it has ``tracks``) or of TAP-Vid (``points`` and ``occluded``).

    Args:
        path: the file.
        size: (height, width) px of the frames of a file of TAP-Vid without a video; ours say it themselves.

    Raises:
        InputError: the file is missing, damaged, another one, or has neither a size nor a video and none is given.
    """
    def read(stream: BinaryIO, start: bytes) -> Optional[Tracks]:
        if start.startswith(_PICKLE):
            raise ValueError('it is a pickle of many videos, which read_tapvid reads')
        npz = Npz(stream)
        if 'tracks' in npz.headers:
            return None
        if POINTS not in npz.headers:
            raise ValueError(f"it has neither 'tracks', as ours have, nor {POINTS!r}, as those of TAP-Vid, but "
                             f'{_names(npz.headers)}')
        return _video_of_npz(npz, size, with_video=False).tracks

    found = _read(path, read, 'tracks')
    return read_tracks(path) if found is None else found


def write_tapvid(path: PathLike, tracks: Tracks, video: Optional[np.ndarray] = None) -> None:
    """Write tracks as an ``.npz`` of TAP-Vid, whole or not at all.

    A point is occluded unless its confidence is above 0.5, and nan where it is not followed. The layout has no
    queries: who reads it takes each point from where it is first seen. Without the video it has no size either.

    Args:
        path: of the file.
        tracks: px.
        video: uint8 ``(T, H, W, 3)`` RGB, of the frames of the tracks.

    Raises:
        ValueError: a video of another shape or type.
        OSError: the disk is full or the folder cannot be written.
    """
    wanted = (tracks.points.shape[1], *tracks.size, 3)
    if video is not None and (video.dtype != np.uint8 or video.shape != wanted):
        raise ValueError(f'{path}: the video of these tracks is uint8 {wanted}, got {video.dtype} {video.shape}')
    pixels = tracks.points.detach().cpu().numpy().astype(np.float64)
    visible = (tracks.visible.detach().cpu().numpy() > 0.5) & ~np.isnan(pixels).any(axis=2)
    arrays = {POINTS: (pixels + 0.5) / _sides(tracks.size), OCCLUDED: ~visible}
    with atomic_write(path) as stream:
        write_npz(stream, {**({} if video is None else {VIDEO: video}), **arrays})


def _read(path: PathLike, read: Callable[[BinaryIO, bytes], T], what: str = 'tracks of TAP-Vid') -> T:
    """What ``read`` makes of an open file and its first bytes; its ValueErrors become errors that name the file, and
    ``what`` it should be."""
    try:
        with open(path, 'rb') as stream:
            start = stream.read(2)
            if not start:
                raise InputError(f'{path}: the file is empty; copy or export it again')
            return read(stream, start)
    except OSError as error:
        raise InputError(f'{path}: cannot be opened ({error.strerror}); check the path') from error
    except ValueError as error:
        raise InputError(f'{path}: cannot be read as {what} ({error}); name another file, or copy or export this one '
                         'again') from error


def _video_of_npz(npz: Npz, size: Optional[Size], with_video: bool) -> TapVidVideo:
    """The one video of an ``.npz``, with its pixels or without."""
    headers = {name: (str(header), header.dtype, header.shape) for name, header in npz.headers.items()}
    size = _checked_size(headers, size)
    video = npz.read(VIDEO) if with_video and VIDEO in headers else None
    return _video_of(npz.read(POINTS), npz.read(OCCLUDED), size, video)


def _videos_of_pickle(found: Any, total: int, size: Optional[Size]) -> Dict[str, TapVidVideo]:
    """The videos of what a pickle of ``total`` bytes holds."""
    if not isinstance(found, dict) or not found:
        raise ValueError(f'it holds {"no video" if found == {} else "a " + type(found).__name__}, not a dict of videos')
    videos = {}
    for name, parts in found.items():
        if not isinstance(name, str) or not isinstance(parts, dict):
            raise ValueError(f'it holds a {type(parts).__name__} under a {type(name).__name__}, not videos under names')
        arrays = {part: value for part, value in parts.items() if isinstance(value, PickledArray)}
        try:
            # a pickle may name the same bytes again and again
            total -= sum(len(arrays[part].data) for part in (POINTS, OCCLUDED) if part in arrays)
            if total < 0:
                raise ValueError('the arrays up to here have more bytes than the file')
            own = _checked_size({part: (str(one), one.dtype, one.shape) for part, one in arrays.items()}, size)
            videos[name] = _video_of(arrays[POINTS].read(), arrays[OCCLUDED].read(), own,
                                     arrays[VIDEO].read() if VIDEO in arrays else None)
        except ValueError as error:
            raise ValueError(f'video {name[:_NAME]!r}: {error}') from error
    return videos


def _checked_size(headers: Mapping[Any, Tuple[str, Optional[np.dtype], Tuple[int, ...]]],
                  size: Optional[Size]) -> Size:
    """(height, width) of the frames of a video whose arrays say this of themselves; ValueError if they do not fit."""
    missing = [name for name in (POINTS, OCCLUDED) if name not in headers]
    if missing:
        raise ValueError(f'it has no array {" and no ".join(map(repr, missing))}, but {_names(headers)}')
    (said, dtype, shape), (said_occluded, flag, flags) = headers[POINTS], headers[OCCLUDED]
    if dtype is None or dtype.kind != 'f' or len(shape) != 3 or shape[2] != 2 or not shape[1]:
        raise ValueError(f'its {POINTS!r} are {said}, they must be float (N, T, 2)')
    if flag != np.dtype(bool) or flags != shape[:2]:
        raise ValueError(f'its {OCCLUDED!r} is {said_occluded}, it must be bool {shape[:2]}')
    if shape[0] * shape[1] * 2 > MOST_NUMBERS:
        raise ValueError(f'it has {shape[0]} points in {shape[1]} frames, at most {MOST_NUMBERS // 2} are read')
    if VIDEO in headers:
        said, dtype, pixels = headers[VIDEO]
        if dtype != np.dtype(np.uint8) or len(pixels) != 4 or pixels[0] != shape[1] or pixels[3] != 3:
            raise ValueError(f'its {VIDEO!r} is {said}, it must be uint8 ({shape[1]}, H, W, 3)')
        size = (pixels[1], pixels[2])
    if size is None:
        raise ValueError('it has no video, so the size of the frames is not known: give size=(height, width)')
    if min(size) < 1:
        raise ValueError(f'the size of its frames is {size}, at least 1 px is needed')
    return size


def _video_of(fractions: np.ndarray, occluded: np.ndarray, size: Size, video: Optional[np.ndarray]) -> TapVidVideo:
    """A video whose arrays fit together."""
    import torch  # here, as stores are merged and checked without it

    from mmrefine.structures import Tracks
    fractions = fractions.astype(np.promote_types(fractions.dtype, np.float32))  # of 16 bits the bound is infinite
    visible = ~occluded
    seen = visible.any(axis=1)
    known = fractions[visible]
    if (np.abs(fractions) > _ANYWHERE).any() or np.isnan(known).any():
        raise ValueError('it has points that are seen and are not numbers, or infinite ones')
    if known.size and np.abs(known - 0.5).max() > 0.5 + _FARTHEST:
        far = known.ravel()[np.abs(known - 0.5).argmax()]
        raise ValueError(f'a point that is seen is at {far:g}; {POINTS!r} are fractions of the frame, 0 to 1, not px')
    points = (fractions[seen] * _sides(size) - 0.5).astype(np.float32)
    visible = visible[seen]
    first = visible.argmax(axis=1)
    queries = np.concatenate([first[:, None], points[np.arange(len(points)), first][:, ::-1]], axis=1)
    tracks = Tracks(torch.from_numpy(points), torch.from_numpy(visible.astype(np.float32)),
                    torch.from_numpy(queries.astype(np.float32)), size)
    return TapVidVideo(video, tracks, int((~seen).sum()))


def _sides(size: Size) -> np.ndarray:
    """Width and height, to scale (x, y)."""
    return np.array([size[1], size[0]], np.float64)


def _names(headers: Iterable[Any]) -> str:
    shown: List[str] = [repr(name[:_NAME]) for name in headers if isinstance(name, str)][:5]
    return ', '.join(shown) or 'none'

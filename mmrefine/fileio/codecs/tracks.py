"""Tracks as the bytes of one file, and back; that file for people who have no label store."""
from __future__ import annotations

import io
from typing import TYPE_CHECKING, Dict, Mapping, Optional

import numpy as np

from mmrefine.errors import InputError, LabelStoreError
from mmrefine.fileio.atomic import PathLike, write_bytes
from mmrefine.fileio.codecs.kinds import register_codec
from mmrefine.fileio.images import read_input
from mmrefine.fileio.npz import Npz, pack_npz
from mmrefine.fileio.store.layout import unreadable

if TYPE_CHECKING:
    from mmrefine.structures import Tracks

NPZ = '.npz'
# dtype and number of axes of each array, in the order of the file
MEMBERS = {'tracks': ('<f4', 3), 'visible': ('|b1', 2), 'queries': ('<f4', 2), 'size': ('<i4', 1)}
ERROR = 'error'  # an array that is there only if the error is known; of the dtype and the axes of ('<f4', 2)
STEPS = 64  # of a px
MOST_NUMBERS = 2**26  # of the array of points, 256 MiB


class TracksCodec:
    """Tracks: one ``.npz``, which numpy reads without this package.

    =========  =======  ===========  ===================================================================
    array      dtype    shape        contents
    =========  =======  ===========  ===================================================================
    tracks     float32  (N, T, 2)    px (x, y), pixel centres at integers; nan where a point is not followed
    visible    bool     (N, T)       whether the point is seen; false where it is not followed
    queries    float32  (N, 3)       frame, y, x where each track begins
    size       int32    (2,)         height, width of the frames, px
    error      float32  (N, T)       px, how far off the point is expected to be; nan where it is not
                                     followed; only in the files of tracks whose error is known
    =========  =======  ===========  ===================================================================

    Points are kept to the nearest 1/64 px (so to ±1/128 px); a point is seen if its confidence is above 0.5.
    """
    kind = 'tracks'
    suffixes = (NPZ, )

    def encode(self, label: Tracks) -> Dict[str, bytes]:
        """The bytes of the file, by its suffix; equal labels give equal bytes.

        Raises:
            LabelStoreError: points that are infinite, or queries outside the T frames.
        """
        try:
            return {NPZ: pack_npz(_arrays(label))}
        except ValueError as error:
            raise LabelStoreError(f'these tracks cannot be stored: {error}; correct the labeler') from error

    def decode(self, files: Mapping[str, bytes], name: str) -> Tracks:
        """The label; ``visible`` is 0 or 1.

        Raises:
            LabelStoreError: the file is damaged or holds something else; names it as ``name`` and its suffix.
        """
        try:
            return _decoded(files[NPZ])
        except ValueError as error:
            raise LabelStoreError(unreadable(f'{name}{NPZ}', error)) from error

    def as_stored(self, label: Tracks) -> Tracks:
        """What :meth:`decode` gives back of a label, to the bit, without packing it.

        Raises:
            LabelStoreError: as of :meth:`encode`.
        """
        try:
            return _tracks_of(_arrays(label))
        except ValueError as error:
            raise LabelStoreError(f'these tracks cannot be stored: {error}; correct the labeler') from error

    def damage(self, data: bytes) -> Optional[str]:
        """What headers and checksums inside the file say is wrong with it; None if nothing is."""
        try:
            npz = Npz(io.BytesIO(data))
            _check_headers(npz)
            npz.check_sums()
        except ValueError as error:
            return f'damaged: {error}'
        return None


def read_tracks(path: PathLike) -> Tracks:
    """The tracks in a file that :func:`write_tracks` wrote; ``visible`` is 0 or 1.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    data = read_input(path)
    try:
        return _decoded(data)
    except ValueError as error:
        raise InputError(f'{path}: cannot be read as tracks ({error}); copy it or write it again') from error


def write_tracks(path: PathLike, tracks: Tracks) -> None:
    """Write tracks as :class:`TracksCodec` lays them out, whole or not at all.

    Raises:
        InputError: points that are infinite, or queries outside the T frames.
        OSError: the disk is full or the folder cannot be written.
    """
    try:
        data = pack_npz(_arrays(tracks))
    except ValueError as error:
        raise InputError(f'{path}: these tracks cannot be written: {error}; correct them') from error
    write_bytes(path, data)


def _arrays(tracks: Tracks) -> Dict[str, np.ndarray]:
    """What is stored, by name."""
    points = np.rint(tracks.points.detach().cpu().numpy().astype(np.float64) * STEPS) / STEPS
    points = points.astype(np.float32)
    unknown = np.isnan(points)
    points += 0.  # -0 becomes 0: both are the same place
    points[unknown] = np.nan  # one nan of the many
    visible = (tracks.visible.detach().cpu().numpy() > 0.5) & ~unknown.any(axis=2)
    queries = tracks.queries.detach().cpu().numpy().astype(np.float32) + np.float32(0)
    arrays = {'tracks': points, 'visible': visible, 'queries': queries, 'size': np.array(tracks.size, np.int32)}
    if tracks.error is not None:
        arrays[ERROR] = tracks.error.detach().cpu().numpy().astype(np.float32) + np.float32(0)
        arrays[ERROR][unknown.any(axis=2)] = np.nan  # one nan of the many
    _check_contents(arrays)
    return arrays


def _decoded(data: bytes) -> Tracks:
    """The tracks in the bytes of a file; ValueError if they are something else."""
    npz = Npz(io.BytesIO(data))
    _check_headers(npz)
    arrays = {name: npz.read(name) for name in npz.headers}
    _check_contents(arrays)
    return _tracks_of(arrays)


def _check_headers(npz: Npz) -> None:
    """Raise ValueError unless these are the arrays of tracks, which fit together; nothing is read."""
    found = npz.headers
    if set(found) - {ERROR} != set(MEMBERS):
        raise ValueError(f'its arrays are {", ".join(map(repr, found)) or "none"}, those of tracks are '
                         f'{", ".join(map(repr, MEMBERS))}, and perhaps {ERROR!r}')
    count, frames = (*found['tracks'].shape, -1, -1)[:2]
    shapes = ((count, frames, 2), (count, frames), (count, 3), (2, ), (count, frames))
    for (name, (dtype, _)), shape in zip([*MEMBERS.items(), (ERROR, ('<f4', 2))], shapes):
        if name not in found:
            continue
        if found[name].dtype != np.dtype(dtype) or found[name].shape != shape:
            raise ValueError(f'its {name!r} is {found[name]}, and that of {max(count, 0)} tracks in {max(frames, 0)} '
                             f'frames is {np.dtype(dtype)} {shape}')
    if count * frames * 2 > MOST_NUMBERS:
        raise ValueError(f'it has {count} tracks in {frames} frames, at most {MOST_NUMBERS // 2} points are read')


def _check_contents(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless the arrays mean tracks."""
    points, visible, queries, size = (arrays[name] for name in MEMBERS)
    frames = points.shape[1]
    if size.shape != (2, ) or (size < 1).any():
        raise ValueError(f'the size of the frames is {size.tolist()}, it must be (height, width), at least 1 px each')
    for fault, is_faulty in (
            ('has an infinite point', np.isinf(points).any(axis=(1, 2))),
            ('is seen where it has no point', (np.isnan(points).any(axis=2) & visible).any(axis=1)),
            ('has a query that is not a number', ~np.isfinite(queries).all(axis=1)),
            (f'has a query outside the {frames} frames', ~((queries[:, 0] >= 0) & (queries[:, 0] <= frames - 1)))):
        if is_faulty.any():
            raise ValueError(f'track {int(is_faulty.argmax())} of {len(points)} {fault}')
    error = arrays.get(ERROR)
    if error is not None:
        wrong = np.isnan(error) != np.isnan(points).any(axis=2)
        wrong |= np.isinf(error) | (np.nan_to_num(error) < 0)
        if wrong.any():
            raise ValueError(f'track {int(wrong.any(axis=1).argmax())} of {len(points)} has an expected error that is '
                             'no number of px from 0 where it is followed, or one where it is not')


def _tracks_of(arrays: Mapping[str, np.ndarray]) -> Tracks:
    """The tracks of what is stored."""
    import torch  # here, as stores are merged and checked without it

    from mmrefine.structures import Tracks
    points, visible, queries, size = (arrays[name] for name in MEMBERS)
    return Tracks(torch.from_numpy(points), torch.from_numpy(visible.astype(np.float32)), torch.from_numpy(queries),
                  (int(size[0]), int(size[1])), torch.from_numpy(arrays[ERROR]) if ERROR in arrays else None)


register_codec(TracksCodec())

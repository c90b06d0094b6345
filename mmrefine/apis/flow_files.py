"""The files of ``mmrefine flow``: how they are called, written and read."""
from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Optional

import numpy as np

from mmrefine.apis.result_files import read_result_record, refuse_strangers
from mmrefine.errors import InputError
from mmrefine.fileio.atomic import write_bytes
from mmrefine.fileio.flow_io import PACKING, read_flow, write_flow
from mmrefine.fileio.images import read_input, write_image
from mmrefine.fileio.png import pack_png
from mmrefine.models.teachers.motion_files import BACKWARD, FORWARD, RECORD

FORMATS = ('png', 'flo', 'flo5', 'npz')
VIDEO = 'flow.mp4'
ERROR_STEPS = 256  # of expected_error/, in a px


@dataclass(frozen=True)
class MotionPair:
    """Two neighbouring frames, and the files of their motion.

    Args:
        index: number of the first frame.
        flow: file of the motion.
        confidence: picture of how sure it is.
        occlusion: picture of what is hidden in the second frame.
        backward: file of the motion from the second frame back to the first; None: it is not written.
        error: picture of how large the error of the motion is expected to be; None: it is not written.
    """
    index: int
    flow: Path
    confidence: Path
    occlusion: Path
    backward: Optional[Path] = None
    error: Optional[Path] = None

    @classmethod
    def of(cls, folder: Path, index: int, name: str, format: str, second: Optional[str] = None,
           error: bool = False) -> 'MotionPair':
        """The files in ``folder`` of the pair whose first frame has this number and name; ``second`` is the name of the
        other one, if the motion back from there is written, too; ``error``: whether the error to expect is."""
        return cls(index, folder / FORWARD / f'{name}.{format}', folder / 'confidence' / f'{name}.png',
                   folder / 'occlusion' / f'{name}.png',
                   None if second is None else folder / BACKWARD / f'{second}.{format}',
                   folder / 'expected_error' / f'{name}.png' if error else None)


class Motion(NamedTuple):
    """What is known of the motion between two frames.

    Args:
        there: ``(H, W, 2)`` px, nan where it is unknown.
        back: the same from the second frame to the first.
        sure: ``(H, W)`` in [0, 1], the confidence in ``there``.
        hidden: ``(H, W)`` bool, whether the pixel is occluded in the second frame.
        error: ``(H, W)`` px, the error of ``there`` that is to be expected; None if nobody knows it.
    """
    there: np.ndarray
    back: np.ndarray
    sure: np.ndarray
    hidden: np.ndarray
    error: Optional[np.ndarray] = None


def files_of(pairs: Iterable[MotionPair]) -> Iterable[Path]:
    """All files of these pairs."""
    return (path for pair in pairs
            for path in (pair.flow, pair.confidence, pair.occlusion, pair.backward, pair.error) if path)


def write_pair(pair: MotionPair, motion: Motion) -> None:
    """Write the files of a pair, each whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    write_motion(pair.flow, motion.there)
    if pair.backward is not None:
        write_motion(pair.backward, motion.back)
    write_image(pair.confidence, np.round(255 * motion.sure).astype(np.uint8))
    write_image(pair.occlusion, np.where(motion.hidden, 255, 0).astype(np.uint8))
    if pair.error is not None and motion.error is not None:
        steps = np.rint(ERROR_STEPS * motion.error).clip(max=2**16 - 1).astype(np.uint16)
        write_bytes(pair.error, pack_png(steps, PACKING))


def write_motion(path: Path, flow: np.ndarray) -> None:
    """Write ``(H, W, 2)`` px as the format of the suffix, whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    if path.suffix != '.npz':
        write_flow(path, flow)
        return
    buffer = io.BytesIO()
    np.savez_compressed(buffer, flow=flow)
    write_bytes(path, buffer.getvalue())


def read_motion(path: Path) -> np.ndarray:
    """``(H, W, 2)`` px, nan where it is unknown.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path.suffix == '.npz':
        try:
            with np.load(io.BytesIO(read_input(path)), allow_pickle=False) as arrays:
                return np.asarray(arrays['flow'])
        except (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f'{path}: is damaged ({type(error).__name__} while reading); delete it, the same command '
                             'makes it again') from error
    flow, valid = read_flow(path)
    return np.where(valid[..., None], flow, np.float32('nan'))


def read_flow_record(folder: Path, settings: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The content of ``flow.json``; None if it is missing, or has other settings and no flow was written yet.

    Raises:
        ConfigError: the files were made with other settings; names what differs.
        InputError: the file is something else, or there is none and a video would be overwritten.
    """
    record = read_result_record(folder / RECORD, 'flow that was', settings, lambda: any((folder / 'flow').glob('*')))
    if record is None:
        refuse_strangers(folder / RECORD, [folder / VIDEO])
    return record

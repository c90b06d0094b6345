"""What several passes saw of a pair, beside the truth: what a verifier of passes learns from, as ``.npz``."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import atomic_write
from mmrefine.fileio.npz import Npz, write_npz


@dataclass(frozen=True)
class StoredPasses:
    """Passes over one pair and what is true.

    Args:
        frames: ``(2, H, W, 3)`` uint8 RGB.
        passes: ``(P, 2, 2, H, W)`` float16 px, each there and back.
        traits: ``(P, 2)`` float32: log2 of the scale of each pass, and 1 for mirrored frames, else 0.
        truth: ``(2, 2, H, W)`` float16 px, there and back.
        known: ``(2, H, W)`` bool, where the truth is known.
    """
    frames: np.ndarray
    passes: np.ndarray
    traits: np.ndarray
    truth: np.ndarray
    known: np.ndarray


def write_passes(path: Union[str, 'os.PathLike[str]'], stored: StoredPasses) -> None:
    """Write passes, whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    with atomic_write(path) as file:
        write_npz(file, dict(vars(stored)))


def read_passes(path: Union[str, 'os.PathLike[str]']) -> StoredPasses:
    """Read what :func:`write_passes` wrote.

    Raises:
        InputError: no such file, a damaged one, or arrays of other shapes.
    """
    try:
        with open(path, 'rb') as file:
            arrays = Npz(file)
            found = {name: arrays.read(name) for name in ('frames', 'passes', 'traits', 'truth', 'known')}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f'{path}: is not a file of passes ({error}); make it with tools/collect_passes.py') from error
    height, width = found['frames'].shape[1:3] if found['frames'].ndim == 4 else (0, 0)
    count = len(found['traits']) if found['traits'].ndim else 0
    wanted = dict(frames=(2, height, width, 3), passes=(count, 2, 2, height, width), traits=(count, 2),
                  truth=(2, 2, height, width), known=(2, height, width))
    shapes = {name: array.shape for name, array in found.items()}
    if shapes != wanted or not count:
        raise InputError(f'{path}: has arrays of the shapes {shapes}, wanted {wanted} with at least one pass; make it '
                         'with tools/collect_passes.py')
    return StoredPasses(**found)


def list_passes(root: Union[str, 'os.PathLike[str]']) -> list[Path]:
    """The files of passes below a folder, in order.

    Raises:
        InputError: there are none.
    """
    found = sorted(Path(root).rglob('*.npz'))
    if not found:
        raise InputError(f'{root}: has no files of passes (.npz); make some with tools/collect_passes.py')
    return found

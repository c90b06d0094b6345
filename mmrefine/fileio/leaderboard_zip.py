"""The file that a leaderboard takes: flows in its own layout, in one zip."""
from __future__ import annotations

import zipfile
from typing import Iterable, Tuple

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, atomic_write

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: the same flows give the same bytes


def write_submission(path: PathLike, files: Iterable[Tuple[str, bytes]]) -> int:
    """Write a zip of files as they come, one in memory at a time; it appears whole or not at all.

    Args:
        path: of the zip.
        files: name in the zip, such as ``flow/000000_10.png``, and contents.

    Returns:
        how many files it holds.

    Raises:
        InputError: two files of one name, or none at all.
        OSError: the disk is full or the folder cannot be written.
    """
    names = set()
    with atomic_write(path) as stream, zipfile.ZipFile(stream, 'w') as archive:
        for name, data in files:
            if name in names:
                raise InputError(f'{path}: two flows would be called {name}; give each scene once')
            names.add(name)
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.external_attr = 0o644 << 16
            # a PNG is packed already
            entry.compress_type = zipfile.ZIP_STORED if name.endswith('.png') else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=1)
        if not names:
            raise InputError(f'{path}: there is no flow to write; check the data and its split')
    return len(names)

"""Which folders of a data root hold results of mmrefine, by what is written in the files of ours."""
from __future__ import annotations

from pathlib import Path
from typing import Dict

from mmrefine.errors import InputError
from mmrefine.fileio.records import read_record
from mmrefine.fileio.store.layout import FORMAT, MANIFEST

# file -> what mmrefine always writes there; files of these names are common, and others write other things
_RECORDS: Dict[str, Dict[str, type]] = {
    'run.json': dict(settings=dict, finished=bool),
    'flow.json': dict(settings=dict, scene=str, size=list, pairs=int),
    'propagate.json': dict(settings=dict, scene=str, size=list),
    MANIFEST: dict(format=str, fingerprint=dict, pairs=dict)}
_STORES = FORMAT.partition('/')[0] + '/'  # of any version


def holds_results(folder: Path) -> bool:
    """Whether a folder holds a record of mmrefine; a file of such a name that is damaged or says other things is none.
    """
    return any(_is_ours(folder / name, parts) for name, parts in _RECORDS.items())


def _is_ours(path: Path, parts: Dict[str, type]) -> bool:
    try:
        record = read_record(path, 'a record of mmrefine', parts, '')
    except InputError:
        return False
    return record is not None and (path.name != MANIFEST or record['format'].startswith(_STORES))

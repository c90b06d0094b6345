"""The files of a report: report.json for programs, report.html for people."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from mmrefine.fileio.atomic import write_bytes, write_errors, write_json
from mmrefine.fileio.records import read_record
from mmrefine.report.headlines import headline_record
from mmrefine.report.page import render_page
from mmrefine.report.record import complete


def write_report(work_dir: Union[str, Path], record: Mapping[str, Any]) -> Dict[str, Any]:
    """Write ``report.html`` and then ``report.json``, each whole or not at all.

    Args:
        work_dir: folder of the run; made if it is not there.
        record: see :mod:`mmrefine.report.record`; missing parts get the schema's empty values, nan becomes null.

    Returns:
        the record as it was written.

    Raises:
        MMRefineError: the disk is full or the folder cannot be written.
    """
    whole, folder = complete(record), Path(work_dir)
    whole['headline'] = headline_record(whole)
    page = render_page(whole).encode(errors='backslashreplace')  # names of files may be no valid text
    with write_errors(folder / 'report.json'):
        write_bytes(folder / 'report.html', page)
        write_json(folder / 'report.json', whole)
    return whole


def read_report(work_dir: Union[str, Path]) -> Optional[Dict[str, Any]]:
    """The ``report.json`` of a run; None if there is none.

    Raises:
        InputError: the file is not a report.
    """
    return read_record(Path(work_dir) / 'report.json', 'a report of mmrefine', ('groups', ), 'delete it and run again')

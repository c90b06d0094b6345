"""The files of a report: report.json for programs, report.html for people."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import write_bytes, write_errors, write_json
from mmrefine.fileio.records import read_record
from mmrefine.report.headlines import headline_record
from mmrefine.report.page import render_page
from mmrefine.report.record import complete
from mmrefine.report.text_tables import format_table, summary_table
from mmrefine.values import brief


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
    page = _page(whole)
    with write_errors(folder / 'report.json'):
        write_bytes(folder / 'report.html', page)
        write_json(folder / 'report.json', whole)
    return whole


def read_report(work_dir: Union[str, Path]) -> Optional[Dict[str, Any]]:
    """The ``report.json`` of a run; None if there is none.

    Raises:
        InputError: the file is not a report, or one with values that cannot be shown.
    """
    path, remedy = Path(work_dir) / 'report.json', 'delete it and run again'
    record = read_record(path, 'a report of mmrefine', dict(groups=dict), remedy)
    if record is not None:
        try:
            _page(complete(record))
            format_table(record)
            summary_table([record])
        except Exception as error:  # page and tables may raise anything on values of other types
            raise InputError(f'{path}: is not a report of mmrefine, it cannot be shown ({type(error).__name__}: '
                             f'{brief(str(error))}); {remedy}') from error
    return record


def _page(whole: Dict[str, Any]) -> bytes:
    """The page of a complete record, which gets its headline."""
    whole['headline'] = headline_record(whole)
    return render_page(whole).encode(errors='backslashreplace')  # names of files may be no valid text

"""Write what a run changed: report.json for programs, report.html for people."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Union

from mmrefine.errors import MMRefineError
from mmrefine.fileio.atomic import write_bytes, write_failure, write_json
from mmrefine.report.headlines import headline_record
from mmrefine.report.html import render_html
from mmrefine.report.record import complete


def write_report(work_dir: Union[str, Path], record: Mapping[str, Any]) -> Dict[str, Any]:
    """Write ``report.html`` and then ``report.json``, each whole or not at all.

    Args:
        work_dir: folder of the run; made if it is not there.
        record: see :mod:`mmrefine.report.record`; parts that are missing get the schema's empty values, nan becomes null.

    Returns:
        the record as it was written.

    Raises:
        MMRefineError: the disk is full or the folder cannot be written.
    """
    whole, folder = complete(record), Path(work_dir)
    whole['headline'] = headline_record(whole)
    page = render_html(whole).encode()
    try:
        write_bytes(folder / 'report.html', page)
        write_json(folder / 'report.json', whole)
    except OSError as error:
        raise MMRefineError(write_failure(folder / 'report.json', error)) from error
    return whole

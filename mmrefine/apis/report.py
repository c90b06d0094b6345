"""The reports of finished runs."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List, Union

from mmrefine.errors import InputError, MMRefineError
from mmrefine.report import format_table, read_report, summary_table, write_report


def rebuild_reports(folder: Union[str, Path]) -> Iterator[str]:
    """Write ``report.html`` of finished runs again from ``report.json``, and give the results in lines.

    Args:
        folder: work dir of a run, or a folder with several at any depth: those of ``scene='each'`` (a scene may be
            called ``night/3``), or of many videos.

    Returns:
        lines for people: a table of one run, or one line for each of several; the guard's verdict; the file of the
        page, or why it cannot be written.

    Raises:
        InputError: there is no report, or the file is not a report.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'{folder}: there is no such folder; give the folder of results of `mmrefine refine`')
    folders = _runs_below(folder)
    if not folders:
        raise InputError(f'{folder}: has no report.json, so no run has finished here; give the folder of results of '
                         '`mmrefine refine`')
    reports, unwritten = [], {}
    for one in folders:
        report = read_report(one)
        assert report is not None  # the file is there
        try:
            reports.append(write_report(one, report))
        except MMRefineError as error:  # such as a disk that is read-only by now
            unwritten[one] = str(error)
            reports.append(report)
    names = [one.relative_to(folder).as_posix() for one in folders]
    yield format_table(reports[0]) if len(reports) == 1 else summary_table(reports, names)
    for one, name, report in zip(folders, names, reports):
        reason = (report.get('guard') or {}).get('reason')
        if reason:
            yield f'guard{"" if len(reports) == 1 else f" of {name}"}: {reason}'
        yield unwritten.get(one, f'the page: {one / "report.html"}')


def _runs_below(folder: Path) -> List[Path]:
    """The folders with a report, ``folder`` itself included; folders below such a folder belong to the same run."""
    found = []
    for place, folders, files in os.walk(folder):
        if 'report.json' in files:
            found.append(Path(place))
            folders.clear()
    return sorted(found)

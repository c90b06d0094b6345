"""The report of a run that is over."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator, Union

from mmrefine.errors import InputError
from mmrefine.evaluation import format_table, read_report, summary_table, write_report

__all__ = ['rebuild_reports']


def rebuild_reports(folder: Union[str, Path]) -> Iterator[str]:
    """Write ``report.html`` of a run anew from its ``report.json``, and say what it says.

    Args:
        folder: work dir of a run, or a folder of work dirs, such as those of ``scene='each'``.

    Returns:
        lines for people: a table for a run, one line a scene for several; the guard's verdict; where the page is.

    Raises:
        InputError: there is no report, or a file that is none.
        MMRefineError: the page cannot be written.
    """
    folder = Path(folder)
    folders = [folder] if (folder / 'report.json').is_file() else sorted(path.parent for path in folder.glob('*/report.json'))
    if not folders:
        raise InputError(f'{folder}: has no report.json, so no run has finished here; give the folder of results of `mmrefine refine`')
    reports = []
    for one in folders:
        report = read_report(one)
        assert report is not None  # the file is there
        reports.append(write_report(one, report))
    yield format_table(reports[0]) if len(reports) == 1 else summary_table(reports, [one.name for one in folders])
    for one, report in zip(folders, reports):
        reason = (report.get('guard') or {}).get('reason')
        if reason:
            yield f'guard{"" if len(reports) == 1 else f" of {one.name}"}: {reason}'
        yield f'the page: {one / "report.html"}'

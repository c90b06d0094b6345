"""docs/platform.md lists the facts about our libraries that comments cite, each with its test."""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r'^\| (F\d+) \|.*\| ([^|]*) \|$', re.MULTILINE)


def facts():
    """The test column of the table by the number of the fact."""
    rows = ROW.findall((ROOT / 'docs/platform.md').read_text(encoding='utf-8'))
    assert len(dict(rows)) == len(rows) == 16
    return dict(rows)


def cited(folder, within=r'\b(F\d{1,2})\b'):
    """Number -> the files of a folder that cite it."""
    found = {}
    for path in sorted((ROOT / folder).rglob('*.py')):
        if path.name != 'test_davis_student.py':  # there F is a measure
            for number in re.findall(within, path.read_text(encoding='utf-8')):
                found.setdefault(number, []).append(path.relative_to(ROOT).as_posix())
    return found


def test_every_fact_that_is_cited_is_in_the_table_and_the_other_way_round():
    package, tests = cited('mmrefine'), cited('tests')
    assert len(package) >= 8 and {**package, **tests}.keys() <= facts().keys()
    assert facts().keys() <= tests.keys()  # what no test names may be wrong by now


def test_the_tests_in_the_table_exist_and_name_their_fact():
    for number, column in facts().items():
        places = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', column)
        assert places and column.count('`') == 2 * len(places), (number, column)
        for file, name in places:
            text = (ROOT / file).read_text(encoding='utf-8')
            assert f'\ndef {name}(' in text, (number, file, name)
        assert any(number in (ROOT / file).read_text(encoding='utf-8') for file, _ in places), number

"""README and docs promise nothing that is not there."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / 'README.md', *ROOT.glob('docs/*.md'), *ROOT.glob('configs/*/README.md')])
LINK = re.compile(r'\]\((?!https?:)([^)#]+)\)')
PATH = re.compile(r'\b(?:tools|configs|benchmarks|mmrefine|tests|docs)/[\w./-]*\w\.(?:py|md|json|png)')


def test_the_pages_that_are_checked_are_found():
    assert ROOT / 'README.md' in PAGES and len(PAGES) >= 3


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_named_file_exists(page):
    text = page.read_text(encoding='utf-8')
    links = [page.parent / target for target in LINK.findall(text)]
    named = [ROOT / target for target in PATH.findall(text)]
    missing = [str(path) for path in links if not path.exists()]
    missing += [str(path) for path in named if not path.exists()
                and not (page.parent / path.relative_to(ROOT)).exists()]
    assert not missing


def test_the_way_of_a_frame_pair_names_eight_files():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    way = text.split('## The way of a frame pair')[1].split('\n## ')[0]
    assert [int(number) for number in re.findall(r'^(\d)\. \[', way, flags=re.MULTILINE)] == list(range(1, 9))

"""The report as one static page: no network, readable on a phone, with a few lines of script only where there is a slider to move."""
from __future__ import annotations

from html import escape
from typing import Any, List, Mapping, Tuple

from mmrefine.report.headlines import sentences
from mmrefine.report.html_curves import curves_section
from mmrefine.report.html_guard import guard_section
from mmrefine.report.html_labels import labels_section
from mmrefine.report.html_pairs import pairs_section
from mmrefine.report.html_parts import dump, figure
from mmrefine.report.html_scores import group_section, group_title, headline_section
from mmrefine.report.html_style import SCRIPT, STYLE

SETTINGS = ('settings', 'seeds', 'versions', 'timings')


def render_html(record: Mapping[str, Any]) -> str:
    """The whole page; every string of the record is escaped.

    Args:
        record: a complete record of strict JSON values, see :mod:`mmrefine.report.record`. The paths of pictures are relative to
            the folder of the page.
    """
    sections = [(f'group-{i}', group_title(str(name)), group_section(str(name), group))
                for i, (name, group) in enumerate(record['groups'].items(), 1)]
    sections += [
        ('guard', 'Regression guard', guard_section(record['guard'])),
        ('pairs', 'Frame pairs that changed most', pairs_section(record['groups'])),
        ('labels', 'Labels', labels_section(record['labels'])),
        ('curves', 'Training', curves_section(record.get('curves', {}))),
        ('pictures', 'Pictures', _pictures(record['pictures'])),
        ('made', 'How it was made', _settings(record)),
    ]
    sections = [section for section in sections if section[2]]
    body = '\n'.join([headline_section(record), _contents(sections)] + [
        f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{text}\n</section>' for name, title, text in sections])  # yapf: disable
    script = f'\n<script>{SCRIPT}</script>' if 'class="compare"' in body else ''
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{escape(sentences(record)[0])}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}{script}\n</body>\n</html>\n')


def _contents(sections: List[Tuple[str, str, str]]) -> str:
    links = ' '.join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in sections)
    return f'<nav aria-label="sections">{links}</nav>'


def _pictures(pictures: List[Mapping[str, Any]]) -> str:
    return '\n'.join(figure(picture['path'], str(picture.get('caption', ''))) for picture in pictures)


def _settings(record: Mapping[str, Any]) -> str:
    parts = [f'<details><summary>{name.capitalize()}</summary><pre>{dump(record[name])}</pre></details>'
             for name in SETTINGS if record.get(name)]
    command = record.get('command')
    if command:
        parts.insert(0, f'<pre>{escape(str(command))}</pre>')
    return '\n'.join(parts)

"""The section of the report about the guard: its verdict, the candidates, and what they show."""
from __future__ import annotations

from html import escape
from typing import Any, Dict, List, Mapping, Sequence

from mmrefine.report.headlines import format_interval
from mmrefine.report.html_parts import change_class, dump, sure_class, table
from mmrefine.report.html_scores import VERDICTS
from mmrefine.report.plots import Dot, dot_plot
from mmrefine.report.record import change_percent, counted, format_change, format_value

# what is told of a network without ground truth: title, unit; motion is for reading, not for judging
WITNESSES: Dict[str, Sequence[str]] = {
    'cycle': ('what a round trip misses, of the motion', ''), 'color': ('colour along the motion', 'grey levels'),
    'warp': ('error on known warps', 'px'), 'motion': ('mean motion', 'px')
}
KNOWN = ('verdict', 'reason', 'chosen', 'witnesses', 'candidates', 'looks', 'general', 'held_out', 'score')


def guard_section(guard: Mapping[str, Any]) -> str:
    """The reason, a plot and a table of the candidates, the witnesses, and what the networks still can on rendered pairs.

    Args:
        guard: of a complete record; all but ``verdict`` may be missing.
    """
    verdict = str(guard.get('verdict', 'not run'))
    said = [VERDICTS.get(verdict, ('', verdict))[1], *([str(guard['reason'])] if guard.get('reason') else [])]
    parts = [f'<p>{escape(_sentence(": ".join(said)))}</p>']
    parts += [_candidates(guard), _looks(guard.get('looks') or []), _witnesses(guard.get('witnesses') or {})]
    parts += [_general(guard.get('general') or {}), _held(guard.get('held_out') or {})]
    rest = {key: value for key, value in guard.items() if key not in KNOWN}
    if rest:
        parts.append(f'<pre>{dump(rest)}</pre>')
    return '\n'.join(part for part in parts if part)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ('' if text.endswith('.') else '.')


def _candidates(guard: Mapping[str, Any]) -> str:
    found: List[Mapping[str, Any]] = guard.get('candidates') or []
    if not found:
        return ''
    chosen = guard.get('chosen') or {}
    ends = list(dict.fromkeys(one.get('iter') for one in found))
    dots, rows = [], []
    for one in found:
        low, high = one.get('interval_percent') or (None, None)
        is_chosen = (one.get('iter'), one.get('step')) == (chosen.get('iter'), chosen.get('step'))
        change = one.get('change_percent')
        if change is not None and one.get('step') is not None:
            dots.append(Dot(100 * one['step'], change, low, high, is_chosen, ends.index(one.get('iter'))))
        step, better = one.get('step'), one.get('pairs_better')
        cells = [str(one.get('iter')), '–' if step is None else f'{100 * step:.0f}', format_change(change),
                 format_interval(one.get('interval_percent')) or '–', '–' if better is None else f'{100 * better:.0f}']  # yapf: disable
        marks = ['', '', sure_class(change, one.get('interval_percent')), '', '']
        line = ''.join(f'<td{mark}>{escape(cell)}</td>' for mark, cell in zip(marks, cells))
        mark = ' class="chosen"' if is_chosen else ''
        rows.append(f'<tr{mark}>{line}</tr>')
    head = ['<th>student after steps</th>', '<th>share of the way [%]</th>', '<th>change</th>', '<th>interval</th>',
            '<th>pairs better [%]</th>']  # yapf: disable
    return f'<h3>Candidates</h3>\n<p class="soft">{_about(len(ends))}</p>\n{_plot(dots, ends)}\n{table([head], rows)}'


def _about(ends: int) -> str:
    more = ' Blue: the first student of the table; ochre: the others.' if ends > 1 else ''
    return ('Change of the label-free score on the pairs that were kept back, against the network as it came; below 0 is better. The bar '
            f'is the interval: a candidate is surely better only if all of it lies below 0. The ring marks the farthest '
            f'of those, or the best where there is none.{more}')


def _plot(dots: Sequence[Dot], ends: Sequence[Any]) -> str:
    if not dots:
        return ''
    return '<figure>' + dot_plot(dots, 'way from teacher to student [%]', 'change of the label-free score [%]', 'teacher') + '</figure>'


def _looks(looks: Sequence[Mapping[str, Any]]) -> str:
    if not looks:
        return ''
    told = ', '.join(f'{format_change(look.get("change_percent"))} after {look.get("iter", "?")}' for look in looks)
    return f'<p class="soft">The student on the way, by optimiser steps: {escape(told)}.</p>'


def _witnesses(witnesses: Mapping[str, Any]) -> str:
    before, after = witnesses.get('before') or {}, witnesses.get('after') or {}
    rows = []
    for name in dict.fromkeys([*before, *after]):
        title, unit = WITNESSES.get(name, (name.replace('_', ' '), ''))
        change = change_percent(before.get(name), after.get(name))
        mark = '' if name == 'motion' else change_class(change)
        rows.append(f'<tr><td>{escape(title)}{f" [{escape(unit)}]" if unit else ""}</td><td>{escape(format_value(before.get(name)))}</td>'
                    f'<td>{escape(format_value(after.get(name)))}</td><td{mark}>{escape(format_change(change))}</td></tr>')
    if not rows:
        return ''
    head = ['<th>what the score is made of</th>', '<th>before</th>', '<th>this candidate</th>', '<th>change</th>']
    return table([head], rows)


def _general(general: Mapping[str, Any]) -> str:
    before, after = general.get('before'), general.get('after')
    if before is None or after is None:
        return ''
    change = format_change(general.get('change_percent'))
    return (f'<p>Forgetting, by ground truth: on {escape(str(general.get("pairs", "?")))} rendered pairs of a fixed look the EPE went from '
            f'{escape(format_value(before))} to {escape(format_value(after))} px ({escape(change)}).</p>')


def _held(held: Mapping[str, Any]) -> str:
    if not held:
        return ''
    share = held.get('share')
    part = f', {100 * share:.3g} % of the video,' if isinstance(share, float) else ''
    scenes = '1 scene' if held.get('scenes') == 1 else f'{held.get("scenes", "?")} scenes'
    pairs = held.get('pairs', '?')
    text = f'{counted(pairs)} of {scenes}{part} {"was" if pairs == 1 else "were"} kept back from labels and training.'
    return f'<p class="soft">{escape(text)}</p>'

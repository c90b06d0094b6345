"""The rounds of labels and training, as lines of the log and as a table of the page."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from markupsafe import Markup

from mmrefine.report.formats import format_change, format_interval, format_percent, format_value
from mmrefine.report.headlines import keeps_original
from mmrefine.report.template import render


def round_line(record: Mapping[str, Any]) -> str:
    """One round in a line; what is not known of it is left out.

    Args:
        record: of :class:`~mmrefine.engine.RoundsHook`.
    """
    parts = []
    if record.get('kept') is not None:
        parts.append(f'the labels keep {format_percent(record["kept"])} %')
    agreement = record.get('agreement')
    if agreement:
        apart = '' if agreement.get('epe_median') is None else (
            f' and lie {format_value(agreement["epe_median"])} px (median) and {format_value(agreement["epe_mean"])} '
            'px (mean) apart there')
        parts.append(f'they share {format_percent(agreement.get("common"))} % with those of the round before{apart}')
    if record.get('change_percent') is not None:
        interval = format_interval(record.get('interval_percent'))
        score = f'held-out score {format_change(record["change_percent"])}'
        parts.append(f'{score} ({interval})' if interval else score)
    if record.get('why'):
        parts.append(str(record['why']))
    seconds = [f'{record[f"{part}_seconds"]:.0f} s of {name}' for part, name in (('labels', 'labels'),
                                                                                 ('train', 'training'))
               if record.get(f'{part}_seconds') is not None]
    return f'round {record["round"]}: {"; ".join([*parts, *([", ".join(seconds)] if seconds else [])])}'


def rounds_section(rounds: Sequence[Mapping[str, Any]], guard: Mapping[str, Any]) -> Markup:
    """The table of the page; nothing where there was one round.

    Args:
        rounds: of the record of a run.
        guard: of it; the round whose student is handed back is marked.
    """
    if not rounds:
        return Markup('')
    chosen = None if keeps_original(guard) else (guard.get('chosen') or {}).get('iter')
    return render('rounds.html', rounds=rounds, chosen=chosen)

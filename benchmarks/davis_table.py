"""The table of ``davis_student.py``."""
from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from davis_clips import MEASURES

LEAST_GAIN = 0.005  # of the second pass; a share of less than that is noise


def share_closed(plain: float, look: float, student: float) -> Optional[float]:
    """How much of the way from the plain teacher to its second pass the student goes; None if it leads down."""
    return (student - plain) / (look - plain) if look - plain >= LEAST_GAIN else None


def show(results: Dict[str, Dict[str, Dict[str, Any]]], columns: Sequence[str]) -> None:
    """Print a line for each score of each sequence and for their means, a column for each network; the first three are
    not refined, the second and the third of them are the ends of the way."""
    unrefined, plain = columns[:3], columns[1]
    widths = {name: max(len(name), 7) + 2 for name in columns}
    heads = [f'{name:>{widths[name]}}' + ('' if name in unrefined else '  closed') for name in columns]
    print(f'\n{"":18}{"":5}', *heads, sep='')
    table: Dict[str, List[Dict[str, float]]] = {measure: [] for measure in MEASURES}
    for name, rows in results.items():
        for measure in MEASURES:
            if rows[plain].get(measure) is not None:
                table[measure].append({network: row[measure] for network, row in rows.items()})
                _print_line(name, measure, table[measure][-1], widths)
    for measure, lines in table.items():
        if len(lines) > 1:
            mean = {name: sum(line[name] for line in lines) / len(lines) for name in columns}
            _print_line(f'mean of {len(lines)}', measure, mean, widths)
    for name in columns[3:]:
        falls = [(line[name] - line[plain], f'{measure} of {scene}') for measure in MEASURES
                 for scene, line in zip([scene for scene, rows in results.items()
                                         if rows[plain].get(measure) is not None], table[measure])]
        if falls:
            print(f'{name}: most lost {100 * min(falls)[0]:+.1f} ({min(falls)[1]})')


def _print_line(name: str, measure: str, scores: Dict[str, float], widths: Dict[str, int]) -> None:
    unrefined = list(widths)[:3]
    plain, look = unrefined[1:]
    cells = []
    for network, width in widths.items():
        cells.append(f'{percent(scores[network]):>{width}}')
        if network not in unrefined:
            cells.append(f'{percent(share_closed(scores[plain], scores[look], scores[network])):>8}')
    print(f'{name:18}{measure:5}', *cells, sep='')


def percent(share: Optional[float]) -> str:
    """A share as people read it; '-' if there is none."""
    return '-' if share is None else f'{100 * share:.1f}'

"""What the bench of situations (`guard_situations.py`) found, in short: how many students the guard accepted of each
recipe, what was handed back, and how well the score ranks the networks between teacher and students of one situation.

    python benchmarks/guard_situations.py
    python benchmarks/guard_summary.py work_dirs/guard_situations/results.json
"""
from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, Dict, List, Sequence

from guard_situations import BETTER
from guard_trust import rank_correlation

from mmrefine.apis.commands import run_command
from mmrefine.evaluation.guard.measures import FLOORS
from mmrefine.fileio.atomic import write_json

KEPT = ('situation', 'recipe', 'kind', 'way', 'student', 'handed')


def main() -> int:
    """Read, print, and keep what is small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', type=Path, help='results.json of the bench')
    parser.add_argument('--out', type=Path, help='JSON with a line for each student')
    args = parser.parse_args()
    found: Dict[str, Any] = json.loads(args.results.read_text(encoding='utf-8'))
    students = found['students']
    plain = [one for one in students if one['kind'] == 'plain']
    judged = [one for one in plain if one['guard']['verdict'] != 'unproven']
    print('| recipe | students of plain videos | better by 5 % or more | of these accepted | handed back, on average |')
    print('|---|---|---|---|---|')
    for recipe in dict.fromkeys(one['recipe'] for one in judged):
        print(_row(recipe, [one for one in judged if one['recipe'] == recipe]))
    print(_row('all', judged))
    ranks = _ranks(judged)
    print(f'\nrank correlation of score and true error within a situation: median {statistics.median(ranks):.2f} of '
          f'{len(ranks)}')
    over = ', '.join(f'{name} {rank:.2f}' for name, rank in _ranks_over(plain).items())
    print(f'over the situations: {over}')
    if args.out is not None:
        small = [dict({key: one[key] for key in KEPT}, verdict=one['guard']['verdict']) for one in students]
        write_json(args.out, dict(students=small, goals=found['goals']))
    return 0


def _row(recipe: str, students: Sequence[Dict[str, Any]]) -> str:
    better = [one for one in students if one['student']['video'] <= BETTER]
    accepted = sum(one['guard']['verdict'] == 'student' for one in better)
    handed = statistics.mean(one['handed']['video'] for one in students)
    return f'| {recipe} | {len(students)} | {len(better)} | {accepted} | {handed:+.1f} % |'


def _ranks(students: Sequence[Dict[str, Any]]) -> List[float]:
    """Of each situation the rank correlation over the teacher and all candidates of its students."""
    ranks = []
    for situation in dict.fromkeys(one['situation'] for one in students):
        true, scored = [0.], [0.]
        for one in students:
            if one['situation'] == situation:
                errors = {float(step): error['video'] for step, error in one['truth'].items()}
                true += [errors[float(candidate['step'])] / errors[0.] - 1 for candidate in one['guard']['candidates']]
                scored += [candidate['change_percent'] for candidate in one['guard']['candidates']]
        ranks.append(rank_correlation(true, scored))
    return ranks


def _ranks_over(students: Sequence[Dict[str, Any]]) -> Dict[str, float]:
    """Rank correlations with the true error over the whole students: of the score, of each witness, and of the score at
    all steps.
    """
    true = [one['student']['video'] for one in students]
    whole = [next(found for found in one['guard']['candidates'] if found['step'] == 1.) for one in students]
    ranks = dict(score=rank_correlation(true, [one['change_percent'] for one in whole]))
    for name, floor in FLOORS.items():
        before = [one['guard']['witnesses']['before'][name] for one in students]
        ratios = [(after['witnesses'][name] + floor) / (old + floor) for after, old in zip(whole, before)]
        ranks[name] = rank_correlation(true, ratios)
    steps = [(one['truth'][str(float(found['step']))]['video'] / one['truth']['0.0']['video'], found['change_percent'])
             for one in students for found in one['guard']['candidates']]
    return {**ranks, 'all steps': rank_correlation(*zip(*steps))}


if __name__ == '__main__':
    run_command(main)

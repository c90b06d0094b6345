"""From a video file to `refined.pth`: seconds of labels, training, guard and report, and what is gained over time.

Each row is a run of `mmrefine refine` as a process of its own, on the same rendered video:

- `this version`: the command as it is.
- `quick`: with `--quick`.
- `verified`: with `--verify`.
- `version before`: the command of an earlier revision (`--before`), out of the repository's history.
- `plain 1x`: self-training on labels of one pass at the size of the video, all pixels alike; the same guard and report.

The networks on the way (a checkpoint after each fifth of the steps) and the one that is handed back are scored
afterwards by exact truth, on the frames of the video before it was encoded, and on other videos of the same look that
no run has seen. A phase lasts until the command puts its file in place: labels until teacher.pth, training until the
last checkpoint, guard until refined.pth, report until report.json; what comes before the labels (reading the video, the
forecast) is the start. Seconds of computing beside those of the clock are sampled from outside, for a machine that is
shared.

Rows take turns, each second time backwards, and each time has its own seed. A row that the JSON has already is not run
again, unless the code that it ran has changed. `--budgets N …` adds runs with so many steps, of this version or of the
row that `--budgets-of` names.

    python benchmarks/time_to_refined.py --size 240 432 --times 2
    python benchmarks/time_to_refined.py --model raft_small --checkpoint checkpoints/raft-small-mmrefine.pth
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from statistics import median
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from timed_run import ENDS, checkpoints, phases, python_of, tree_of, watch

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.apis.named_models import load_named
from mmrefine.apis.recipe_names import RECIPES
from mmrefine.apis.recipes import load_with_recipe
from mmrefine.cli.options import values_of
from mmrefine.cli.refine import QUICK
from mmrefine.config.load import override
from mmrefine.engine import judge
from mmrefine.errors import ConfigError
from mmrefine.fileio import write_json
from mmrefine.fileio.digest import digest_of_files
from mmrefine.fileio.video.writer import write_video
from mmrefine.registry import DATASETS
from mmrefine.report import keeps_original
from mmrefine.synthetic import STYLES, render_clip, write_clips

ROOT = Path(__file__).resolve().parents[1]
BEFORE = '6100342'  # the guard compared all steps, and neither guard nor report took the fast passes of the labels
THIS = 'this version'
# options of the command, and values of its --set, by row
ROWS: Dict[str, Tuple[List[str], List[str]]] = {
    THIS: ([], []),
    'quick': (['--quick'], []),
    'verified': (['--verify'], []),
    'version before': ([], []),
    'plain 1x': (['--recipe', 'labels'], ['labeler.view.scales=(1.,)', 'labeler.balance=None']),
}
WITHOUT_RECIPE = ('version before', 'plain 1x')  # one does not know the option, the other has its own
PHASES = (*ENDS, 'end', 'whole')
POINTS = 5  # networks on the way that are scored


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the rows that are missing, score them, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, nargs=2, default=(240, 432), metavar=('H', 'W'), help='of the frames, px')
    parser.add_argument('--frames', type=int, default=50, help='of the video')
    parser.add_argument('--look', choices=sorted(STYLES), default='target', help='of the videos')
    parser.add_argument('--unseen', type=int, default=8, metavar='N', help='other videos, of 3 frames, to score by')
    parser.add_argument('--model', default='demo', help='as of mmrefine refine')
    parser.add_argument('--checkpoint', type=Path, help='its weights to start from, as of mmrefine refine')
    parser.add_argument('--rows', nargs='*', choices=list(ROWS), default=list(ROWS))
    parser.add_argument('--budgets', type=int, nargs='+', default=[], metavar='STEPS',
                        help='also run with so many steps, each a whole schedule')
    parser.add_argument('--budgets-of', choices=list(ROWS), default=THIS, metavar='ROW', help='whose command they take')
    parser.add_argument('--before', default=BEFORE, help='git revision of the version before')
    parser.add_argument('--times', type=int, default=1, help='runs of each row; the first has seed 125, and so on')
    parser.add_argument('--threads', type=int, default=0, help='that compute; 0: as the command chooses')
    parser.add_argument('--steps', type=int, help='of all rows but those of --budgets (default: as the command has it)')
    parser.add_argument('--recipe', choices=RECIPES, help='of all rows but the plain one and the version before, as of '
                                                          'mmrefine refine')
    parser.add_argument('--set', nargs='+', default=[], metavar='KEY=VALUE', dest='values',
                        help='of all rows, as of mmrefine refine')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/time_to_refined.json'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/time_to_refined'))
    args = parser.parse_args(argv)
    for name in ('frames', 'unseen', 'times'):
        if getattr(args, name) < 1:
            raise ConfigError(f'--{name} must be a whole number, at least 1, got {getattr(args, name)}')
    for name, steps in (('budgets', args.budgets), ('steps', [1 if args.steps is None else args.steps])):
        if min(steps, default=1) < 1:
            raise ConfigError(f'--{name} must be whole numbers, at least 1, got {" ".join(map(str, steps))}')
    rows: List[Dict[str, Any]] = json.loads(args.out.read_text(encoding='utf-8')) if args.out.is_file() else []
    jobs = [job_of(args, name, time) for name, time in turns(row_names(args), args.times)]
    for job in jobs:
        if not any(row['job'] == job for row in rows):
            rows.append(dict(job=job, **run_row(args, job)))
            write_json(args.out, rows)
    show([next(row for row in rows if row['job'] == job) for job in jobs])
    return 0


def row_names(args: argparse.Namespace) -> List[str]:
    """The rows that are asked for; those of budgets are called after their steps, and their row if it is another."""
    of = '' if args.budgets_of == THIS else f'{args.budgets_of}, '
    return [*args.rows, *(f'{of}{steps} steps' for steps in args.budgets)]


def base_of(row: str) -> str:
    """The row of ``ROWS`` whose command a row takes: itself, or that of a budget."""
    return row if row in ROWS else row.rpartition(', ')[0] or THIS


def turns(names: Sequence[str], times: int) -> Iterator[Tuple[str, int]]:
    """Rows in the order in which they run, each with its number of times before; each second time backwards, so that a
    machine that slows down does not favour the first row."""
    for time in range(times):
        yield from ((name, time) for name in (names if time % 2 == 0 else list(reversed(names))))


def job_of(args: argparse.Namespace, name: str, time: int) -> Dict[str, Any]:
    """What decides the result of a run: settings, network, and the code that it runs."""
    tree = _tree(args, name)
    code = ((str(path.relative_to(tree)), path) for folder in ('mmrefine', 'configs')
            for path in sorted((tree / folder).rglob('*.py')))
    weights = [] if args.checkpoint is None else [('weights', args.checkpoint)]
    return dict(row=name, seed=125 + time, size=list(args.size), frames=args.frames, look=args.look,
                unseen=args.unseen, model=args.model, steps=steps_of(args, name), recipe=args.recipe,
                values=list(args.values), threads=args.threads, code=digest_of_files([*code, *weights]))


def steps_of(args: argparse.Namespace, row: str) -> Optional[int]:
    """The steps that a row is told to take; None: as the command chooses."""
    return args.steps if row in ROWS else int(row.split()[-2])


def options_of(job: Dict[str, Any]) -> List[str]:
    """Options of `mmrefine refine` for a row, which keeps the students of about each fifth of its steps."""
    own, values = ROWS[base_of(job['row'])]
    steps = job['steps'] or load_named(job['model']).max_iters
    if base_of(job['row']) == 'quick' and not job['steps']:
        steps = min(steps, QUICK['max_iters'])
    kept = [f'randomness.seed={job["seed"]}', f'default_hooks.checkpoint.interval={max(1, steps // POINTS)}',
            'default_hooks.checkpoint.max_keep_ckpts=-1']
    asked = ['--steps', str(job['steps'])] if job['steps'] else []
    recipe = ['--recipe', job['recipe']] if job['recipe'] and base_of(job['row']) not in WITHOUT_RECIPE else []
    return [*own, *recipe, *asked, '--set', *values, *kept, *job['values']]


def run_row(args: argparse.Namespace, job: Dict[str, Any]) -> Dict[str, Any]:
    """Run the command of a row and score what it left: phases, curve, and what the command itself says."""
    videos = args.work_dir / '_'.join(map(str, [*job['size'], job['look'], f'{job["frames"]}frames']))
    video = _render(args, videos)
    place = videos / f'{job["row"].replace(",", "").replace(" ", "_")}_{job["seed"]}'
    shutil.rmtree(place, ignore_errors=True)  # a run that goes on, or finds its labels, would not show its time
    out = place.resolve() / 'out'
    tree = _tree(args, job['row'])
    command, env = python_of(tree, dict(os.environ), args.threads)
    command += ['refine', str(video.resolve()), '--model', args.model, '--out', str(out)]
    command += ['--checkpoint', str(args.checkpoint.resolve())] if args.checkpoint else []
    command += options_of(job)
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else None
    print(' '.join(command), flush=True)
    run = watch(command, tree, env, place / 'log.txt')
    report = json.loads((out / 'report.json').read_text(encoding='utf-8'))
    whole, on_the_way = phases(out, run), checkpoints(out, run)
    curve = [dict(iter=0, seconds=0., cpu=0., **score(args, out / 'teacher.pth', videos))]
    for one in on_the_way:
        curve.append(dict({key: value for key, value in one.items() if key != 'path'},
                          **score(args, one['path'], videos)))
    handed_back = dict(iter=report['settings']['max_iters'], kept_original=keeps_original(report.get('guard') or {}),
                       **{key: round(sum(whole[name][key] for name in PHASES[:4]), 2) for key in ('seconds', 'cpu')},
                       **score(args, out / 'refined.pth', videos))
    threads = json.loads((out / 'threads.json').read_text(encoding='utf-8'))['threads']
    return dict(phases=whole, curve=curve, handed_back=handed_back, timings=report['timings'],
                memory=run.memory, used_threads=threads, load_before=load)


def _tree(args: argparse.Namespace, name: str) -> Path:
    """Where the code of a row lies."""
    return tree_of(args.before, ROOT, args.work_dir.resolve() / 'trees') if base_of(name) == 'version before' else ROOT


def _render(args: argparse.Namespace, folder: Path) -> Path:
    """The video file; it, and folders with the truth of it and of the unseen videos, are rendered unless they are
    there."""
    video = folder / 'video.mp4'
    if not video.is_file():
        with write_video(video, rate=25.) as add:
            for frame in render_clip(0, args.frames, tuple(args.size), args.look).frames:
                add(frame)
    for name, (seeds, frames) in _scored(args).items():
        write_clips(folder / name, seeds, frames, tuple(args.size), args.look)
    return video


def _scored(args: argparse.Namespace) -> Dict[str, Tuple[Sequence[int], int]]:
    """Seeds and frames of the videos that networks are scored on, by their folder."""
    return dict(own=([0], args.frames), unseen=(range(10000, 10000 + args.unseen), 3))


def score(args: argparse.Namespace, weights: Path, videos: Path) -> Dict[str, float]:
    """EPE in px of a network on the video (``EPE``) and on the unseen ones (``EPE_unseen``), with the iterations that
    its config tests with, unless --set says other ones."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    network = init_model(override(load_with_recipe(args.model, args.recipe), values_of(args)), str(weights), device)
    found = {}
    for name, (seeds, _) in _scored(args).items():
        data = DATASETS.build(dict(
            type='FramePairs', data_root=str(videos / name / 'frames'), truth_root=str(videos / name / 'flow'),
            scenes=[f'{args.look}_{seed:04d}' for seed in seeds],
            pipeline=[dict(type='LoadTruth'), dict(type='PackPair')]))
        found[name] = judge(network, data, device, batch_size=1).scores()['EPE']
    return dict(EPE=found['own'], EPE_unseen=found['unseen'])


def show(rows: Sequence[Dict[str, Any]]) -> None:
    """Print what each row takes (medians over its runs) and gains, then its curve."""
    names = list(dict.fromkeys(row['job']['row'] for row in rows))
    of = {name: [row for row in rows if row['job']['row'] == name] for name in names}
    before = of.get('version before')
    for what, title in (('seconds', 'seconds of the clock'), ('cpu', 'seconds of computing')):
        print(f'\n| {title} | runs |', ' | '.join(PHASES),
              '| of the version before | EPE on the video | on unseen videos |')
        print('|---' * (len(PHASES) + 5) + '|')
        for name in names:
            cells = [f'{_middle(of[name], what, phase):.0f}' for phase in PHASES]
            share = f'{_middle(of[name], what, "whole") / _middle(before, what, "whole"):.2f}' if before else '-'
            gains = [_gain(of[name], key) for key in ('EPE', 'EPE_unseen')]
            print('|', ' | '.join([name, str(len(of[name])), *cells, share, *gains]), '|')
    print('\n| curve | seed | steps: seconds of the clock, of computing, EPE on the video |\n|---|---|---|')
    for row in rows:
        points = [f'{one["iter"]}: {one["seconds"]:.0f}, {one["cpu"]:.0f}, {one["EPE"]:.3f}'
                  for one in [*row['curve'], row['handed_back']]]
        print(f'| {row["job"]["row"]} | {row["job"]["seed"]} | {"; ".join(points)} (after the guard) |')


def _middle(rows: Sequence[Dict[str, Any]], what: str, phase: str) -> float:
    return median(row['phases'][phase][what] for row in rows)


def _gain(rows: Sequence[Dict[str, Any]], key: str) -> str:
    """Mean error before and of what is handed back, and in how many runs that is the original network."""
    first, last = (sum(values) / len(rows) for values in zip(*(
        (row['curve'][0][key], row['handed_back'][key]) for row in rows)))
    kept = sum(row['handed_back']['kept_original'] for row in rows)
    return f'{first:.3f} → {last:.3f}, {100 * (last / first - 1):+.1f} %' + (f' ({kept} kept)' if kept else '')


if __name__ == '__main__':
    run_command(main)

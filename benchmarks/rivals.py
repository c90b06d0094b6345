"""Who gains and who hurts: finetuning without labels, self-training, the paper's labels and ours, on rendered videos.

Every row (``rival_rows.py``) trains the demo network on the same videos for the same steps and is scored by true motion
that no training sees: on the videos it was refined on, on others of the same look, and on videos of the look that the
network was trained on, which it is to forget as little as it can. Each is scored as training left it and as the guard,
which sees no truth, hands it back.

The rivals choose their rate of learning: the first seed is run with 1, 0.3 and 0.1 times the rate of the demo, and the
one with the least true error on the unseen videos is taken for the other seeds. No user could choose by that; it is to
show each of them at its best. The variants of the paper take the choice for its code, ours the rate of the demo. Six
of the refined videos are those that the guard keeps back, in every row.

Changes of EPE in percent: the mean over the seeds, its 95 % interval over draws of whole videos, and of all seeds the
video that gets worst. A run that the JSON has already is not made again, so it may be stopped and started again, and
rows may run side by side in processes of their own. Labels are made once for all runs that have the same, so let one of
these begin alone.

    python benchmarks/rivals.py --seeds 125 126 127
    python benchmarks/rivals.py --known --figure docs/images/rivals.png
"""
from __future__ import annotations

import argparse
import math
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
from demo_seeds import CONFIG, source_group
from kept_rows import Row as Run
from kept_rows import kept_row
from mmengine.config import Config
from rival_rows import ROWS, config_of, factors_of

from mmrefine.apis import init_model, train
from mmrefine.apis.commands import run_command
from mmrefine.config.load import fill_in, hooks_of
from mmrefine.engine import judge
from mmrefine.errors import ConfigError
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.registry import DATASETS, LABELERS
from mmrefine.synthetic import write_clips

GROUPS = ('refined', 'unseen', 'source')
AS_TRAINED, GUARDED = 'student', 'guarded'
DRAWS = 2000


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make the runs that are missing, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/rivals'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/rivals.json'), help='all runs')
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127],
                        help='the first is the one that rates are chosen with, so name it with any other')
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), default=list(ROWS))
    parser.add_argument('--videos', type=int, default=40, help='videos to refine on')
    parser.add_argument('--unseen', type=int, default=20, help='other videos, for judging only')
    parser.add_argument('--frames', type=int, default=6, help='frames per video')
    parser.add_argument('--steps', type=int, help="optimiser steps, for a try (default: the config's)")
    parser.add_argument('--known', action='store_true', help='train nothing: only rows whose runs are all in the JSON')
    parser.add_argument('--figure', type=Path, metavar='PNG', help='a picture of the table')
    args = parser.parse_args(argv)
    videos = args.work_dir / 'videos'
    # before any run, so that processes that run side by side do not meet here
    for name, seed, count in (('refined', 0, args.videos), ('unseen', 10000, args.unseen)):
        write_clips(videos / name, range(seed, seed + count), args.frames, style='target')
    source_group(videos / 'source', args.unseen)
    for name, count in (('refined', args.videos), ('unseen', args.unseen), ('source', args.unseen)):
        _check_count(videos / name, count)
    table, missing = {}, []
    for row in args.rows:
        try:
            chosen = factor_of(args, row)
            table[row] = [run_of(args, row, seed, chosen) for seed in args.seeds]
        except _NotRunError:
            missing.append(row)
    if table:
        show(table)
        if args.figure is not None:
            draw(table, args.figure)
    if missing:
        print('\nNot run, or not with all rates and seeds:', '; '.join(missing))
    return 0


class _NotRunError(Exception):
    """A run is not in the JSON."""


def _check_count(folder: Path, count: int) -> None:
    """That a folder of rendered videos holds no others, as those of a run that asked for more.

    Raises:
        ConfigError: it holds another number of them.
    """
    found = len(list((folder / 'frames').iterdir()))
    if found != count:
        raise ConfigError(f'{folder}: holds {found} videos, and {count} are asked for; name another --work-dir, or '
                          'delete that folder')


def factor_of(args: argparse.Namespace, row: str) -> float:
    """The factor on the rate: of those that the first seed is run with the one with the least error on the unseen
    videos."""
    source = ROWS[row].rate_of
    if source is None:
        return 1.
    first = {factor: run_of(args, source, args.seeds[0], factor) for factor in factors_of(source)}
    errors = {factor: run[AS_TRAINED]['unseen']['EPE'] for factor, run in first.items()}
    return min(errors, key=lambda factor: (math.isnan(errors[factor]), errors[factor]))  # min alone may take nan


def run_of(args: argparse.Namespace, row: str, seed: int, factor: float) -> Run:
    """A run of the JSON, made first if it is not there."""
    cfg = config(args, row, seed, factor)
    # the labeler tells the contents of the files that its config names
    key = digest_of([cfg.to_dict(), LABELERS.build(fill_in(cfg).labeler).describe(), args.videos, args.unseen,
                     args.frames, digest_of_bytes(Path(cfg.load_from).read_bytes())])
    folder = args.work_dir / f'{re.sub(r"[^a-z0-9.]+", "_", row.lower())}_{factor:g}' / f'seed_{seed}_{key}'

    def make() -> Run:
        if args.known:
            raise _NotRunError
        cfg.work_dir = str(folder)
        share_labels(cfg, args.work_dir / 'labels')
        return dict(row=row, seed=seed, factor=factor, steps=cfg.max_iters, videos=args.videos, **scored(cfg))

    # variants of one rival that run side by side ask for the same runs
    found = kept_row(args.out, key, make, args.work_dir / 'locks', ('row', 'seed', 'factor'))
    print(f'{row}, seed {seed}, rate x {factor:g}:',
          *(f'{group} {_change(found, AS_TRAINED, group)}' for group in GROUPS), found['verdict'], flush=True)
    return found


def share_labels(cfg: Config, root: Path) -> None:
    """Let a run find the labels of those before it that have the same; seeds, rates and losses change none.

    Args:
        cfg: of the run, with its work dir.
        root: folder for the labels of all runs.
    """
    full = fill_in(cfg)
    if not any(hook['type'] == 'PseudoLabelHook' for hook in full.custom_hooks):
        return
    store = root / digest_of([full.labeler.to_dict(), LABELERS.build(full.labeler).describe(), full.model.estimator,
                              full.model.test_iters, digest_of_bytes(Path(cfg.load_from).read_bytes())])
    store.mkdir(parents=True, exist_ok=True)
    link = Path(cfg.work_dir) / 'labels'
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(store.resolve(), target_is_directory=True)


def config(args: argparse.Namespace, row: str, seed: int, factor: float) -> Config:
    """The config of a run."""
    videos = args.work_dir / 'videos'
    values = {'video': str(videos / 'refined'), 'unseen': str(videos / 'unseen'), 'randomness.seed': seed}
    if args.steps:
        values['max_iters'] = args.steps
    cfg = config_of(row, str(CONFIG), values, factor)
    report, = hooks_of(cfg, 'ReportHook')
    report['groups']['source'] = source_group(videos / 'source', args.unseen)
    return cfg


def scored(cfg: Config) -> Run:
    """Train and score: EPE in px of each group and of its videos in the order of their names, before and after."""
    began = time.monotonic()
    report = train(cfg)[0]
    seconds = time.monotonic() - began
    folder = Path(cfg.work_dir)
    groups = hooks_of(fill_in(cfg), 'ReportHook')[0]['groups']

    def reported(side: str) -> Dict[str, Any]:
        return {name: _figures(group[side]['EPE'], {scene: one[side]['EPE'] for scene, one in group['scenes'].items()})
                for name, group in report['groups'].items()}

    student = {name: _scores(init_model(cfg, str(folder / f'iter_{cfg.max_iters}.pth')), groups[name])
               for name in GROUPS}
    return dict(before=reported('before'), student=student, guarded=reported('after'),
                verdict=report['guard']['verdict'], seconds=round(seconds), timings=report['timings'])


def _scores(network: Any, group: Dict[str, Any]) -> Dict[str, Any]:
    found = judge(network, DATASETS.build(group)).scores()
    return _figures(found['EPE'], {name: value for name, value in found.items()
                                   if name.startswith('scene/') and name.endswith('/EPE')})


def _figures(whole: float, scenes: Mapping[str, float]) -> Dict[str, Any]:
    """As the JSON keeps them: many runs of many videos, and no digit that says nothing."""
    return dict(EPE=round(whole, 5), scenes=[round(scenes[name], 4) for name in sorted(scenes)])


def change(runs: Sequence[Run], side: str, group: str) -> Dict[str, float]:
    """Of a row: the mean change of EPE over its seeds, the ends of its 95 % interval, and the change of the video that
    got worst, all in %.

    An interval is over draws of whole videos, each with all seeds; videos have as many pairs as one another.
    """
    before, after = (np.array([run[which][group]['scenes'] for run in runs]) for which in ('before', side))
    count = before.shape[1]
    drawn = np.random.default_rng(0).integers(0, count, (DRAWS, count))
    ratios = (after[:, drawn].sum(axis=2) / before[:, drawn].sum(axis=2)).mean(axis=0)
    low, high = np.quantile(ratios, [0.025, 0.975])
    mean = np.mean([run[side][group]['EPE'] / run['before'][group]['EPE'] for run in runs])
    return {name: float(100 * (value - 1)) for name, value in
            dict(mean=mean, low=low, high=high, worst=(after / before).max()).items()}


def show(table: Dict[str, List[Run]]) -> None:
    """Print the table, in Markdown."""
    first = next(iter(table.values()))[0]
    print('\nThe original network:', ', '.join(f'{first["before"][group]["EPE"]:.3f} px on {group} videos'
                                               for group in GROUPS))
    print('\n| recipe | rate |', ' | '.join(GROUPS), '| worst video | guarded:', ' | '.join(GROUPS),
          '| what the guard hands back |')
    print('|---' * (2 * len(GROUPS) + 4) + '|')
    for row, runs in table.items():
        of = {side: {group: change(runs, side, group) for group in GROUPS} for side in (AS_TRAINED, GUARDED)}
        worst = max(of[AS_TRAINED][group]['worst'] for group in ('refined', 'unseen'))
        cells = [f'{one["mean"]:+.1f} [{one["low"]:+.1f}, {one["high"]:+.1f}]' for one in of[AS_TRAINED].values()]
        verdicts = ', '.join(f'{name} {count}' for name, count in Counter(run['verdict'] for run in runs).items())
        print('|', ' | '.join([row, f'{runs[0]["factor"]:g}', *cells, f'{worst:+.1f}',
                               *(f'{one["mean"]:+.1f}' for one in of[GUARDED].values()), verdicts]), '|')


def draw(table: Dict[str, List[Run]], path: Path) -> None:
    """The changes of all rows as a picture: a column for each group, a point and its interval for each row. Beyond 50 %
    the axis is logarithmic: some rivals multiply the error."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    height = 1.3 + 0.28 * len(table)
    figure, axes = plt.subplots(1, len(GROUPS), sharey=True, figsize=(10, height))
    places = np.arange(len(table))[::-1]
    for axis, group in zip(axes, GROUPS):
        for side, label, colour, shift in ((AS_TRAINED, 'as training left it', 'tab:blue', 0.12),
                                           (GUARDED, 'as the guard hands it back', 'tab:orange', -0.12)):
            found = [change(runs, side, group) for runs in table.values()]
            mean = np.array([one['mean'] for one in found])
            ends = np.abs(np.array([[one['low'], one['high']] for one in found]).T - mean)
            axis.errorbar(mean, places + shift, xerr=ends, fmt='o', ms=4, lw=1, color=colour, label=label)
        axis.axvline(0, color='black', lw=0.8)
        axis.set_xscale('symlog', linthresh=50, linscale=1)
        left, right = axis.get_xlim()
        ticks = [tick for tick in (-40, -20, 0, 20, 50, 200, 1000) if left <= tick <= right]
        axis.set_xticks(ticks, [f'{tick:+d}' if tick else '0' for tick in ticks])
        axis.minorticks_off()
        axis.set_title(f'{group} videos')
        axis.set_xlabel('change of EPE, %')
        axis.grid(axis='x', alpha=0.3)
    axes[0].set_yticks(places, list(table))
    figure.tight_layout(rect=(0, 0.35 / height, 1, 1))  # room for the legend
    figure.legend(*axes[0].get_legend_handles_labels(), loc='lower center', ncols=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _change(run: Run, side: str, group: str) -> str:
    return f'{100 * (run[side][group]["EPE"] / run["before"][group]["EPE"] - 1):+.1f} %'


if __name__ == '__main__':
    run_command(main)

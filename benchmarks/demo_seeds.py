"""The demo with several seeds, against its rivals: the same recipe on labels of a teacher that sees no more than the
student.

More recipes (``--recipes``) ask what the parts of ours are worth (many passes weighted evenly, novelty on two passes)
and what other weights are: all or nothing by the mask, no mask at all, a floor under it, labels grown where the teacher
agrees with what was verified; ``--look fog`` asks it where the teacher fails. No recipe keeps anything back for a
guard.

Change of EPE in percent on the refined and on the unseen videos, per seed and on average. Videos are rendered once,
labels made once for each recipe (a seed decides the order of the training draws and the augmentation). Runs that have
their result in the work dir are not repeated, so it may be stopped and started again, and recipes may run side by side
in processes of their own.

    python benchmarks/demo_seeds.py --seeds 125 126 127
"""
from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from torch import Tensor

from mmrefine.apis import init_model, train
from mmrefine.apis.commands import run_command
from mmrefine.config.load import fill_in, load_config
from mmrefine.engine import judge
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.registry import DATASETS, TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, LookRequest, PairBatch
from mmrefine.synthetic import STYLES, write_clips

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'demo' / 'raft_small_target.py'
LOOSE = dict(type='CycleFilter', alpha=0.01, beta=0.5)
TWO_LOOKS = {'labeler.view': dict(_delete_=True, type='CascadeView', scales=(1., 2.))}
ONE_LOOK = {'labeler.view': dict(_delete_=True, type='CascadeView', scales=(1., ))}
EVENLY = {'labeler.balance': None}
RECIPES: Dict[str, Dict[str, Any]] = {
    'ours': {},
    # as the demo was before, which takes the same time (equal_time.py)
    'five iterations': {'model.train_iters': 5, 'max_iters': 1400},
    'ours in float32': {'optim_wrapper.precision': 'float32'},
    'many looks': EVENLY,
    'novelty': TWO_LOOKS,
    'mask alone': {**TWO_LOOKS, **EVENLY, 'labeler.filters': [LOOSE]},
    'no mask': {**TWO_LOOKS, **EVENLY},
    'floor': {**TWO_LOOKS, **EVENLY, 'labeler.filters': [LOOSE], 'labeler.floor': 0.3},
    'densify': {**TWO_LOOKS, **EVENLY, 'labeler.filters': [LOOSE], 'labeler.floor': 0.3,
                'labeler.densify': dict(type='EdgeAwareDensify')},
    'labels at 1x': {**ONE_LOOK, **EVENLY, 'labeler.filters': [LOOSE], 'labeler.floor': 0.3},
    'paper\'s labels': {
        **ONE_LOOK,
        **EVENLY,
        'labeler.filters': [dict(type='CycleFilter', alpha=0.002, beta=0.1), dict(type='ColorFilter', tolerance=1.275)],
    },
}


def main() -> int:
    """Run every recipe with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path,
                        help='default: work_dirs/demo_seeds, for another look work_dirs/demo_seeds_<look>')
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127])
    parser.add_argument('--recipes', nargs='+', choices=list(RECIPES),
                        default=['ours', 'labels at 1x', 'paper\'s labels'])
    parser.add_argument('--look', choices=sorted(STYLES), default='target', help='of the videos')
    parser.add_argument('--videos', type=int, default=40, help='videos to refine on')
    parser.add_argument('--unseen', type=int, default=20, help='other videos, for judging only')
    parser.add_argument('--frames', type=int, default=6, help='frames per video')
    parser.add_argument('--teacher', action='store_true',
                        help='also score the motion that ours learns from, on both sets of videos')
    args = parser.parse_args()
    look = '' if args.look == 'target' else f'_{args.look}'
    work_dir = args.work_dir or Path(f'work_dirs/demo_seeds{look}')
    refined, unseen = work_dir / 'videos' / 'refined', work_dir / 'videos' / 'unseen'
    write_clips(refined, range(args.videos), args.frames, style=args.look)
    write_clips(unseen, range(10000, 10000 + args.unseen), args.frames, style=args.look)
    # all videos are learned from: the rows shall differ by their labels alone, and the guard's choice would hide what
    # they do
    values = {'video': str(refined), 'unseen': str(unseen), 'held_out': 0.}
    table = table_of(CONFIG, {recipe: {**values, **RECIPES[recipe]} for recipe in args.recipes}, args.seeds, work_dir,
                     'EPE', [args.videos, args.unseen, args.frames])
    if args.teacher:
        table.append(_teacher(fill_in(load_config(CONFIG, values)), table[-len(args.recipes)]))
    print_table(table)
    return 0


def table_of(config: Path, recipes: Mapping[str, Mapping[str, Any]], seeds: Sequence[int], work_dir: Path, figure: str,
             videos: List[int]) -> List[Dict[str, Any]]:
    """A row for each recipe and seed, then one with the mean of each recipe; what was computed before is not computed
    again.

    Args:
        config: whose report has the groups refined and unseen.
        recipes: by name, what each sets in the config.
        seeds: of each recipe.
        work_dir: of all runs; each recipe gets a folder.
        figure: of the report that is compared.
        videos: how many there are of each kind, and of how many frames.
    """
    table: List[Dict[str, Any]] = []
    for recipe, values in recipes.items():
        for seed in seeds:
            cfg = load_config(config, {**values, 'randomness.seed': seed})
            cfg.work_dir = str(work_dir / re.sub(r'\W+', '_', recipe.replace("'", '')))
            # by everything that decides over it, so a result of other settings or of another network is not taken for
            # this one
            key = digest_of([cfg.to_dict(), *videos, digest_of_bytes(Path(cfg.load_from).read_bytes())])
            result = Path(cfg.work_dir) / f'seed_{seed}_{key}.json'
            if not result.is_file():
                write_json(result, _row(recipe, seed, train(cfg)[0], figure))
            table.append(json.loads(result.read_text(encoding='utf-8')))
    return table + [_mean(recipe, table) for recipe in recipes]


def print_table(table: List[Dict[str, Any]]) -> None:
    """The rows of :func:`table_of`, with the change in percent."""
    print(f'{"recipe":18}{"seed":>6}{"refined":>22}{"unseen":>22}{"worst scene":>14}')
    for row in table:
        changes = [f'{_change(row, name):>22}' for name in ('refined', 'unseen')]
        worst = '' if row['worst'] is None else f'{row["worst"]:>+12.1f} %'
        print(f'{row["recipe"]:18}{row["seed"]:>6}', *changes, worst, sep='')


def _row(recipe: str, seed: int, report: Dict[str, Any], figure: str) -> Dict[str, Any]:
    groups = report['groups']
    row: Dict[str, Any] = dict(recipe=recipe, seed=str(seed))
    for name in ('refined', 'unseen'):
        row[name] = [groups[name]['before'][figure], groups[name]['after'][figure]]
    row['worst'] = max(scene['change_percent'][figure] for group in groups.values()
                       for scene in group['scenes'].values())
    return row


class _BothLooks:
    """A network as the teacher of a config sees with it. Implements ``FlowEstimator``."""
    accepts_flow_init = False

    def __init__(self, network: FlowEstimator, view: Dict[str, Any]) -> None:
        self.network, self.view = network, TEACHER_VIEWS.build(view)

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """The view's motion, as the only iterate."""
        return [self.view.look(self.network, PairBatch(frames1, frames2), LookRequest(backward=False)).flow_fw]


def _teacher(cfg: Any, student: Dict[str, Any]) -> Dict[str, Any]:
    """The teacher's motion in place of the student's, beside the same scores before."""
    teacher = _BothLooks(init_model(CONFIG, cfg.load_from), cfg.labeler.view)
    row: Dict[str, Any] = dict(recipe='its teacher', seed='-', worst=None)
    groups = next(hook for hook in cfg.custom_hooks if hook['type'] == 'ReportHook')['groups']
    for name in ('refined', 'unseen'):
        row[name] = [student[name][0], judge(teacher, DATASETS.build(groups[name])).scores()['EPE']]
    return row


def _mean(recipe: str, table: List[Dict[str, Any]]) -> Dict[str, Any]:
    rows = [row for row in table if row['recipe'] == recipe]
    mean: Dict[str, Any] = dict(recipe=recipe, seed='mean', worst=max(row['worst'] for row in rows))
    for name in ('refined', 'unseen'):
        mean[name] = [sum(row[name][side] for row in rows) / len(rows) for side in (0, 1)]
    return mean


def _change(row: Dict[str, Any], name: str) -> str:
    before, after = row[name]
    return f'{before:.3f} {after:.3f} {100 * (after / before - 1):+.1f} %'


if __name__ == '__main__':
    run_command(main)

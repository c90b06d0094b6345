"""The demo with several seeds, against its rivals: the same recipe on labels of a teacher that sees no more than the
student.

More recipes (``--recipes``) ask what the parts of ours are worth (many passes weighted evenly, novelty on two passes)
and what other weights are: all or nothing by the mask, no mask at all, a floor under it, labels grown where the teacher
agrees with what was verified; ``--look fog`` asks it where the teacher fails. Those that begin with ``verified`` let a
verifier weigh the passes, and weigh the same labels by novelty, evenly, by a mask, by a floor under it, by the error
that is to be expected, by that and novelty, or by novelty where that error is at most 1 px. No recipe keeps anything
back for a guard.

Change of EPE in percent on the refined and on the unseen videos, per seed and on average. Videos are rendered once,
labels made once for each recipe (a seed decides the order of the training draws and the augmentation). Runs that have
their result in the work dir are not repeated, so it may be stopped and started again, and recipes may run side by side
in processes of their own.

    python benchmarks/demo_seeds.py --seeds 125 126 127
"""
from __future__ import annotations

import argparse
import copy
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmengine.config import Config
from torch import Tensor

from mmrefine.apis import init_model, train
from mmrefine.apis.commands import run_command
from mmrefine.apis.verifiers import VERIFIER
from mmrefine.config.load import fill_in, load_config
from mmrefine.engine import judge
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.registry import DATASETS, TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, LookRequest, PairBatch
from mmrefine.synthetic import STYLES, write_clips

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'demo' / 'raft_small_target.py'
MIXED = CONFIG.parents[1] / 'clip_flow' / 'demo.py'
LOOSE = dict(type='CycleFilter', alpha=0.01, beta=0.5)
TWO_LOOKS = {'labeler.view': dict(_delete_=True, type='CascadeView', scales=(1., 2.))}
ONE_LOOK = {'labeler.view': dict(_delete_=True, type='CascadeView', scales=(1., ))}
ROUNDS = {**TWO_LOOKS, 'train_cfg.rounds': 3, 'relabel': 'every_round'}
AVERAGE = {'custom_hooks.0.teacher': dict(type='StudentAverage', momentum=0.02)}
EVENLY = {'labeler.balance': None}
VERIFIED = {'labeler.view.verifier': VERIFIER}
BY_ERROR = {'labeler.filters': [dict(type='ExpectedErrorFilter', soft=True)]}
RECIPES: Dict[str, Dict[str, Any]] = {
    'ours': {},
    # as the demo was before, which takes the same time (equal_time.py)
    'five iterations': {'model.train_iters': 5, 'max_iters': 1400},
    # rendered pairs of the source look with their truth: see replay()
    'replay': {},  # fewer and fewer
    'rounds': ROUNDS,
    'rounds, average': {**ROUNDS, **AVERAGE},
    'rounds, replay': ROUNDS,
    'rounds, average, replay': {**ROUNDS, **AVERAGE},
    'ours in float32': {'optim_wrapper.precision': 'float32'},
    'convex upsampling': {'model.estimator.decoder.type': 'mmrefine.ConvexUpsamplingDecoder'},
    'verified': VERIFIED,
    'verified, evenly': {**VERIFIED, **EVENLY},
    'verified, mask': {**VERIFIED, **EVENLY, 'labeler.filters': [LOOSE]},
    'verified, floor': {**VERIFIED, **EVENLY, 'labeler.filters': [LOOSE], 'labeler.floor': 0.3},
    'verified, expected error': {**VERIFIED, **EVENLY, **BY_ERROR},
    'verified, novelty and error': {**VERIFIED, **BY_ERROR},
    'verified, within 1 px': {**VERIFIED, 'labeler.filters': [dict(type='ExpectedErrorFilter')]},  # as --max-error 1
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
    parser.add_argument('--forgetting', action='store_true',
                        help='judge on as many other pairs of the source look, which the network was trained on, too')
    parser.add_argument('--source', type=Path, default=Path('data/rendered/source'), metavar='FOLDER',
                        help='rendered pairs of the source look that replay learns from')
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
    replayed = replay(args.source)
    recipes = {name: {**recipe, **(replayed if name.endswith('replay') else {})} for name, recipe in RECIPES.items()}
    if args.forgetting:
        values['custom_hooks.2.groups'] = {**load_config(CONFIG).custom_hooks[2]['groups'],
                                           'source': source_group(work_dir / 'videos' / 'source', args.unseen)}
    table = table_of({recipe: load_config(CONFIG, {**values, **recipes[recipe]}) for recipe in args.recipes},
                     args.seeds, work_dir, [args.videos, args.unseen, args.frames])
    if args.teacher:
        table.append(_teacher(fill_in(load_config(CONFIG, values)), table[-len(args.recipes)]))
    print_table(table, 'EPE')
    return 0


def replay(source: Path) -> Dict[str, Any]:
    """What makes of the demo's training one on labels and on truth, as CLIP-FLow's demo mixes them."""
    mixed = load_config(MIXED)
    loader = copy.deepcopy(mixed.train_dataloader)
    loader.dataset.parts.labelled.update(data_root=str(source / 'frames'), truth_root=str(source / 'flow'),
                                         pipeline=mixed.labelled_pipeline)
    return {f'train_dataloader.{key}': dict(loader[key], _delete_=True) for key in ('sampler', 'dataset')}


def source_group(folder: Path, count: int) -> Dict[str, Any]:
    """Pairs of the source look that nothing was ever trained on, to judge on."""
    write_clips(folder, range(20000, 20000 + count), 2, style='source')
    return dict(type='FramePairs', data_root=str(folder / 'frames'), truth_root=str(folder / 'flow'),
                pipeline='{judge_pipeline}')


def table_of(recipes: Mapping[str, Config], seeds: Sequence[int], work_dir: Path,
             videos: List[int]) -> List[Dict[str, Any]]:
    """A row for each recipe and seed, then one with the mean of each recipe; what was computed before is not computed
    again.

    Args:
        recipes: by name, configs whose report has the groups refined and unseen, perhaps more.
        seeds: of each recipe.
        work_dir: of all runs; each recipe gets a folder, and where labels are made anew in each round, each seed, too.
        videos: how many there are of each kind, and of how many frames.
    """
    table: List[Dict[str, Any]] = []
    for recipe, config in recipes.items():
        for seed in seeds:
            cfg = copy.deepcopy(config)
            cfg.randomness.seed = seed
            folder = folder_of(work_dir, recipe)
            # by everything that decides over it, so a result of other settings or of another network is not taken for
            # this one
            key = digest_of([cfg.to_dict(), *videos, digest_of_bytes(Path(cfg.load_from).read_bytes())])
            cfg.work_dir = str(folder / f'seed_{seed}' if cfg.train_cfg.get('rounds', 1) > 1 else folder)
            result = folder / f'seed_{seed}_{key}.json'
            if not result.is_file():
                write_json(result, _row(recipe, seed, train(cfg)[0]))
            table.append(json.loads(result.read_text(encoding='utf-8')))
    return table + [_mean(recipe, table) for recipe in recipes]


def folder_of(work_dir: Path, recipe: str) -> Path:
    """Where a recipe has its runs and results."""
    return work_dir / re.sub(r'\W+', '_', recipe.replace("'", ''))


def print_table(table: List[Dict[str, Any]], figure: str) -> None:
    """The rows of :func:`table_of`, with the change of a figure in percent."""
    groups = list(table[0]['groups'])
    titles = ''.join(f'{f"{name} {figure}":>24}' for name in groups)
    print(f'{"recipe":26}{"seed":>6}{titles}{"worst scene":>14}')
    for row in table:
        changes = [f'{_change(row, name, figure):>24}' for name in groups]
        worst = row['worst'].get(figure)
        print(f'{row["recipe"]:26}{row["seed"]:>6}', *changes, '' if worst is None else f'{worst:>+12.1f} %', sep='')


def _row(recipe: str, seed: int, report: Dict[str, Any]) -> Dict[str, Any]:
    groups = report['groups']
    scenes = [scene['change_percent'] for group in groups.values() for scene in group['scenes'].values()]
    return dict(
        recipe=recipe, seed=str(seed), seconds=report.get('timings', {}),
        groups={name: {side: group[side] for side in ('before', 'after')} for name, group in groups.items()},
        worst={figure: max(scene[figure] for scene in scenes) for figure in scenes[0]})


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
    groups = next(hook for hook in cfg.custom_hooks if hook['type'] == 'ReportHook')['groups']
    return dict(recipe='its teacher', seed='-', worst={}, groups={
        name: dict(before=student['groups'][name]['before'], after=judge(teacher, DATASETS.build(group)).scores())
        for name, group in groups.items()})


def _mean(recipe: str, table: List[Dict[str, Any]]) -> Dict[str, Any]:
    rows = [row for row in table if row['recipe'] == recipe]

    def mean(name: str, side: str) -> Dict[str, float]:
        scores = [row['groups'][name][side] for row in rows]
        return {figure: sum(one[figure] for one in scores) / len(rows) for figure, value in scores[0].items()
                if isinstance(value, (int, float))}

    return dict(
        recipe=recipe, seed='mean',
        groups={name: {side: mean(name, side) for side in ('before', 'after')} for name in rows[0]['groups']},
        worst={figure: max(row['worst'][figure] for row in rows) for figure in rows[0]['worst']})


def _change(row: Dict[str, Any], name: str, figure: str) -> str:
    before, after = (row['groups'][name][side][figure] for side in ('before', 'after'))
    return f'{before:.3f} {after:.3f} {100 * (after / before - 1):+.1f} %'


if __name__ == '__main__':
    run_command(main)

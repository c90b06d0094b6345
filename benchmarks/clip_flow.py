"""What the parts of CLIP-FLow are worth, on rendered driving video, of which some scan lines are known to judge by.

Each row takes the demo network and the same number of steps: labels made once; made anew in three rounds, each by the
average of the student over the last steps of the round before (with ``--copies``, by the student of its last step);
with the contrastive loss; with rendered pairs of the source look and their truth in every batch, fewer and fewer of
them; with the sparse truth of a few other driving videos instead; and the labels of one pass behind the check of
UnFlow, as the configs for KITTI have it. ``--model craft`` does the same with the small CRAFT of ``small_craft.py``.
``source`` is the look that the network was trained on, which it is to forget as little as it can. No recipe keeps
anything back for a guard.

EPE in px and Fl in percent, before and after and their change, per seed and on average. Runs that have their result in
the work dir are not repeated, so it may be stopped and started again, and recipes may run side by side in processes of
their own once ``one-shot`` has made the labels that all first rounds share.

    python tools/render.py data/rendered/source --style source --seeds 1000 4000 --frames 2 --size 192 256
    python benchmarks/clip_flow.py --seeds 125 126 127
"""
from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any, Dict, List, Sequence

from demo_seeds import folder_of, print_table, source_group, table_of
from mmengine.config import Config

from mmrefine.apis import init_model
from mmrefine.apis.commands import Overrides, run_command
from mmrefine.config.load import fill_in, load_config
from mmrefine.engine import judge
from mmrefine.fileio.atomic import write_json
from mmrefine.registry import DATASETS
from mmrefine.synthetic import write_clips

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SIZE = (96, 256)  # px
NO_CONTRAST = {'model.losses': [dict(type='MaskedSequenceLoss', gamma=0.85)]}
UNLABELLED = {
    'train_dataloader.sampler': dict(_delete_=True, type='DrawSampler', shuffle=True),
    'train_dataloader.dataset': dict(
        _delete_=True, type='FramePairs', data_root='{video}/frames', held_out='{held_out}',
        directions='{labeler.directions}', seed='{randomness.seed}', pipeline='{train_pipeline}')}
UNFLOW = {
    'labeler': dict(
        _delete_=True, type='FlowLabeler', view=dict(type='CascadeView', scales=(1., )), directions='both',
        filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5, form='squared', magnitude='warped'),
                 dict(type='InFrameFilter')])}
FIRST, SPARSE = 'one-shot', 'rounds, contrast, sparse truth'
RECIPES: Dict[str, Dict[str, Any]] = {
    FIRST: {'train_cfg.rounds': 1, 'relabel': 'once', **NO_CONTRAST, **UNLABELLED},
    'rounds': {**NO_CONTRAST, **UNLABELLED},
    'rounds, contrast': UNLABELLED,
    'rounds, contrast, labelled': {},
    SPARSE: {},  # see sparse_truth()
    'UnFlow, rounds, contrast': {**UNLABELLED, **UNFLOW},
}


def main() -> int:
    """Run every recipe with every seed and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/clip_flow_<model>, with --copies …_copies')
    parser.add_argument('--model', choices=['raft', 'craft'], default='raft')
    parser.add_argument('--craft-weights', type=Path, default=Path('work_dirs/craft_small_source/iter_6000.pth'))
    parser.add_argument('--official', type=Path, metavar='FILE',
                        help='official RAFT-small, converted (tools/convert_checkpoint.py), to score beside the rows')
    parser.add_argument('--copies', action='store_true', help='the student as it is when a round ends teaches the next')
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127])
    parser.add_argument('--recipes', nargs='+', choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument('--source', type=Path, default=Path('data/rendered/source'),
                        help='rendered pairs with truth to learn from')
    parser.add_argument('--videos', type=int, default=24, help='videos to refine on')
    parser.add_argument('--unseen', type=int, default=16, help='other videos, for judging only')
    parser.add_argument('--frames', type=int, default=5, help='frames per video')
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for the rows')
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    work_dir = args.work_dir or Path(f'work_dirs/clip_flow_{args.model}' + ('_copies' if args.copies else ''))
    videos = work_dir / 'videos'
    write_clips(videos / 'refined', range(args.videos), args.frames, SIZE, 'driving', sparse=True)
    write_clips(videos / 'unseen', range(10000, 10000 + args.unseen), args.frames, SIZE, 'driving', sparse=True)
    write_clips(videos / 'known', range(5000, 5000 + args.unseen // 2), args.frames, SIZE, 'driving', sparse=True)
    recipes = {**RECIPES, SPARSE: sparse_truth(videos / 'known')}
    judged = dict(load_config(CONFIGS / 'clip_flow' / 'demo.py').custom_hooks[-1]['groups'],
                  source=source_group(videos / 'source', args.unseen))
    values = {'video': str(videos / 'refined'), 'unseen': str(videos / 'unseen'), 'source': str(args.source),
              'held_out': 0., 'custom_hooks.2.groups': judged}
    if args.copies:
        values['teacher'] = dict(_delete_=True, type='StudentCopy')
    if args.model == 'craft':
        network = load_config(CONFIGS / 'demo' / 'craft_small_source.py').model.estimator
        values.update({'model.estimator': dict(network, _delete_=True), 'load_from': str(args.craft_weights)})

    def rows(names: Sequence[str]) -> List[Dict[str, Any]]:
        configs = {recipe: load_config(CONFIGS / 'clip_flow' / 'demo.py',
                                       {**values, **recipes[recipe], **args.cfg_options}) for recipe in names}
        return table_of(configs, args.seeds, work_dir, [args.videos, args.unseen, args.frames])

    if FIRST in args.recipes:
        rows([FIRST])
    for recipe in args.recipes:
        share_labels(work_dir, recipe, args.seeds)
    table = rows(args.recipes)
    if args.official is not None:
        cfg = fill_in(load_config(CONFIGS / 'clip_flow' / 'demo.py', values))
        table.append(official_row(args.official, cfg, table))
    for figure in ('EPE', 'Fl'):
        print_table(table, figure)
    if args.out is not None:
        write_json(args.out, table)
    return 0


def sparse_truth(folder: Path) -> Dict[str, Any]:
    """Truth on some scan lines of other videos of the driving look, in place of that of the source look."""
    part = 'train_dataloader.dataset.parts.labelled'
    return {f'{part}.data_root': str(folder / 'frames'), f'{part}.truth_root': str(folder / 'flow_sparse')}


def official_row(weights: Path, cfg: Config, table: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """The scores of the official RAFT-small (12 iterations), which nothing here refined, in place of those after."""
    network = init_model(load_config(CONFIGS / 'refine' / 'raft_small_video.py', {'model.test_iters': 12}), weights)
    groups = {}
    for name, group in cfg.custom_hooks[-1]['groups'].items():
        before, found = table[0]['groups'][name]['before'], judge(network, DATASETS.build(group)).scores()
        groups[name] = dict(before=before, after={figure: found[figure] for figure in before})  # not of single scenes
    return dict(recipe='official RAFT-small', seed='-', worst={}, groups=groups)


def share_labels(work_dir: Path, recipe: str, seeds: Sequence[int]) -> None:
    """Copy the labels of the first round to where a recipe with the same ones looks for them."""
    made = folder_of(work_dir, FIRST) / 'labels'
    if 'labeler' in RECIPES[recipe] or recipe == FIRST or not made.is_dir():
        return
    for seed in seeds:
        wanted = folder_of(work_dir, recipe) / f'seed_{seed}' / 'labels'
        if not wanted.is_dir():
            shutil.copytree(made, wanted)


if __name__ == '__main__':
    run_command(main)

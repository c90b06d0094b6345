"""The demo of tracks with several seeds, guard and all, against its rivals: labels of a teacher that sees no more than
the student, the same behind the paper's check of cycles, and no labels at all, which is the column before.

Change of ATE in percent on the refined and on the unseen videos, per seed and on average. Videos are rendered once,
labels made once for each recipe (a seed decides the order of the training draws and the augmentation). The rivals learn
from all videos and without a guard, which would hide what their labels do. Runs that have their result in the work dir
are not repeated, so it may be stopped and started again, and recipes may run side by side in processes of their own.

    python benchmarks/track_seeds.py --seeds 125 126 127
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

from demo_seeds import print_table, table_of

from mmrefine.apis.commands import run_command
from mmrefine.config.load import load_config
from mmrefine.synthetic import write_clips

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'pips' / 'pips_small_target.py'
PLAIN = {'held_out': 0., 'labeler.view': dict(_delete_=True, type='DirectTracks')}
RECIPES: Dict[str, Dict[str, Any]] = {
    'ours': {},
    'without guard': {'held_out': 0.},
    'two rounds': {'train_cfg.rounds': 2, 'custom_hooks.0.relabel': 'every_round',
                   'custom_hooks.0.teacher': dict(type='StudentAverage'), 'custom_hooks.1.interval': 'round',
                   'custom_hooks.1.patience': 1},
    'twice the steps': {'max_iters': 1280},
    'grid': {'labeler.queries': dict(_delete_=True, type='GridQueries', step=14, border=2)},
    'plain labels': PLAIN,
    "paper's labels": {**PLAIN, 'labeler.filters': [dict(type='TrackCycleFilter', threshold=1.5)]},
}


def main() -> int:
    """Run every recipe with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/track_seeds'))
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127])
    parser.add_argument('--recipes', nargs='+', choices=list(RECIPES), default=['ours', 'plain labels'])
    parser.add_argument('--videos', type=int, default=40, help='videos to refine on')
    parser.add_argument('--unseen', type=int, default=20, help='other videos, for judging only')
    parser.add_argument('--frames', type=int, default=10, help='frames per video')
    args = parser.parse_args()
    refined, unseen = args.work_dir / 'videos' / 'refined', args.work_dir / 'videos' / 'unseen'
    write_clips(refined, range(args.videos), args.frames, style='target', tracks=256)
    write_clips(unseen, range(10000, 10000 + args.unseen), args.frames, style='target', tracks=256)
    values = {'video': str(refined), 'unseen': str(unseen)}
    recipes = {recipe: load_config(CONFIG, {**values, **RECIPES[recipe]}) for recipe in args.recipes}
    print_table(table_of(recipes, args.seeds, args.work_dir, [args.videos, args.unseen, args.frames]), 'ATE')
    return 0


if __name__ == '__main__':
    run_command(main)

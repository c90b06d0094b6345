"""Three real driving pairs, an anecdote: refined with nothing kept back and no guard, and judged on the one with truth.

The official RAFT-small (12 iterations) learns on both pairs of three KITTI frames and on the pair of KITTI 2012 that is
judged as well: labels made once, as ``mmrefine refine`` does; the same in three rounds with the contrastive loss; and
the latter on labels of one pass behind the check of UnFlow. One run each; a single pair proves nothing.

    python benchmarks/kitti_pairs.py --data DATA
"""
from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any, Dict, Tuple

from clip_flow import UNFLOW

from mmrefine.apis import init_model, refine
from mmrefine.apis.commands import run_command
from mmrefine.config.load import load_config
from mmrefine.engine import judge
from mmrefine.registry import DATASETS

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'refine' / 'raft_small_video.py'
CONTRAST = {'model.losses': [dict(type='MaskedSequenceLoss', gamma=0.85),
                             dict(type='ContrastiveFlowLoss', mode='sampled', loss_weight=0.1)]}
# rounds, and what is set in the config
RECIPES: Dict[str, Tuple[int, Dict[str, Any]]] = {
    'one-shot': (1, {}), 'rounds, contrast': (3, CONTRAST), 'UnFlow, rounds, contrast': (3, {**CONTRAST, **UNFLOW})}


def main() -> int:
    """Refine in each way and print EPE and Fl of the pair with truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True,
                        help='folder with flow_pairs/kitti2012_45/{frame1,frame2,flow_noc}.png and '
                             'video/kitti_triplet/img{0,1,2}.png')
    parser.add_argument('--weights', type=Path, default=Path('checkpoints/raft-small-mmrefine.pth'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/kitti_pairs'))
    parser.add_argument('--steps', type=int, default=90)
    parser.add_argument('--recipes', nargs='+', choices=list(RECIPES), default=list(RECIPES))
    args = parser.parse_args()
    frames, truth = args.work_dir / 'frames', args.work_dir / 'truth'
    pair, triplet = args.data / 'flow_pairs' / 'kitti2012_45', args.data / 'video' / 'kitti_triplet'
    for source, copy in [*((pair / f'frame{i + 1}.png', frames / 'pair' / f'{i}.png') for i in range(2)),
                         (pair / 'flow_noc.png', truth / 'pair' / '0.png'),
                         *((triplet / f'img{i}.png', frames / 'triplet' / f'{i}.png') for i in range(3))]:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    judged = dict(type='FramePairs', data_root=str(frames), truth_root=str(truth), scenes='pair',
                  pipeline=[dict(type='LoadTruth', benchmark=True), dict(type='PackPair')])
    print(f'{"":26}{"EPE px":>8}{"Fl %":>8}')
    _show('before', args.weights, judged)
    for recipe in args.recipes:
        rounds, values = RECIPES[recipe]
        cfg = load_config(CONFIG, {'held_out': 0., 'max_iters': args.steps, 'batch_size': 2, 'num_workers': 0,
                                   'model.train_iters': 8, 'model.test_iters': 12, 'load_from': str(args.weights),
                                   'report_groups.refined.scenes': 'triplet', **values})
        out = args.work_dir / recipe.replace(', ', '_')
        refine(frames, cfg, out, resume=True, rounds=rounds)
        _show(recipe, out / 'refined.pth', judged)
    return 0


def _show(name: str, weights: Path, judged: Dict[str, Any]) -> None:
    model = init_model(load_config(CONFIG, {'model.test_iters': 12}), weights)
    scores = judge(model, DATASETS.build(judged)).scores()
    print(f'{name:26}{scores["EPE"]:8.2f}{scores["Fl"]:8.2f}', flush=True)


if __name__ == '__main__':
    run_command(main)

"""What the parts of CorrFlow's objective are worth: each left out in turn, on rendered clips of 128x128 px.

The configs of ``configs/corrflow/ablation`` are trained from random weights, each with the same seeds, steps and clips.
Judged on scenes that no run has seen: J and F of the mask of the first frame, propagated to the end, means over
objects, percent; once copied as in training, from all cells of the window, and once from the best five alone, which a
network that is still unsure needs (configs/corrflow/README.md). Beside them the first mask copied, and random features.
Clips are rendered once; runs that have their weights and rows that have their scores are not repeated, so this may be
stopped and started again.

    python benchmarks/corrflow_ablation.py --seeds 125 126 127
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from propagation import SHOWN, Method, Video, by_features, pooled_scores, rendered_video, row_of

from mmrefine.apis import init_model, train
from mmrefine.apis.commands import run_command
from mmrefine.config.load import load_config
from mmrefine.fileio import digest_of, write_json
from mmrefine.synthetic import write_clips

FOLDER = Path(__file__).resolve().parents[1] / 'configs' / 'corrflow' / 'ablation'
ROWS = ('full', 'without_color_dropout', 'without_restricted_attention', 'without_scheduled_sampling', 'without_cycle')
SIZE, STYLE = (128, 128), 'target'
BEST = 5  # cells that are copied from
NAMES = ('J&F', 'J_mean', 'F_mean', f'J&F best {BEST}')


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Render, train, propagate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/corrflow_ablation'))
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127])
    parser.add_argument('--steps', type=int, help='default: those of the configs')
    parser.add_argument('--clips', type=int, default=200, help='to learn from')
    parser.add_argument('--unseen', type=int, default=40, help='other clips, for judging only')
    parser.add_argument('--frames', type=int, default=9, help='of a clip')
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for the table')
    args = parser.parse_args(argv)
    seen, unseen = args.work_dir / 'videos' / 'train', args.work_dir / 'videos' / 'unseen'
    write_clips(seen, range(100, 100 + args.clips), args.frames, SIZE, STYLE)
    scenes = write_clips(unseen, range(10000, 10000 + args.unseen), args.frames, SIZE, STYLE)
    videos = [rendered_video(unseen, scene, args.frames) for scene in scenes]
    torch.manual_seed(args.seeds[0])
    table = [_scored('copied', None, args.work_dir, videos, None),
             _scored('random', None, args.work_dir, videos, init_model(FOLDER / 'full.py'))]
    for seed in args.seeds:
        for row in args.rows:
            cfg = _config(row, seed, seen, args.steps)
            learner = init_model(cfg, _trained(cfg, args.work_dir / 'runs' / row))
            table.append(_scored(row, seed, args.work_dir, videos, learner))
    print_table(table)
    if args.out is not None:
        write_json(args.out, table)
    return 0


def _config(row: str, seed: int, video: Path, steps: Optional[int]) -> Config:
    options: Dict[str, Any] = {'video': str(video / 'frames'), 'randomness.seed': seed}
    if steps is not None:
        options['max_iters'] = steps
    return load_config(FOLDER / f'{row}.py', options)


def _trained(cfg: Config, folder: Path) -> Path:
    """The weights that a run ends with; it is done or gone on with first if they are not there."""
    folder = folder / f'{cfg.randomness.seed}_{digest_of(cfg.to_dict())}'
    cfg.work_dir, cfg.resume = str(folder), True
    if not (folder / 'refined.pth').is_file():
        train(cfg, brief=True)
    return folder / 'refined.pth'


def _scored(row: str, seed: Optional[int], work_dir: Path, videos: Sequence[Video],
            learner: Optional[Any]) -> Dict[str, Any]:
    pooled = []
    for most in (None, BEST):
        method = Method(row, None, []) if learner is None else by_features(row, learner, top_k=most)
        pooled.append(pooled_scores('rendered', [row_of(work_dir / 'scores', video, method)['tally']
                                                 for video in videos]))
    values = [*(pooled[0][name] for name in SHOWN['rendered']), pooled[1]['J&F']]
    return dict(row=row, seed=seed, **{name: round(100 * value, 2) for name, value in zip(NAMES, values)})


def print_table(table: Sequence[Dict[str, Any]]) -> None:
    """A line for each row: means over its seeds, how far they are from those of the full one, and J&F of each seed."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for line in table:
        found.setdefault(line['row'], []).append(line)
    means = {row: np.array([[line[name] for name in NAMES] for line in lines]).mean(axis=0)
             for row, lines in found.items()}
    print(f'\n| row | {" | ".join(NAMES)} | to full | best {BEST} to full | J&F best {BEST} of each seed |')
    print('|---' * (4 + len(NAMES)) + '|')
    for row, lines in found.items():
        each = ', '.join(f'{line[NAMES[-1]]:.1f}' for line in lines)
        change = means[row] - means['full'] if 'full' in means else None
        values = ' | '.join(f'{value:.1f}' for value in means[row])
        changes = ' | ' if change is None else f'{change[0]:+.1f} | {change[-1]:+.1f}'
        print(f'| {row} | {values} | {changes} | {each} |')


if __name__ == '__main__':
    run_command(main)

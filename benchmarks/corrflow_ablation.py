"""What the parts of CorrFlow's objective are worth: each left out in turn, on rendered clips of 128x128 px.

The configs of ``configs/corrflow/ablation`` are trained from random weights, each with the same seeds, steps and clips.
Judged on scenes that no run has seen: J and F of the mask of the first frame, propagated to the end, means over
objects, percent. Beside them the first mask copied, and random features. Clips are rendered once; runs that have their
weights and rows that have their scores are not repeated, so this may be stopped and started again.

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
    table = [_scored('copied', None, args.work_dir, videos, Method('copied', None, [])),
             _scored('random', None, args.work_dir, videos, by_features('random', init_model(FOLDER / 'full.py')))]
    for seed in args.seeds:
        for row in args.rows:
            cfg = _config(row, seed, seen, args.steps)
            learner = init_model(cfg, _trained(cfg, args.work_dir / 'runs' / row))
            table.append(_scored(row, seed, args.work_dir, videos, by_features(row, learner)))
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


def _scored(row: str, seed: Optional[int], work_dir: Path, videos: Sequence[Video], method: Method) -> Dict[str, Any]:
    pooled = pooled_scores('rendered', [row_of(work_dir / 'scores', video, method)['tally'] for video in videos])
    return dict(row=row, seed=seed, **{name: round(100 * pooled[name], 2) for name in SHOWN['rendered']})


def print_table(table: Sequence[Dict[str, Any]]) -> None:
    """A line for each row: the mean over its seeds, J&F of each, and how far the mean is from that of the full one."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for line in table:
        found.setdefault(line['row'], []).append(line)
    means = {row: {name: float(np.mean([line[name] for line in lines])) for name in SHOWN['rendered']}
             for row, lines in found.items()}
    print('\n| row | J&F | J | F | J&F of each seed | to full |')
    print('|---' * 6 + '|')
    for row, lines in found.items():
        each = ', '.join(f'{line["J&F"]:.1f}' for line in lines)
        change = f'{means[row]["J&F"] - means["full"]["J&F"]:+.1f}' if 'full' in means else ''
        print(f'| {row} | {" | ".join(f"{value:.1f}" for value in means[row].values())} | {each} | {change} |')


if __name__ == '__main__':
    run_command(main)

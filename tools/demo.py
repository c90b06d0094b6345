"""Refine a small network, of flow or of tracks, on rendered videos that are new to it; compare before with after."""
from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis import train
from mmrefine.apis.commands import run_command
from mmrefine.apis.recipe_names import RECIPES, WITH_WARP
from mmrefine.apis.recipes import with_recipe
from mmrefine.config.load import load_config
from mmrefine.synthetic import write_clips

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
TRACKS = 256  # true ones of each video, for the comparison only


def main() -> int:
    """Render, refine, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--tracks', action='store_true', help='refine the small tracker (PIPs) instead of RAFT-small')
    parser.add_argument('--recipe', choices=RECIPES, default=WITH_WARP,
                        help='what RAFT-small learns from, as of mmrefine refine (default: %(default)s)')
    parser.add_argument('--work-dir', help='folder of all results; videos and labels that exist are used again '
                                           '(default: work_dirs/demo, with --tracks work_dirs/demo_tracks)')
    parser.add_argument('--seed', type=int, default=125, help='of the order of training and the augmentation')
    parser.add_argument('--videos', type=int, default=40, help='videos to refine on')
    parser.add_argument('--unseen', type=int, default=20, help='other videos, for the comparison only')
    parser.add_argument('--frames', type=int, help='frames per video (default: 6, with --tracks 10)')
    args = parser.parse_args()
    started = time.monotonic()
    name, config = 'demo', 'demo/raft_small_target.py'
    if args.tracks:
        name, config = 'demo_tracks', 'pips/pips_small_target.py'
    work_dir = Path(args.work_dir or f'work_dirs/{name}')
    frames, tracks = args.frames or (10 if args.tracks else 6), TRACKS if args.tracks else 0
    refined, unseen = work_dir / 'videos' / 'refined', work_dir / 'videos' / 'unseen'
    print(f'Rendering {args.videos} + {args.unseen} videos of {frames} frames, 128x192 px, to {refined.parent}')
    write_clips(refined, range(args.videos), frames, style='target', tracks=tracks)
    write_clips(unseen, range(10000, 10000 + args.unseen), frames, style='target', tracks=tracks)
    cfg = load_config(CONFIGS / config, {'video': str(refined), 'unseen': str(unseen), 'randomness.seed': args.seed})
    if not args.tracks:
        cfg = with_recipe(cfg, args.recipe)
    cfg.work_dir = str(work_dir)
    train(cfg, brief=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'{time.monotonic() - started:.0f} s, at most {peak:.1f} GiB of memory. Open {work_dir / "report.html"} for '
          'the pictures.')
    return 0


if __name__ == '__main__':
    run_command(main)

"""``mmrefine refine``: labels, finetuning, and a comparison of before with after."""
from __future__ import annotations

import argparse
from typing import Any, Dict, Optional

from mmrefine.apis.precision import add_amp
from mmrefine.apis.recipe_names import RECIPES, WITH_WARP
from mmrefine.cli.options import (add_model, add_set, add_skip_corrupt, add_teacher, add_verify, add_video, at_least_0,
                                  at_least_1, reading_of, values_of)

HELP = 'refine a network on a video: label, finetune, judge'
ABOUT = """\
Refine a network on a video that nobody labelled.

A frozen copy of the network, the teacher, estimates the motion of the video in both directions, in two passes: at
its own size and at twice that size. The second pass becomes the label, and a pixel counts more the further the two
passes are apart: where they agree, there is little to learn. The network is finetuned on these labels, and on the
frames themselves: colours must fit along its motion, and motion must be smooth (--recipe labels leaves that out). Then
a guard compares it with the original network on frames that were kept back, and a report shows both. Long steps print
how much time is left.

A tracker (--model pips or pips_demo) follows points through clips of eight frames, there and back, at both sizes, and
its labels are what the passes come to together: with pips the tracks that come back, with pips_demo, which is too
coarse for that, all. CorrFlow (--model corrflow), whose features find places again, goes on learning on the video
without labels."""
EXAMPLES = """\
examples:
  mmrefine refine my.mp4 --model demo
      try it out with the network that comes with mmrefine
  mmrefine refine my.mp4 --checkpoint raft-small.pth
      the official RAFT-small, from the file of its authors
  mmrefine refine my.mp4 --checkpoint raft-small.pth --quick
      the same on a CPU
  mmrefine refine my.mp4 --model pips --checkpoint model-000200000.pth
      PIPs, a tracker of points, from the file of its authors
  mmrefine refine my.mp4 --model pips_demo --points joints.csv
      for these points
  mmrefine refine my.mp4 --model corrflow --checkpoint corrflow.pth
      CorrFlow, from refined.pth of a training (configs/corrflow) or from the file of its authors
  mmrefine refine my.mp4 --model raft_small --teacher raft
      a small network that learns from the labels of a large one
  mmrefine refine my.mp4 --checkpoint raft-small.pth --verify
      from labels that a verifier weighs: better and slower
  mmrefine refine my.mp4 --model demo --recipe warp --out rival
      the same network and guard, without labels, for comparison
  mmrefine refine videos/ --model raft --out refined
      mmflow's RAFT on all videos of a folder

In the folder of results: refined.pth (mmflow loads it, where it has the network; `mmrefine export` for other
software), report.html and report.json, labels/, pictures/, corrupt_frames.json and left_out.json if there is anything
to list, run.json (the settings), threads.json (the number of threads).

After a stop the same command goes on where it was. Ctrl-C in training finishes the current step, saves it and loses
nothing (a second Ctrl-C does not wait); a crash costs at most the 100 steps since the last checkpoint. A folder
with a run of other settings is refused."""

# upper limits of --quick: what a CPU does in minutes
QUICK = {'max_iters': 200, 'batch_size': 4, 'model.train_iters': 8, 'model.test_iters': 12}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_video(parser)
    add_model(parser, 'the weights to start from')
    add_teacher(parser)
    add_verify(parser)
    parser.add_argument('--labels', metavar='DIR',
                        help='labels of this video that mmrefine labels has made before, with whatever network: '
                             'several networks can learn from them. Default: they are made')
    parser.add_argument('--out', metavar='DIR', help='folder of results (default: work_dirs/<name of the video>)')
    parser.add_argument('--steps', type=at_least_1, metavar='N', help="optimiser steps (default: the config's, 1000; "
                                                                      'of the demo 200)')
    parser.add_argument('--rounds', type=at_least_1, metavar='N',
                        help='label and train N times, each time with the average of the student over the last steps '
                             'of the round before as teacher; the steps are shared out, and a round that brings '
                             "nothing is the last one (default: the config's, 1)")
    parser.add_argument('--recipe', choices=RECIPES,
                        help='what is learned from: labels, the frames alone, or both, to compare them on your own '
                             'video. warp: colours must fit and motion must be smooth; cycle: the way there '
                             'and back must end where it began; smurf: the losses of SMURF. Not for trackers (default: '
                             f'{WITH_WARP} for the flow networks above; a config is taken as it is)')
    parser.add_argument('--labelled', metavar='DIR|rendered',
                        help="also learn from frame pairs with ground truth: a folder in "
                             "the layout of KITTI, Sintel, FlyingChairs or tools/render.py, or 'rendered', clips that "
                             'are made in the folder of results; half of the pairs at first, a tenth at the end. Not '
                             'for trackers')
    parser.add_argument('--points', metavar='FILE',
                        help='points that a tracker is to follow, as of mmrefine track: beside corners all over the '
                             'frame, its labels then begin around the places to which the original network follows '
                             'them')
    parser.add_argument('--batch-size', type=at_least_1, metavar='N', help='frame pairs or clips in each step '
                                                                           "(default: the config's)")
    parser.add_argument('--workers', type=at_least_0, metavar='N',
                        help="processes that load data; 0: the training loads it itself (default: the config's; where "
                             "that is 'auto', one fewer than the cores, at most 4)")
    parser.add_argument('--quick', action='store_true',
                        help='for a CPU: at most 200 steps of 4 pairs or clips, 8 iterations in training and 12 in '
                             'tests')
    add_amp(parser, 'auto')
    add_skip_corrupt(parser)
    add_set(parser)


def values(args: argparse.Namespace) -> Dict[str, Any]:
    """The values of the config that the command line sets."""
    given = values_of(args, max_iters=args.steps, batch_size=args.batch_size, num_workers=args.workers)
    return {**(_quick(args.model, args.recipe) if args.quick else {}), **given}


def _quick(model: str, recipe: Optional[str]) -> Dict[str, Any]:
    """The values of --quick; a config that asks for less keeps its own."""
    from mmrefine.apis.inference import is_correspondence
    from mmrefine.apis.recipes import load_with_recipe

    cfg = load_with_recipe(model, recipe)
    # features take no iterations
    found = {key: most for key, most in QUICK.items() if not (key.startswith('model.') and is_correspondence(cfg))}
    for key, most in list(found.items()):
        asked = (cfg.get('model') or {} if key.startswith('model.') else cfg).get(key.rpartition('.')[2])
        if isinstance(asked, int):
            found[key] = min(most, asked)
    return found


def run(args: argparse.Namespace) -> int:
    """Refine, which prints the results, then print where they are."""
    import shlex
    from pathlib import Path

    from mmrefine.apis.inference import is_correspondence, is_tracker
    from mmrefine.apis.named_models import load_named
    from mmrefine.apis.result_files import default_out
    from mmrefine.apis.runs import refine
    from mmrefine.report import keeps_original

    out = Path(args.out or default_out(args.video))
    report = refine(args.video, args.model, out, args.checkpoint, resume=True, skip_corrupt=args.skip_corrupt,
                    amp=args.amp, rounds=args.rounds, labelled=args.labelled, points=args.points, recipe=args.recipe,
                    teacher=args.teacher, teacher_checkpoint=args.teacher_checkpoint, labels=args.labels,
                    verify=args.verify, max_error=args.max_error, **reading_of(args), **values(args))
    if args.dry_run:
        return 0
    if 'scenes' in report:
        print(f'a network and a report for each scene are in {out}')
    else:
        kept = keeps_original(report.get('guard') or {})
        print(f'{"original network" if kept else "refined network"}: {out / "refined.pth"}; report: '
              f'{out / "report.html"}')
        cfg = load_named(args.model)
        name, what = ('track', 'tracks') if is_tracker(cfg) or is_correspondence(cfg) else ('flow', 'motion')
        network = ['--model', args.model, '--checkpoint', str(out / 'refined.pth')]
        print(f'its {what}: {shlex.join(["mmrefine", name, *args.video, *network])}')
        if is_correspondence(cfg):
            command = ['mmrefine', 'propagate', *args.video, '--mask', 'FIRST.png', *network]
            print(f'a mask of the first frame in all frames: {shlex.join(command)}')
    return 0

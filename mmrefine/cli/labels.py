"""``mmrefine labels``: stage 1 alone."""
from __future__ import annotations

import argparse

from mmrefine.cli.options import (add_model, add_set, add_skip_corrupt, add_teacher, add_verify, add_video, at_least_0,
                                  reading_of, values_of)

HELP = 'make the labels of a video, and pictures of them, without training'
ABOUT = """\
Make the labels that `mmrefine refine` would train on, and stop there: to inspect them, to try settings, or to train
something else.

They are 16-bit PNGs in KITTI's layout, which any toolbox reads, in labels/ in the folder of results. The log gives
each scene a verdict: green, amber or red. Of a tracker (--model pips or pips_demo) they are tracks, a .npz for each
clip."""
EXAMPLES = """\
examples:
  mmrefine labels my.mp4 --model demo
  mmrefine labels my.mp4 --checkpoint raft-small.pth --sheets 12
      with pictures of 12 labels of each scene
  mmrefine labels my.mp4 --model demo --max-error 1
      of motion that is expected to be right within a pixel
  mmrefine labels my.mp4 --model demo --set labeler.balance.half=0.5
      where a difference of 0.5 px between the passes gives half the weight

`mmrefine refine` with the same arguments goes on from these labels; with --labels any network learns from them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_video(parser)
    add_model(parser, 'the weights of the network, which is the teacher unless there is another one')
    add_teacher(parser)
    add_verify(parser)
    parser.add_argument('--out', metavar='DIR', help='folder of results (default: work_dirs/<name of the video>)')
    parser.add_argument('--sheets', type=at_least_0, default=0, metavar='N',
                        help='draw N labels of each scene: frame, kept motion, weight, error, or the tracks over their '
                        'frames (default: 0, no pictures)')
    add_skip_corrupt(parser)
    add_set(parser)


def run(args: argparse.Namespace) -> int:
    """Label, then print where the labels are."""
    from pathlib import Path

    from mmrefine.apis.result_files import default_out
    from mmrefine.apis.runs import label_video

    out = Path(args.out or default_out(args.video))
    stores = label_video(args.video, args.model, out, args.checkpoint, args.skip_corrupt, args.sheets,
                         teacher=args.teacher, teacher_checkpoint=args.teacher_checkpoint, verify=args.verify,
                         max_error=args.max_error, **reading_of(args), **values_of(args))
    if args.dry_run:
        return 0
    print('labels: ' + ', '.join(map(str, stores)))
    if args.sheets:
        print(f'pictures: {out / "label_sheets"}')
    return 0

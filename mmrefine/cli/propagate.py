"""``mmrefine propagate``: masks or points of some frames become those of all frames."""
from __future__ import annotations

import argparse
import re
from typing import Dict, Optional, Sequence

from mmrefine.cli.options import add_chain, add_model, add_skip_corrupt, add_video, at_least_0, at_least_1, reading_of

HELP = 'propagate the masks or points of some frames to all frames of a video'
ABOUT = """\
Propagate the mask of a frame, or points in it, through a video, forwards and backwards.

In the folder of results, with --mask:
  masks/SCENE/FRAME.png   the ids of the objects as pixels, with the palette of
                          DAVIS, as davis2017-evaluation takes results
  masks.mp4               the frames with their objects tinted
With --points:
  tracks.npz, tracks.csv, tracks.mp4   as mmrefine track writes them
And:
  propagate.json          settings, the name and the time of each frame, and the
                          digests of the files

A mask is a picture of the size of the frames: pixels are the ids of objects, or their colours in the palette of DAVIS;
0 is background, 255 void; a picture of black and white shows one object (a later one only if the first is black and
white, too; else it is refused, as its white could be void). It belongs to the first frame, or to the one that is
numbered before it, from 0. A later mask replaces what was propagated from its frame on, except where it is void: so it
may correct one object, or add one.

Three ways lead from frame to frame: by features, which a network of correspondences finds again (--model corrflow), by
flow (raft_small, demo), and by tracks of a grid of points (pips, pips_demo, and with --by tracks any network)."""
EXAMPLES = """\
examples:
  mmrefine propagate my.mp4 --mask first.png --model demo
      by flow, with the small network that comes with mmrefine
  mmrefine propagate my.mp4 --mask 30=dog.png 75=fixed.png --model corrflow --checkpoint refined.pth
      by features; frame 30 is known, and frame 75 is corrected
  mmrefine propagate my.mp4 --points joints.csv --model pips_demo
      points by tracks, from their frames to the end and to the beginning

joints.csv begins with the line frame,x,y; each line below it is a point: the number of its frame from 0, and px.

Ctrl-C or a crash loses at most the scene that is being worked on. A folder with results of other settings, or with a
mask that was corrected by hand, is refused and not overwritten."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_video(parser)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument('--mask', nargs='*', action=MaskFiles, metavar='[FRAME=]FILE',
                       help='the mask of the first frame, or of the frame of that number; several of these')
    given.add_argument('--points', metavar='FILE', help='points instead of masks: a .csv with the columns frame, x, y '
                                                        'and, if wanted, scene; or those of a tracks.npz')
    add_model(parser, 'the weights')
    parser.add_argument('--by', choices=('features', 'flow', 'tracks'),
                        help='the way (default: by what the network is)')
    parser.add_argument('--memory', type=at_least_0, metavar='K',
                        help='by features: look into the given frame and the K frames before instead of the one before '
                             'only')
    parser.add_argument('--top-k', type=at_least_1, metavar='K',
                        help='by features: only the best K candidates count (default: all in the window)')
    parser.add_argument('--hard', action='store_true',
                        help='by features: decide at every frame instead of passing soft labels on')
    add_chain(parser)
    parser.add_argument('--out', metavar='DIR',
                        help='folder of results (default: work_dirs/<name of the video>_propagated)')
    parser.add_argument('--no-video', action='store_true', help='leave masks.mp4 or tracks.mp4 out')
    parser.add_argument('--device', help='cpu, cuda, … (default: cuda where there is one)')
    add_skip_corrupt(parser)


class MaskFiles(argparse.Action):
    """Files of masks by the number of their frame, 0 where there is none before the ``=``."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: object, option: Optional[str] = None) -> None:
        found: Dict[int, str] = dict(getattr(namespace, self.dest) or {})
        texts: Sequence[str] = values if isinstance(values, list) else [str(values)]
        if not texts:  # argparse takes what begins with a - for another option
            parser.error('argument --mask: there must be at least one FILE or FRAME=FILE after it, with the number of '
                         'the frame from 0')
        for text in texts:
            number, equals, file = text.partition('=')
            if equals and not number.isdecimal() and _is_number(number):
                parser.error(f'argument --mask: {text}: the number of a frame must be a whole one from 0, got {number}')
            frame = int(number) if equals and number.isdecimal() else 0
            if frame in found:
                parser.error(f'argument --mask: {found[frame]} and {text} are both of frame {frame}; a mask of another '
                             'frame is given as FRAME=FILE, and VIDEO stands before --mask')
            found[frame] = file if equals and number.isdecimal() else text
        setattr(namespace, self.dest, found)


def _is_number(text: str) -> bool:
    """Whether a text is meant as a number, and not as the beginning of a file name."""
    return bool(re.fullmatch(r'[+-]?[\d.]*\d[\d.]*', text))


def run(args: argparse.Namespace) -> int:
    """Propagate, then print where the results are."""
    from mmrefine.apis.propagated_video import propagate_video

    found = propagate_video(args.video, args.mask, args.points, args.model, args.checkpoint, args.out, args.by,
                            args.memory, args.top_k, args.hard, not args.no_video, args.skip_corrupt, args.device,
                            steps=args.steps, judge=args.judge, **reading_of(args))
    what = 'object' if args.mask else 'point'
    for scene in found:
        shown = f'; shown in {scene.video}' if scene.video else ''
        state = 'made now' if scene.made else 'there already'
        count = f'{scene.count} {what}{"s" * (scene.count != 1)}'
        print(f'{scene.scene}: {count} in {scene.frames} frames ({state}) in {scene.folder}{shown}')
    return 0

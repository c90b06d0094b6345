"""``mmrefine track``: points of a video, followed."""
from __future__ import annotations

import argparse

from mmrefine.cli.options import add_chain, add_model, add_skip_corrupt, add_video, at_least_0, at_least_1, reading_of

HELP = 'follow points through a video: tracks, confidence, and a video that shows them'
ABOUT = """\
Follow points through each scene of a video, from the frame in which they are given to the end.

In the folder of results:
  tracks.npz     tracks (N, T, 2) px (x, y), visible (N, T), queries (N, 3)
                 (frame, y, x) and size (height, width); numpy.load reads it
  tracks.csv     track, frame, x, y, confidence: a line for each point of each
                 frame in which it is followed
  tracks.mp4     the frames with the points and their trails
  tracks.json    settings, the name and the time of each frame, what the
                 confidence means, and the digests of the files

Frames are numbered from 0, and the centre of the first pixel is x 0, y 0. The confidence lies in [0, 1]: with PIPs it
is what the network says of whether the point is seen; with a network that estimates flow, which is chained from frame
to frame, it is 1 as long as the motion of each step came back to where it began, then 0; with --steps, 1 where such
steps lead. In tracks.npz a point is visible if it is above 0.5. Memory does not grow with the length of the video, but
for the tracks themselves.

With --max-error a point is visible only as long as its expected error is at most that many px, else its confidence is
0; tracks.npz then has an array error (N, T), and tracks.csv a column error, px. By flow the errors of the steps of a
point add up; any other tracker follows its points back, piece by piece, which takes about twice the time."""
EXAMPLES = """\
examples:
  mmrefine track my.mp4 --model pips_demo
      a grid of points, with the small tracker that comes with mmrefine
  mmrefine track my.mp4 --checkpoint model-000200000.pth --points heads.csv
      points of your own, with PIPs from the file of its authors
  mmrefine track my.mp4 --model raft_small --grid 16 --frame 30
      a point every 16 px of frame 30, followed by chained flow
  mmrefine track my.mp4 --model raft_small --max-error 2
      points that are visible only as long as they are expected to be right within 2 px
  mmrefine track my.mp4 --model pips_demo --checkpoint work_dirs/my/refined.pth

heads.csv begins with the line frame,x,y; each line below it is a point: the number of its frame from 0, and px. With a
fourth column, scene, a point belongs to one scene of a folder only.

Ctrl-C or a crash loses at most the scene that is being worked on: the same command makes what is missing. A folder with
tracks of other settings is refused."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_video(parser)
    add_model(parser, 'the weights', default='pips')
    parser.add_argument('--out', metavar='DIR',
                        help='folder of results (default: work_dirs/<name of the video>_tracks)')
    parser.add_argument('--grid', type=at_least_1, metavar='STEP',
                        help='follow a grid of points, this many px apart (default: by the size, about 500 points)')
    parser.add_argument('--points', metavar='FILE', help='follow these points instead: a .csv with the columns frame, '
                                                         'x, y and, if wanted, scene; or those of a tracks.npz')
    parser.add_argument('--frame', type=at_least_0, metavar='N',
                        help='the frame in which the grid begins, from 0 (default: the first)')
    add_chain(parser)
    parser.add_argument('--max-error', type=float, metavar='PX',
                        help='points are visible only as long as they are expected to be off by at most PX px; the '
                             'error of each is in tracks.npz and tracks.csv, too. By flow it adds up step by step, by '
                             'any other tracker it takes about twice the time')
    parser.add_argument('--no-video', action='store_true', help='leave tracks.mp4 out')
    parser.add_argument('--device', help='cpu, cuda, … (default: cuda where there is one)')
    add_skip_corrupt(parser)


def run(args: argparse.Namespace) -> int:
    """Follow the points, then print where the tracks are."""
    from mmrefine.apis.tracks import tracks_of_video
    from mmrefine.report import counted

    found = tracks_of_video(args.video, args.model, args.checkpoint, args.out, args.grid, args.points, args.frame,
                            not args.no_video, args.skip_corrupt, args.device, steps=args.steps,
                            judge=args.judge, max_error=args.max_error, **reading_of(args))
    for scene in found:
        shown = f'; shown in {scene.video}' if scene.video else ''
        state = 'made now' if scene.made else 'there already'
        print(f'{scene.scene}: {counted(scene.tracks, "track")} through {scene.frames} frames ({state}) in '
              f'{scene.folder}{shown}')
    return 0

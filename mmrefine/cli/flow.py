"""``mmrefine flow``: the motion of a video, for further use."""
from __future__ import annotations

import argparse

from mmrefine.cli.options import add_model, add_skip_corrupt, add_verify, add_video, at_least_1, reading_of

HELP = 'the motion of a video: flow, confidence, occlusion, and a video that shows them'
ABOUT = """\
Write the motion between all neighbouring frames of a video.

For each frame but the last, in the folder of results:
  flow/FRAME.png          px to the next frame, in KITTI's 16-bit layout
  confidence/FRAME.png    0 to 255: how close the motion to the next frame and
                          back ends to where it began
  occlusion/FRAME.png     255 where it ends too far away (the pixel is hidden
                          in the next frame) or leaves the frame; else 0
  expected_error/FRAME.png
                          with --verify: by how many px the motion may be wrong,
                          16 bits in steps of 1/256 px; confidence/ is then 255
                          times the chance that this is less than 1 px
  flow.mp4                a video of frames, motion and confidence
  flow.json               settings, the time of each frame, the colour scale, and
                          the digests of the files

All frames of flow.mp4 share one colour scale, so that colours can be compared; a few pairs spread over the video
are estimated first and decide it. Memory does not grow with the length of the video."""
EXAMPLES = """\
examples:
  mmrefine flow my.mp4 --model demo
  mmrefine flow my.mp4 --checkpoint work_dirs/my/refined.pth
  mmrefine flow my.mp4 --checkpoint raft-small.pth --two-passes --format flo --out flow
  mmrefine flow my.mp4 --checkpoint raft-small.pth --max-error 1
      only motion that is expected to be right within a pixel

Motion is px from one frame to the next, not px a second: for a video whose rate varies, flow.json has the time of
each frame.

Ctrl-C or a crash loses nothing: the same command computes what is missing. A folder with flow of other settings is
refused."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_video(parser)
    add_model(parser, 'the weights')
    parser.add_argument('--out', metavar='DIR', help='folder of results (default: work_dirs/<name of the video>_flow)')
    parser.add_argument('--format', choices=('png', 'flo', 'flo5', 'npz'), default='png',
                        help='of the flow files (default: png)')
    parser.add_argument('--two-passes', '--two-looks', action='store_true', dest='two_looks',
                        help='run twice, the second time at twice the size: finer, and much slower')
    add_verify(parser, 'more exact, and confidence/ and expected_error/ say in px how far to believe it; takes about '
               '15 times as long as one pass', 'is unknown in its file')
    parser.add_argument('--iters', type=at_least_1, metavar='N', help='iterations of RAFT, GMA and CRAFT (default: the '
                                                                      "config's)")
    parser.add_argument('--backward', action='store_true',
                        help='also write the motion from each frame back to the one before, backward/FRAME: what '
                        'mmrefine refine --teacher DIR checks the motion by')
    parser.add_argument('--no-video', action='store_true', help='leave flow.mp4 out')
    parser.add_argument('--device', help='cpu, cuda, … (default: cuda where there is one)')
    add_skip_corrupt(parser)


def run(args: argparse.Namespace) -> int:
    """Write the motion, then print where it is."""
    from mmrefine.apis.flow import flow_of_video

    found = flow_of_video(args.video, args.model, args.checkpoint, args.out, args.format, args.two_looks, args.iters,
                          not args.no_video,
                          args.skip_corrupt, args.device, backward=args.backward, verify=args.verify,
                          max_error=args.max_error, **reading_of(args))
    for scene in found:
        shown = f'; shown in {scene.video}' if scene.video else ''
        print(f'{scene.scene}: {scene.pairs} pairs ({scene.made} made now) in {scene.folder}{shown}')
    return 0

"""Do trackers get better on real video, as people see it? Before and after refinement without truth on that very video.

Judged by: where people put 43 points of DAVIS in the last frame (``davis``), the joints that people clicked on three
animals of it (``badja``), and the proofread joints of two flies (``flies``, windows of 60 frames). Trackers: the small
PIPs, and the official RAFT-small, whose flow is chained. Refinement is that of ``configs/pips/pips_demo.py`` and
``configs/refine/raft_small_video.py``; ``after`` is what the guard hands back, perhaps the original network. The long
video of flies is refined on 16 of every 30 frames.

Each tracker, video and size is a row of scores for each point (``real_clips.score_points``), kept in the work dir and
not computed again. The table has the means over all points of a set, and the mean difference with the interval that
holds 95 % of 10,000 draws of as many points. The means of single videos are printed on the way; of 5 to 10 points, they
prove nothing.

    python benchmarks/real_tracks.py --data DATA --trackers pips --steps 200
    python benchmarks/real_tracks.py --data DATA --trackers raft --students work_dirs/davis_student
    python benchmarks/real_tracks.py --data DATA --before --sizes 240x427 480x854
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from real_clips import (FLIES, HIGHER, SCORES, SETS, RealClip, moved_along, read_clips, score_points, shrunk,
                        video_frames)

from mmrefine.apis import open_tracker, refine
from mmrefine.apis.commands import Overrides, run_command
from mmrefine.config.load import load_config
from mmrefine.engine.guard.candidates import mixed_state
from mmrefine.errors import CheckpointError, ConfigError, InputError
from mmrefine.fileio import digest_of, digest_of_state, read_image, write_image, write_json
from mmrefine.fileio.annotations.interest_points import write_interest_points
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import as_frames

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = dict(pips='configs/pips/pips_demo.py', raft='configs/refine/raft_small_video.py')
CHECKPOINTS = dict(pips='configs/pips/pips_small.pth', raft='checkpoints/raft-small-mmrefine.pth')
CHUNK, CHUNK_STEP = 16, 30  # frames of the long video that are refined on, and from one such part to the next
DRAWS = 10000
Size = Tuple[int, int]


class Row(NamedTuple):
    """The scores of each point of one video, before or after."""
    tracker: str
    kind: str
    video: str
    size: Size
    after: bool
    scores: Dict[str, List[float]]


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Track, refine, track again; print the tables."""
    args = _parser().parse_args(argv)
    rows: List[Row] = []
    for tracker in args.trackers:
        for kind in args.videos:
            clips: Dict[str, List[RealClip]] = {}
            for clip in read_clips(kind, args.data):
                if not args.sequences or clip.video in args.sequences:
                    clips.setdefault(clip.video, []).append(clip)
            for video, parts in clips.items():
                for size in args.flies_sizes if video == FLIES else args.sizes:
                    rows += _rows(args, tracker, kind, video, parts, size)
    print_tables(rows)
    if args.out is not None:
        write_json(args.out, [dict(row._asdict(), scores={name: [round(value, 2) for value in values]
                                                          for name, values in row.scores.items()}) for row in rows])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True,
                        help='folder with davis/{JPEGImages,Annotations}/480p, badja/*.json, '
                             'tracks/{davis_end_points.csv,flies.mp4,flies_joints.npz}')
    parser.add_argument('--videos', nargs='+', choices=SETS, default=list(SETS))
    parser.add_argument('--trackers', nargs='+', choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument('--checkpoint', nargs='+', type=_named, default=[], metavar='TRACKER=FILE',
                        help='to start from; default: ' + ', '.join(f'{name}={path}' for name, path in
                                                                    CHECKPOINTS.items()))
    parser.add_argument('--config', nargs='+', type=_named, default=[], metavar='TRACKER=FILE',
                        help='of refinement; default: ' + ', '.join(f'{name}={path}' for name, path in
                                                                    CONFIGS.items()))
    parser.add_argument('--sequences', nargs='+', help='only these, such as dog; default: all')
    parser.add_argument('--sizes', nargs='+', type=_size, default=[(240, 432)], metavar='HxW',
                        help='in which DAVIS is shown and refined on, px')
    parser.add_argument('--flies-sizes', nargs='+', type=_size, default=[(512, 512)], metavar='HxW')
    parser.add_argument('--before', action='store_true', help='without refinement')
    parser.add_argument('--students', type=Path, metavar='FOLDER',
                        help='work dir of davis_student.py, whose RAFT-small is taken')
    parser.add_argument('--steps', type=int, default=300, help='of refinement')
    parser.add_argument('--along', type=int, metavar='SIDE',
                        help='labels also in windows of so many px around the points that are judged, where the '
                             'original network follows them to')
    parser.add_argument('--part', type=float, default=1., help='of the way to what is handed back, in [0, 1]')
    parser.add_argument('--iters', type=int, default=12, help='of RAFT-small; at most 8 in training')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/real_tracks'))
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for the scores of each point')
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={}, metavar='KEY=VALUE',
                        help='of the configs of refinement, such as labeler.queries.count=256')
    return parser


def _rows(args: argparse.Namespace, tracker: str, kind: str, video: str, clips: Sequence[RealClip],
          size: Size) -> List[Row]:
    """The row before refinement, and that after it."""
    cfg = _config(args, tracker, video)
    weights = [Path(cfg.load_from)]
    if not weights[0].is_file():
        raise CheckpointError(f'{cfg.load_from}: there is no such checkpoint; name one with --checkpoint '
                              f'{tracker}=FILE')
    if not args.before:
        if args.along is not None:
            windows = _along(args, video, open_tracker(cfg, weights[0]), size)
            cfg.labeler.queries = dict(type='JoinedQueries', sources=[cfg.labeler.queries, windows])
        weights.append(_refined(args, tracker, video, size, cfg))
    found = []
    for after, path in enumerate(weights):
        model = open_tracker(cfg, path)
        if after:
            original = open_tracker(cfg, weights[0]).state_dict()
            model.load_state_dict(mixed_state(original, model.state_dict(), args.part))
        scores = _scores(args.work_dir / tracker / video, model, clips, size)
        found.append(Row(tracker, kind, video, size, bool(after), scores))
        means = ', '.join(f'{name} {np.mean(values):.2f}' for name, values in scores.items())
        print(f'{tracker}, {kind}, {video}, {size[0]}x{size[1]}, {"after" if after else "before"}: {means}', flush=True)
    return found


def _config(args: argparse.Namespace, tracker: str, video: str) -> Config:
    """Of refinement; the settings for RAFT-small are those of davis_student.py."""
    load_from = dict(args.checkpoint).get(tracker, ROOT / CHECKPOINTS[tracker])
    options: Dict[str, Any] = dict(max_iters=args.steps, num_workers=0, load_from=str(load_from))
    options['optim_wrapper.type'] = 'BFloat16OptimWrapper'
    if tracker == 'raft':
        held = dict(type='FramePairs', data_root='{video}', held_out='{held_out}', held=True,
                    pipeline=[dict(type='PackPair')])
        options.update({'crop_size': (192, 320), 'model.train_iters': min(8, args.iters),
                        'model.test_iters': args.iters, 'report_groups': dict(refined=held)})
    elif video == FLIES:  # its parts are scenes to the guard, which proves nothing with fewer than six of them
        options.update(spacing=8, held_out=0.4)
    else:  # about as many clips of each video
        options.update(spacing=max(2, video_frames(video, args.data)[0] // 20))
    return load_config(dict(args.config).get(tracker, ROOT / CONFIGS[tracker]), {**options, **args.cfg_options})


def _along(args: argparse.Namespace, video: str, model: Any, size: Size) -> Dict[str, Any]:
    """Windows of queries around the points that are judged, as the original network follows them from where they begin;
    truth has no part in it."""
    if video == FLIES:
        raise ConfigError('--along needs videos that are refined on whole; leave it out for flies')
    rows = []
    for clip in (clip for kind in ('davis', 'badja') for clip in read_clips(kind, args.data) if clip.video == video):
        for track in _tracked(model, clip, size):
            rows += [(f'{video}_0000', clip.begin + t, x, y) for t, (x, y) in enumerate(track.tolist())
                     if 0 <= x <= size[1] - 1 and 0 <= y <= size[0] - 1]
    path = args.work_dir / 'points' / f'{video}_{digest_of([size, rows])}.csv'
    write_interest_points(path, rows)
    return dict(type='WindowQueries', points=str(path.resolve()), side=args.along)


def _refined(args: argparse.Namespace, tracker: str, video: str, size: Size, cfg: Config) -> Path:
    """The weights that the guard hands back; refined first if they are not there."""
    if tracker == 'raft' and args.students is not None and video != FLIES:
        return _student(args.students, video, size)
    count, frame = video_frames(video, args.data)
    settings = {key: value for key, value in cfg.to_dict().items() if key != 'load_from'}
    decides = [size, CHUNK, CHUNK_STEP, digest_of_bytes(Path(cfg.load_from).read_bytes()), settings]
    folder = args.work_dir / tracker / video / f'student_{digest_of(decides)}'
    if not (folder / 'report.json').is_file():
        parts = range(0, count - CHUNK + 1, CHUNK_STEP) if video == FLIES else [0]
        for begin in parts:
            for t in range(begin, min(begin + CHUNK, count) if video == FLIES else count):
                path = folder / 'frames' / f'{video}_{begin:04d}' / f'{t:05d}.png'
                if not path.is_file():
                    write_image(path, shrunk(frame(t), size))
        started = time.monotonic()
        refine(folder / 'frames', cfg, folder, resume=True)
        print(f'{tracker}, {video}: refined in {time.monotonic() - started:.0f} s', flush=True)
    return folder / 'refined.pth'


def _student(students: Path, video: str, size: Size) -> Path:
    """The student of davis_student.py for a sequence."""
    found = sorted((students / video).glob('student_*/refined.pth'))
    if len(found) != 1:
        raise InputError(f'{students / video}: needs one student_*/refined.pth, found {len(found)}; leave --students '
                         'out to refine here')
    shown = read_image(found[0].parent / 'frames' / video / '00000.png').shape[:2]
    if tuple(shown) != size:
        raise ConfigError(f'{found[0]}: was refined on frames of {shown[0]}x{shown[1]} px and is asked for '
                          f'{size[0]}x{size[1]}; correct --sizes, or leave --students out')
    return found[0]


def _scores(folder: Path, model: Any, clips: Sequence[RealClip], size: Size) -> Dict[str, List[float]]:
    """The scores of all points of a video, from the work dir if they are there."""
    decides = [size, digest_of_state(model.estimator.state_dict()), model.test_iters,
               [[clip.name, clip.digest, np.nan_to_num(clip.truth, nan=-1.).tolist()] for clip in clips]]
    path = folder / f'scores_{digest_of(decides)}.json'
    if not path.is_file():
        started, scores = time.monotonic(), [score_points(_tracked(model, clip, size), clip, size) for clip in clips]
        write_json(path, dict(video=clips[0].video, seconds=round(time.monotonic() - started, 1),
                              scores={name: sum((one[name] for one in scores), []) for name in scores[0]}))
    found: Dict[str, List[float]] = json.loads(path.read_text(encoding='utf-8'))['scores']
    return found


@torch.no_grad()
def _tracked(model: Any, clip: RealClip, size: Size) -> np.ndarray:
    """Where the points of the first frame are in each frame, ``(N, T, 2)`` px of ``size``; frames are read as they are
    needed."""
    points = torch.from_numpy(moved_along(clip.truth[:, 0], clip.size, size)).float()
    device = next(model.parameters()).device
    return model.track_stream(lambda t: as_frames([shrunk(clip.frame(t), size)], device)[0], clip.count, size,
                              queries_of(points, size)).points.cpu().numpy()


def paired_interval(differences: Sequence[float], draws: int = DRAWS) -> Tuple[float, float]:
    """What holds 95 % of the means of ``draws`` draws of as many differences, with replacement."""
    values, rng = np.asarray(differences, np.float64), np.random.default_rng(0)
    means = [rng.choice(values, len(values)).mean() for _ in range(draws)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def print_tables(rows: Sequence[Row]) -> None:
    """A line for each tracker, set, size and score: means over all points, and by how much the second is better. Where
    there are several sets, also for all of them together."""
    print('\n| tracker | set | size | score | points | before | after | difference [95 %] | |')
    print('|---' * 9 + '|')
    if len({row.kind for row in rows}) > 1:
        rows = [*rows, *(row._replace(kind='all') for row in rows)]
    for tracker, kind, size in dict.fromkeys((row.tracker, row.kind, row.size) for row in rows):
        own = [row for row in rows if (row.tracker, row.kind, row.size) == (tracker, kind, size)]
        before, after = ([row for row in own if row.after is late] for late in (False, True))
        for name in SCORES:
            values = [np.concatenate([np.zeros(0), *(row.scores.get(name, []) for row in some)])
                      for some in (before, after)]
            if not len(values[0]):
                continue
            first = values[0].mean()
            head = f'| {tracker} | {kind} | {size[0]}x{size[1]} | {name} | {len(values[0])} | {first:.2f} |'
            if not len(values[1]):
                print(head + ' | | |')
                continue
            change = values[1] - values[0]
            low, high = paired_interval(change)
            better = bool(change.mean() > 0) is HIGHER[name] if change.any() else None
            verdict = 'the same' if better is None else 'better' if better else 'worse'
            print(f'{head} {values[1].mean():.2f} | {change.mean():+.2f} [{low:+.2f}, {high:+.2f}] | {verdict} |')


def _size(text: str) -> Size:
    height, _, width = text.partition('x')
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f'{text} must be HEIGHTxWIDTH, such as 240x432')
    return int(height), int(width)


def _named(text: str) -> Tuple[str, str]:
    name, _, path = text.partition('=')
    if name not in CONFIGS or not path:
        raise argparse.ArgumentTypeError(f'{text} must be TRACKER=FILE, with a tracker of {", ".join(CONFIGS)}')
    return name, path


if __name__ == '__main__':
    run_command(main)

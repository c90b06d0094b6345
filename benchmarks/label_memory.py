"""How much memory stage 1 takes: over a long video against a short one,
and for one large pair with a limit on RAFT's correlation.

Each number is the peak of resident memory of a process of its own. ``video``: RAFT-small over the first 20 frames and
over all of a moving window on a rendered picture, from a folder and from a video file; small frames, so that what grows
with their number shows beside what a pair takes; minutes for each long video, whose labels go to the disk one by one.
``large``: one pair both ways by the stock RAFT with random weights, against the bytes that whole pyramids alone would
take; ``--compare`` asks once more with whole pyramids, one way after the other, which takes that memory, and tells how
far the flows differ. A run that was killed goes on where it was; one that came to its end begins anew.

    python benchmarks/label_memory.py
    python benchmarks/label_memory.py --frames 200 --size 128 192
    python benchmarks/label_memory.py --parts large
    python benchmarks/label_memory.py --parts large --compare
"""
from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch

from mmrefine.apis import init_model, make_labels
from mmrefine.apis.commands import run_command
from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.images import write_image
from mmrefine.models import FrozenTeacher
from mmrefine.models.raft_fast.two_way import pyramid_bytes
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip

ROOT = Path(__file__).resolve().parents[1]
SMALL = ROOT / 'configs' / 'refine' / 'raft_small_video.py'
LARGE = ROOT / 'configs' / 'refine' / 'raft_video.py'
CHECKPOINT = ROOT / 'configs' / 'demo' / 'raft_small_source.pth'
SHORT = 20  # frames
GOAL_GROWTH, GOAL_LARGE, GOAL_SAME = 1.05, 6e9, 1e-3  # long video to short; bytes; px
_WANDER = 32  # px of the rendered picture around the window


def main() -> int:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=['video', 'large'], default=['video'])
    parser.add_argument('--frames', type=int, default=2000, help=f'of the long video; the short one has {SHORT}')
    parser.add_argument('--size', nargs=2, type=int, default=(48, 64), metavar=('H', 'W'), help='of the videos, px')
    parser.add_argument('--iters', type=int, default=2, help='of the teacher; they take time and no memory')
    parser.add_argument('--large-size', nargs=2, type=int, default=(1080, 1920), metavar=('H', 'W'),
                        help='of the large pair, px')
    parser.add_argument('--max-corr-bytes', type=int, help='of the large pair, see FlowRefiner; default: its own')
    parser.add_argument('--compare', action='store_true',
                        help='the flows of the large pair with those of whole pyramids')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/label_memory'))
    parser.add_argument('--child', nargs=2, metavar=('TASK', 'RESULT'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        write_json(args.child[1], _child(json.loads(args.child[0]), Path(args.child[1])))
        return 0
    if args.frames <= SHORT:
        raise ConfigError(f'--frames must be above {SHORT}, the frames of the short video, got {args.frames}')
    if 'video' in args.parts:
        _compare_videos(args)
    if 'large' in args.parts:
        _measure_large(args)
    shutil.rmtree(args.work_dir / 'results')
    return 0


def _compare_videos(args: argparse.Namespace) -> None:
    height, width = args.size
    print(f'RAFT-small, {height}x{width}, {args.iters} iterations: peak of stage 1, MB')
    print(f'{"frames from":14}{f"{SHORT} frames":>14}{f"{args.frames} frames":>14}{"ratio":>9}')
    for kind in ('folder', 'file'):
        peaks = []
        for count in (SHORT, args.frames):
            video = _written(args.work_dir / 'videos', kind, count, (height, width))
            result = _in_child(args.work_dir,
                               dict(video=str(video), frames=count, iters=args.iters, kind=kind, size=list(args.size)))
            peaks.append(result['peak'])
        ratio = peaks[1] / peaks[0]
        print(f'{kind:14}{peaks[0] / 1e6:14.1f}{peaks[1] / 1e6:14.1f}{ratio:9.3f}  '
              f'goal {"reached" if ratio <= GOAL_GROWTH else "missed"}: at most {GOAL_GROWTH}', flush=True)


def _measure_large(args: argparse.Namespace) -> None:
    height, width = args.large_size
    task = dict(large=list(args.large_size), iters=args.iters, limit=args.max_corr_bytes)
    found = _in_child(args.work_dir, task)
    print(f'RAFT, one pair of {height}x{width} both ways, {args.iters} iterations, pyramids up to '
          f'{found["limit"] / 1e9:.2f} GB at a time')
    print(f'{"whole pyramid, one way":28}{found["pyramid"] / 1e9:8.2f} GB, computed')
    print(f'{"whole pyramids, both ways":28}{2 * found["pyramid"] / 1e9:8.2f} GB, computed')
    print(f'{"peak of the process":28}{found["peak"] / 1e9:8.2f} GB  '
          f'goal {"reached" if found["peak"] < GOAL_LARGE else "missed"}: less than {GOAL_LARGE / 1e9:g} GB')
    print(f'{"of it before the pair":28}{found["before"] / 1e9:8.2f} GB', flush=True)
    if args.compare:
        whole = _in_child(args.work_dir, dict(task, limit=found['pyramid']))
        ours, theirs = (np.load(args.work_dir / 'results' / one['flows']) for one in (found, whole))
        distance = float(np.hypot(*np.moveaxis(ours - theirs, 1, 0)).max())
        print(f'{"peak with whole pyramids":28}{whole["peak"] / 1e9:8.2f} GB')
        reached = 'reached' if distance <= GOAL_SAME else 'missed'
        print(f'{"largest difference":28}{distance:8.1e} px  goal {reached}: at most {GOAL_SAME:g} px, '
              f'of a motion up to {float(np.abs(theirs).max()):.1f} px', flush=True)


def _in_child(work_dir: Path, task: Dict[str, Any]) -> Dict[str, Any]:
    """What a fresh process finds out, or found out before this run was killed."""
    result = work_dir / 'results' / f'{digest_of(task)}.json'
    if not result.is_file():
        scratch = work_dir / 'scratch'
        shutil.rmtree(scratch, ignore_errors=True)  # a store that was begun would hide what its labels take
        result.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, '-W', 'ignore', __file__, '--child', json.dumps(dict(task, work_dir=str(scratch))),
                   str(result)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ended.returncode or not result.is_file():
            raise MMRefineError(f'{work_dir}: the process for {task} ended with status {ended.returncode}; '
                                f'its last lines: {ended.stdout[-2000:]}')
        shutil.rmtree(scratch, ignore_errors=True)
    return dict(json.loads(result.read_text(encoding='utf-8')))


def _child(task: Dict[str, Any], result: Path) -> Dict[str, Any]:
    """Do what is asked and say what it took, bytes; flows go into a file beside ``result``."""
    torch.set_num_threads(1)  # each thread has buffers of its own
    if 'video' in task:
        cfg = load_config(SMALL, {'video': task['video'], 'load_from': str(CHECKPOINT),
                                  'model.test_iters': task['iters'], 'labeler.view.scales': (1., ),
                                  'labeler.balance': None})
        cfg.work_dir = task['work_dir']
        make_labels(cfg)
        return dict(peak=resident('VmHWM'))
    options = {} if task['limit'] is None else {'model.max_corr_bytes': task['limit']}
    torch.manual_seed(0)
    refiner = init_model(load_config(LARGE, {'model.test_iters': task['iters'], **options}))
    teacher = FrozenTeacher(refiner)
    frames = [as_frames([frame], 'cpu') for frame in _window_frames(2, tuple(task['large']))]
    padded = torch.empty(1, 3, *(8 * math.ceil(side / 8) for side in task['large']), device='meta')
    before = resident('VmRSS')
    flows = teacher.estimate_both(*frames)
    peak = resident('VmHWM')
    np.save(result.with_suffix('.npy'), torch.cat(flows).numpy())
    return dict(peak=peak, before=before, limit=refiner.max_corr_bytes,
                pyramid=pyramid_bytes(refiner.estimator, padded), flows=result.with_suffix('.npy').name)


def _written(root: Path, kind: str, count: int, size: Tuple[int, int]) -> Path:
    """A folder of pictures or a video file with this many frames; made once."""
    name = f'{size[0]}x{size[1]}_{count}'
    path = root / (name if kind == 'folder' else f'{name}.avi')
    if path.exists():
        return path
    temp = root / f'unfinished_{path.name}'
    shutil.rmtree(temp, ignore_errors=True)
    temp.parent.mkdir(parents=True, exist_ok=True)
    writer: Optional[cv2.VideoWriter] = None
    if kind == 'file':
        writer = cv2.VideoWriter(str(temp), cv2.VideoWriter_fourcc(*'MJPG'), 10, size[::-1])
    for t, frame in enumerate(_window_frames(count, size)):
        if writer is None:
            write_image(temp / f'frame_{t + 1:06d}.png', frame)
        else:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if writer is not None:
        writer.release()
    temp.rename(path)
    return path


def _window_frames(count: int, size: Sequence[int]) -> Iterator[np.ndarray]:
    """``(H, W, 3)`` uint8: a window that wanders over one rendered picture by a few px a frame;
    any number at the price of one.
    """
    height, width = size
    picture = render_clip(20000, 1, (height + 2 * _WANDER, width + 2 * _WANDER), 'source').frames[0]
    for t in range(count):
        top = _WANDER + round(_WANDER * math.sin(t / 11))
        left = _WANDER + round(_WANDER * math.sin(t / 17))
        yield np.ascontiguousarray(picture[top:top + height, left:left + width])


def resident(entry: str) -> int:
    """Bytes of this process by the kernel's own account, which begins anew with each program; Linux."""
    try:
        found = re.search(rf'^{entry}:\s+(\d+) kB', Path('/proc/self/status').read_text(), re.MULTILINE)
    except OSError:
        found = None
    if not found:
        raise ConfigError(f'/proc/self/status has no {entry}, so memory cannot be measured; run this on Linux')
    return 1024 * int(found[1])


if __name__ == '__main__':
    run_command(main)

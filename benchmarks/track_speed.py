"""How long long-range tracks take, and how much memory, against the way of the reference in the same run.

``speed``: PIPs of the authors' size follows windows around points of interest through a clip of eight frames there and
back. Ours encodes each frame once. The reference (Refine, on the authors' PIPs) encodes the clip anew for each 512
points and each way, correlates them with all pixels, and keeps the score maps of all iterations. With ``--pips`` the
rival is the authors' code, with the same weights, which are random; without it, our network asked in that manner, which
encodes as often, but neither correlates with all pixels nor keeps score maps. How far the tracks of both are apart is
measured in the same run. Rounding alone moves some of so many tracks by more than a thousandth of a pixel, as random
weights make more of it in each iteration: ``pips_parity.py`` shows that of the authors' code by itself, and that both
agree in double precision.

``memory``: the peak over clips of several lengths, whose frames are read one by one. ``there`` follows the points to
the end of the clip, ``both`` there and back.

Beside the seconds stands the processor time, which other processes hardly change. Each number comes from a process of
its own; memory is its peak above what it had before it began to track, in the part ``memory`` without what the
allocator would keep of freed memory (``MALLOC_MMAP_THRESHOLD_``). Results lie in the work dir and are not measured
again.

    git clone https://github.com/aharley/pips
    python benchmarks/track_speed.py --pips pips --size 384 640
    python benchmarks/track_speed.py --pips pips
    python benchmarks/track_speed.py --parts memory
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from label_memory import resident
from pips_parity import calm, drifting_waves, official_code
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.compat.pips_checkpoints import convert_pips
from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.digest import digest_of
from mmrefine.geometry import query_windows
from mmrefine.models import TrackRefiner
from mmrefine.models.trackers.ways import queries_of, there_and_back
from mmrefine.structures import Tracks

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {'pips': 'configs/pips/pips_video.py', 'pips-small': 'configs/pips/pips_small_source.py'}
CHUNK = 512  # points that share a pass, as in the reference
OURS, CHUNKS, AUTHORS = 'each frame once', 'anew for each 512 points', "the authors' code"
GOAL_FASTER, SAME, GOAL_GROWTH = 2., 1e-3, 1.05  # times; px; longest clip to shortest


def main() -> int:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=['speed', 'memory'], default=['speed', 'memory'])
    parser.add_argument('--pips', type=Path, metavar='FOLDER', help='a checkout of aharley/pips')
    parser.add_argument('--size', nargs=2, type=int, default=(768, 1280), metavar=('H', 'W'),
                        help='of the frames that are timed, px')
    parser.add_argument('--heads', type=int, default=8, help='points of interest')
    parser.add_argument('--side', type=int, default=24, help='of the window around each of them, px')
    parser.add_argument('--stride', type=int, default=4, choices=[4, 8])
    parser.add_argument('--iters', type=int, default=6)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--network', choices=list(NETWORKS), default='pips-small', help='whose memory is measured')
    parser.add_argument('--memory-size', nargs=2, type=int, default=(240, 432), metavar=('H', 'W'),
                        help='of the frames of the long clips, px')
    parser.add_argument('--memory-iters', type=int, default=2, help='they take time and no memory')
    parser.add_argument('--tracks', type=int, default=1000, help='in the long clips')
    parser.add_argument('--frames', nargs='+', type=int, default=[25, 50, 100], help='of the long clips')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/track_speed'))
    parser.add_argument('--child', nargs=2, metavar=('TASK', 'RESULT'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        task, result = json.loads(args.child[0]), Path(args.child[1])
        write_json(result, _time(task, result) if task['part'] == 'speed' else _remember(task))
        return 0
    if args.pips is not None and not (args.pips / 'nets' / 'pips.py').is_file():
        raise ConfigError(f'--pips {args.pips}: has no nets/pips.py; name a checkout of aharley/pips')
    if 'speed' in args.parts:
        _compare_ways(args)
    if 'memory' in args.parts:
        _compare_lengths(args)
    return 0


def _compare_ways(args: argparse.Namespace) -> None:
    height, width = args.size
    rival = CHUNKS if args.pips is None else AUTHORS
    points = len(_heads(args.heads, args.side, (height, width)))
    print(f'PIPs of stride {args.stride}, {args.heads} windows of {args.side}x{args.side} px = {points} points, 8 '
          f'frames of {height}x{width} there and back, {args.iters} iterations, {args.threads} thread(s)')
    print('| frames are encoded | seconds | times as fast | seconds of processor | peak, MiB |\n|---|---|---|---|---|')
    found = {way: _in_child(args.work_dir, args.threads, dict(
        part='speed', way=way, size=[height, width], heads=args.heads, side=args.side, stride=args.stride,
        iters=args.iters, pips=str(args.pips.resolve()) if way == AUTHORS else None)) for way in (rival, OURS)}
    for way, row in found.items():
        print(f'| {way} | {row["seconds"]:.1f} | {found[rival]["seconds"] / row["seconds"]:.2f} | '
              f'{row["cpu"]:.1f} | {row["peak"] / 2**20:.0f} |')
    ours, theirs = (np.load(args.work_dir / row['tracks']) for row in (found[OURS], found[rival]))
    distance, faster = np.abs(ours - theirs).max(axis=(2, 3)), found[rival]['seconds'] / found[OURS]['seconds']
    motion = float(np.linalg.norm(theirs - theirs[:, :, :1], axis=-1).mean())
    print(f'{faster:.2f} times as fast, goal {_reached(faster >= GOAL_FASTER)}: at least {GOAL_FASTER:g}')
    for name, some in zip(('there', 'back'), distance):
        print(f'{name}: differences of the tracks: median {np.median(some):.1e} px, largest {some.max():.1e} px; '
              f'{np.mean(some <= SAME):.1%} of them at most {SAME:g} px')
    print(f'they move by {motion:.1f} px on average', flush=True)


def _compare_lengths(args: argparse.Namespace) -> None:
    height, width = args.memory_size
    print(f'{args.network}, {args.tracks} points, frames of {height}x{width}, {args.memory_iters} iterations: peak, '
          'MiB')
    print(f'| way | {" | ".join(f"{count} frames" for count in args.frames)} | longest to shortest |')
    print('|---' * (len(args.frames) + 2) + '|')
    for way in ('there', 'both'):
        peaks = [_in_child(args.work_dir, 1, dict(
            part='memory', way=way, network=args.network, size=[height, width], tracks=args.tracks, frames=count,
            iters=args.memory_iters))['peak'] for count in args.frames]
        ratio = peaks[-1] / peaks[0]
        print(f'| {way} | {" | ".join(f"{peak / 2**20:.0f}" for peak in peaks)} | {ratio:.3f} (goal '
              f'{_reached(ratio <= GOAL_GROWTH)}: at most {GOAL_GROWTH:g}) |', flush=True)


def _reached(goal: bool) -> str:
    return 'reached' if goal else 'missed'


def _in_child(work_dir: Path, threads: int, task: Dict[str, Any]) -> Dict[str, Any]:
    """What a fresh process finds out, or found out before."""
    task = dict(task, threads=threads)
    result = work_dir / f'{digest_of(task)}.json'
    if not result.is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        # else the allocator of glibc keeps memory that was freed, more and more at first, and its peak is not ours
        more = dict(MALLOC_MMAP_THRESHOLD_='262144') if task['part'] == 'memory' else {}
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), **more)
        ended = subprocess.run(
            [sys.executable, '-W', 'ignore', __file__, '--child', json.dumps(task), str(result)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        if ended.returncode or not result.is_file():
            raise MMRefineError(f'{work_dir}: the process for {task} ended with status {ended.returncode}; its last '
                                f'lines: {ended.stdout[-2000:]}')
    return dict(json.loads(result.read_text(encoding='utf-8')))


def _heads(count: int, side: int, size: Tuple[int, int]) -> Tensor:
    """The points ``(count * side^2, 2)`` px of windows that are spread over the frame in two rows."""
    columns = (count + 1) // 2
    centres = [[size[1] * (i % columns + 0.5) / columns, size[0] * (i // columns + 0.5) / 2] for i in range(count)]
    points = query_windows(torch.tensor(centres), side, size)[0]
    if len(points) < count * side**2:
        raise ConfigError(f'{count} windows of {side}x{side} px do not fit side by side into {size[0]}x{size[1]} px; '
                          'lower --heads or --side, or raise --size')
    return points


@torch.no_grad()
def _time(task: Dict[str, Any], result: Path) -> Dict[str, Any]:
    """Seconds and bytes of one way, and the file of its tracks ``(2, N, T, 2)`` px, there and back."""
    torch.manual_seed(0)
    size = tuple(task['size'])
    refiner = TrackRefiner(dict(type='mmrefine.PIPs', stride=task['stride']), test_iters=task['iters']).eval()
    calm(refiner.estimator.mixer.leave)
    frames, points = drifting_waves(refiner.clip_frames, *size), _heads(task['heads'], task['side'], size)
    track = dict([(OURS, refiner.track_both), (CHUNKS, _chunkwise(_ours_anew(refiner)))]).get(task['way'])
    if track is None:
        theirs = official_code(Path(task['pips'])).Pips(stride=task['stride']).eval()
        theirs.load_state_dict(convert_pips(refiner.estimator.state_dict(), 'official'))
        track = _chunkwise(lambda video, some: theirs(some, 255 * video[None], iters=task['iters'])[0][-1])
    before, begun, cpu = resident('VmRSS'), time.perf_counter(), time.process_time()
    there, back, _ = track(frames, points)
    seconds, cpu, peak = time.perf_counter() - begun, time.process_time() - cpu, resident('VmHWM') - before
    np.save(result.with_suffix('.npy'), torch.stack([there, back]).numpy())
    return dict(task, seconds=seconds, cpu=cpu, peak=peak, tracks=result.with_suffix('.npy').name)


# video (8, 3, H, W), points (1, N, 2) px of its first frame -> (1, 8, N, 2) px
Window = Callable[[Tensor, Tensor], Tensor]


def _ours_anew(refiner: TrackRefiner) -> Window:
    """Our network, which encodes the video for each call."""
    network = refiner.estimator
    return lambda video, some: network(network.encode(video)[None], some, refiner.test_iters).points[-1]


def _chunkwise(window: Window) -> Callable[[Tensor, Tensor], Tuple[Tensor, Tensor, Tensor]]:
    """``track_both`` as the reference does it: the whole window anew for each 512 points and each way."""

    def track(frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        size = (frames.shape[-2], frames.shape[-1])

        def follow(queries: Tensor, backwards: bool) -> Tracks:
            video = frames.flip(0) if backwards else frames
            found = [window(video, some[None])[0] for some in queries[:, [2, 1]].split(CHUNK)]
            tracks = torch.cat(found, dim=1).transpose(0, 1)
            return Tracks(tracks, torch.ones(tracks.shape[:2]), queries, size)

        return there_and_back(follow, points, size)

    return track


@torch.no_grad()
def _remember(task: Dict[str, Any]) -> Dict[str, Any]:
    """Bytes that it takes to follow points through a clip."""
    torch.manual_seed(0)
    size, count = tuple(task['size']), task['frames']
    cfg = load_config(ROOT / NETWORKS[task['network']], {'model.test_iters': task['iters']})
    refiner = init_model(cfg, device='cpu')
    still = drifting_waves(1, *size)
    points = torch.rand(task['tracks'], 2) * (torch.tensor(size[::-1]) - 1)
    before = resident('VmRSS')
    if task['way'] == 'there':
        asked: List[int] = []

        def frame(t: int) -> Tensor:
            """As read from a file: a copy of its own."""
            asked.append(t)
            return still[0].roll(t, dims=-1)

        refiner.chain().track(frame, count, size, queries_of(points, size))
        assert asked == list(range(count))
    else:
        refiner.track_both(still.expand(count, -1, -1, -1), points)  # takes no more memory than one frame
    return dict(task, peak=resident('VmHWM') - before)


if __name__ == '__main__':
    run_command(main)

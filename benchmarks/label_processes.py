"""What a second process is worth to stage 1: two parts on two cores, then merged, against one process on one core,
same video.

Both are command lines: ``tools/make_labels.py``, with ``--part 1/2`` and ``--part 2/2`` and ``tools/label_store.py
merge``, which makes the same complete store, to the byte. The start of every process counts, so the ratio grows with
the video. Needs two cores that nobody else uses, and Linux; where others compute, ``--cpu-time`` runs all steps one
after the other and counts their seconds of computing, of which the two halves count as the longer one.

    python benchmarks/label_processes.py
    python benchmarks/label_processes.py --iters 32 --scales 1 2
    python benchmarks/label_processes.py --cpu-time
"""
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Sequence

from mmrefine.apis.commands import run_command
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.synthetic import write_clips

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'refine' / 'raft_small_video_mask.py'
CHECKPOINT = ROOT / 'configs' / 'demo' / 'raft_small_source.pth'
TOOLS = ROOT / 'tools'
GOAL = 1.8


def main() -> int:
    """Print the seconds of each step and the ratio; 1 if the two stores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--videos', type=int, default=8, help='rendered')
    parser.add_argument('--frames', type=int, default=26, help='of each video')
    parser.add_argument('--size', nargs=2, type=int, default=(256, 448), metavar=('H', 'W'), help='of the frames, px')
    parser.add_argument('--iters', type=int, default=12, help='of the teacher, RAFT-small')
    parser.add_argument('--scales', nargs='+', type=float, default=[1.], help='passes of the teacher')
    parser.add_argument('--cores', nargs='+', type=int, metavar='CORE',
                        help='numbers of two cores; default: the first two that we may use')
    parser.add_argument('--cpu-time', action='store_true', help='seconds of computing, on the first core alone')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/label_processes'))
    args = parser.parse_args()
    cores = _cores(args.cores, 1 if args.cpu_time else 2)
    run = _run_in_turn if args.cpu_time else _run
    videos = args.work_dir / 'videos' / f'{args.size[0]}x{args.size[1]}_{args.frames}'
    names = write_clips(videos, range(args.videos), args.frames, tuple(args.size))
    frames = args.work_dir / 'frames'
    _link(frames, {name: videos / 'frames' / name for name in names})
    label = [str(TOOLS / 'make_labels.py'), str(CONFIG), '--cfg-options', f'video={frames}', f'load_from={CHECKPOINT}',
             f'model.test_iters={args.iters}', f'labeler.view.scales={tuple(args.scales)}', 'held_out=0', '--work-dir']
    stores = {name: args.work_dir / name for name in ('one', 'part1', 'part2', 'two')}
    for store in stores.values():
        shutil.rmtree(store, ignore_errors=True)  # time is measured of whole runs
    _run([[str(TOOLS / 'make_labels.py'), '--help']], cores[:1])  # files into the cache of the system
    parts = run([[*label, str(stores[f'part{k}']), '--part', f'{k}/2'] for k in (1, 2)], cores)
    one = run([[*label, str(stores['one'])]], cores[:1])
    merging = [str(TOOLS / 'label_store.py'), 'merge',
               *(str(stores[name] / 'labels') for name in ('two', 'part1', 'part2'))]
    merge = run([merging], cores[:1])
    pairs = args.videos * (args.frames - 1)
    same = _contents(stores['one'] / 'labels') == _contents(stores['two'] / 'labels')
    ratio = one / (parts + merge)
    where = f'seconds of computing on core {cores[0]}' if args.cpu_time else f'cores {cores[0]} and {cores[1]}'
    print(f'RAFT-small, {args.iters} iterations, {pairs} pairs of {args.size[0]}x{args.size[1]}, {where}')
    print(f'{"one process":34}{one:9.1f} s')
    print(f'{"two processes, half each":34}{parts:9.1f} s{one / parts:8.2f}x')
    print(f'{"merge":34}{merge:9.1f} s')
    print(f'{"two processes, in all":34}{parts + merge:9.1f} s{ratio:8.2f}x  '
          f'goal {"reached" if ratio >= GOAL else "missed"}: at least {GOAL}x')
    print(f'both made {"the same store, to the byte" if same else "DIFFERENT stores"}: '
          f'{len(LabelStore.open(stores["one"] / "labels").keys())} labels')
    return 0 if same else 1


def _cores(wanted: Sequence[int], count: int) -> List[int]:
    if not hasattr(os, 'sched_getaffinity'):
        raise ConfigError(f'{sys.platform} does not pin processes to cores; run this on Linux')
    ours = sorted(os.sched_getaffinity(0))
    chosen = list(wanted or ours[:count])
    if len(set(chosen)) < count or not set(chosen) <= set(ours):
        raise ConfigError(
            f'--cores wants {count} of the cores that this process may use ({", ".join(map(str, ours))}), got {chosen}')
    return chosen


def _link(folder: Path, scenes: Dict[str, Path]) -> None:
    """A folder with just these scenes; earlier runs may have rendered more."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, scene in scenes.items():
        (folder / name).symlink_to(scene.resolve(), target_is_directory=True)


def _run_in_turn(commands: Sequence[List[str]], cores: Sequence[int]) -> float:
    """Seconds of computing of the one of these Python programs that takes longest,
    one after the other on the first core.
    """
    seconds = []
    for command in commands:
        before = os.times()
        _run([command], cores[:1])
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return max(seconds)


def _run(commands: Sequence[List[str]], cores: Sequence[int]) -> float:
    """Seconds of the clock until the last of these Python programs has ended, each on a core of its own."""
    env = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', PYTHONWARNINGS='ignore')
    own = os.sched_getaffinity(0)
    running: List[subprocess.Popen] = []
    logs = [tempfile.TemporaryFile('w+') for _ in commands]  # a pipe that nobody empties would stop its process
    started = time.perf_counter()
    try:
        for command, core, log in zip(commands, cores, logs):
            os.sched_setaffinity(0, {core})  # a child begins where its parent is
            running.append(subprocess.Popen([sys.executable, *command], stdout=log, stderr=subprocess.STDOUT, env=env))
        os.sched_setaffinity(0, own)
        for process in running:
            process.wait()
        seconds = time.perf_counter() - started
    finally:
        os.sched_setaffinity(0, own)
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, log, command in zip(running, logs, commands):
        with log:
            log.seek(0)
            if process.returncode:
                raise MMRefineError(
                    f'{Path(command[0]).name} ended with status {process.returncode}; its last '
                    f'lines: {log.read()[-2000:]}')
    return seconds


def _contents(store: Path) -> Dict[str, bytes]:
    """Each file of a store by its name in it."""
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob('*'))
            if path.is_file()}


if __name__ == '__main__':
    run_command(main)

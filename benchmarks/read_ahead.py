"""What it is worth to read frames ahead: stage 1 on a video file,
each batch read when its turn comes against one batch ahead.

Both label the same video, taking turns; the labels must be the same to the byte. ``--delay`` adds a wait to each
reading of a pair, as a network drive does. What is counted is how long the teacher waited for frames, and seconds of
computing, of all threads: where others compute on the same cores, the clock of a whole run says little.

    python benchmarks/read_ahead.py
    python benchmarks/read_ahead.py --size 1080 1920 --pairs 3 --iters 2
"""
from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple
from unittest.mock import patch

import cv2

import mmrefine
from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.config.load import load_config
from mmrefine.datasets import FramePairs
from mmrefine.engine import label_fingerprint, make_labels
from mmrefine.engine.runtime.read_ahead import ReadAhead
from mmrefine.engine.stage1 import run as label_run
from mmrefine.errors import MMRefineError
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FrozenTeacher
from mmrefine.synthetic import render_clip

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'refine' / 'raft_small_video.py'
CHECKPOINT = ROOT / 'configs' / 'demo' / 'raft_small_source.pth'


class _SlowPairs(FramePairs):
    """Pairs that are read after a wait."""
    delay = 0.

    def __getitem__(self, item: Any) -> Any:
        time.sleep(self.delay)
        return super().__getitem__(item)


class _TimedReading(ReadAhead):
    """Counts the seconds that whoever asks has to wait."""
    waited = 0.

    def __enter__(self) -> Iterator[Any]:
        return self._timed(super().__enter__())

    def _timed(self, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            began = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                _TimedReading.waited += time.perf_counter() - began
            yield item


def main() -> int:
    """Print a row for each delay; 1 if the labels differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', nargs=2, type=int, default=(256, 448), metavar=('H', 'W'), help='of the video, px')
    parser.add_argument('--pairs', type=int, default=8)
    parser.add_argument('--iters', type=int, default=4, help='of the teacher, RAFT-small, with one pass')
    parser.add_argument('--delay', nargs='+', type=float, default=[0., 0.05], help='s, of each reading of a pair')
    parser.add_argument('--repeats', type=int, default=3, help='runs of each kind; medians are printed')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/read_ahead'))
    args = parser.parse_args()
    video = _written(args.work_dir, args.pairs + 1, tuple(args.size))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    print(f'RAFT-small, {args.iters} iterations, {args.pairs} pairs of {args.size[0]}x{args.size[1]} from '
          f'an mp4, {cores} core(s)')
    print(f'{"delay":>8}{"waited: its turn":>18}{"ahead":>9}{"computed: its turn":>20}{"ahead":>9}   '
          'seconds for all pairs, medians')
    model = init_model(load_config(CONFIG, {'model.test_iters': args.iters}), str(CHECKPOINT))
    same = True
    for delay in args.delay:
        found: Dict[int, List[Tuple[float, float]]] = {0: [], 1: []}
        for _ in range(args.repeats):
            for ahead in found:
                found[ahead].append(_labelled(FrozenTeacher(model), video, args.work_dir / f'labels{ahead}', ahead,
                                              delay))
            same &= _contents(args.work_dir / 'labels0') == _contents(args.work_dir / 'labels1')
        (wait0, work0), (wait1, work1) = ([statistics.median(column) for column in zip(*found[ahead])]
                                          for ahead in found)
        print(f'{delay:8.3f}{wait0:18.3f}{wait1:9.3f}{work0:20.3f}{work1:9.3f}', flush=True)
    print(f'labels: {"the same, to the byte" if same else "DIFFERENT"}')
    return 0 if same else 1


def _labelled(teacher: FrozenTeacher, video: Path, root: Path, ahead: int, delay: float) -> Tuple[float, float]:
    """Seconds that stage 1 waited for frames, and seconds of computing."""
    shutil.rmtree(root, ignore_errors=True)
    labeler = FlowLabeler(view=dict(type='CascadeView', scales=(1., )))
    pairs = _SlowPairs(video)
    pairs.delay = delay
    store = LabelStore(root, label_fingerprint(teacher, labeler, pairs, mmrefine.__version__))
    _TimedReading.waited, began = 0., time.process_time()
    with patch.object(label_run, 'ReadAhead', _TimedReading):
        make_labels(teacher, labeler, pairs, store, min_kept=0., log=lambda line: None, read_ahead=ahead)
    return _TimedReading.waited, time.process_time() - began


def _written(folder: Path, frames: int, size: Tuple[int, int]) -> Path:
    path = folder / f'video_{size[0]}x{size[1]}_{frames}.mp4'
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temp = path.with_name(f'unfinished_{path.name}')
        writer = cv2.VideoWriter(str(temp), cv2.VideoWriter_fourcc(*'mp4v'), 10, size[::-1])
        if not writer.isOpened():
            raise MMRefineError(f'{temp}: this OpenCV cannot write mp4 files; install opencv-python')
        for frame in render_clip(20000, frames, size, 'target').frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        temp.rename(path)
    return path


def _contents(store: Path) -> Dict[str, bytes]:
    """Each file of a store by its name in it."""
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob('*'))
            if path.is_file()}


if __name__ == '__main__':
    run_command(main)

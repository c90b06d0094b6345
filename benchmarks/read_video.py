"""How fast frames come out of video files: in order, at random, and as random neighbours, beside OpenCV's VideoCapture.

Example:
    python benchmarks/read_video.py clip.mp4 other.mkv

OpenCV opens a file without decoding it and jumps to a frame by its number, which lands beside it in some files: frames
that differ from reading in order are counted as wrong. Ours decodes the whole file once when it is opened; that time
stands in a column of its own.
"""
from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence

import cv2
import numpy as np

from mmrefine.fileio import open_frames

ORDERS = ('in order', 'random', 'random pairs')


class Capture:
    """OpenCV's frames by number, RGB, decoded in one thread as ours are."""

    def __init__(self, path: Path) -> None:
        self.capture = cv2.VideoCapture(str(path), cv2.CAP_ANY, [cv2.CAP_PROP_N_THREADS, 1])
        self.next = 0

    def __getitem__(self, index: int) -> np.ndarray:
        if index != self.next:
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        self.next = index + 1
        return cv2.cvtColor(self.capture.read()[1], cv2.COLOR_BGR2RGB)


def order(kind: str, count: int, most: int) -> List[int]:
    """Numbers of the frames to read, at most ``most``."""
    draw = random.Random(0)
    if kind == 'in order':
        return list(range(min(count, most)))
    if kind == 'random':
        return [draw.randrange(count) for _ in range(most)]
    firsts = [draw.randrange(count - 1) for _ in range(most // 2)]
    return [number for first in firsts for number in (first, first + 1)]


def measure(source: Callable[[], object], numbers: Sequence[int], wanted: Dict[int, int]) -> Iterator[float]:
    """Frames a second, and how many of the frames are not those that reading in order gives (checksum by number)."""
    reader = source()
    began = time.perf_counter()
    sums = [int(reader[number].sum()) for number in numbers]  # type: ignore[index]
    yield len(numbers) / (time.perf_counter() - began)
    yield sum(wanted.get(number, found) != found for number, found in zip(numbers, sums))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('videos', nargs='+', type=Path)
    parser.add_argument('--frames', type=int, default=100, help='to read in each order')
    args = parser.parse_args()
    print(f'{"video":20} {"order":14} {"ours, fps":>10} {"OpenCV, fps":>12} {"wrong":>6} {"opening, s":>11}')
    for path in args.videos:
        began = time.perf_counter()
        frames = open_frames(path)
        opening = time.perf_counter() - began
        capture = Capture(path)
        wanted = {number: int(capture[number].sum()) for number in range(len(frames))}
        for kind in ORDERS:
            numbers = order(kind, len(frames), args.frames)
            ours, _ = measure(lambda: open_frames(path), numbers, {})
            theirs, wrong = measure(lambda: Capture(path), numbers, wanted)
            print(f'{path.name:20} {kind:14} {ours:10.1f} {theirs:12.1f} {wrong:6.0f} {opening:11.2f}')


if __name__ == '__main__':
    main()

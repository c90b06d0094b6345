"""What a training sample costs to read: random pairs of one 1080p video, from the file, from a cache of its decoded
frames, and from folders of its frames as PNG and as JPEG.

    python benchmarks/train_reading.py
    python benchmarks/train_reading.py --frames 600 --draws 60

The video is made here: a textured scene that pans, with sensor noise, H.264 of 12 Mbit/s, a key frame each 250 frames.
The folders hold the decoded frames of the video, so all sources but the JPEGs give the same samples, which is checked.
A sample is a pair of frames, its label (a 16-bit PNG), a crop of 368x768, and the augmentations of the configs for
videos; the sources take turns. What is counted are milliseconds of one core: CPU time of a process with one thread,
which does not change much where others compute on the same cores; the files are in the disk cache of the system.
"""
from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import av
import cv2
import numpy as np
import torch

from mmrefine.datasets import FramePairs
from mmrefine.fileio import LabelStore, open_frames
from mmrefine.fileio.png import pack_png, unpack_png
from mmrefine.fileio.video.frame_cache import FrameCache, pack_frame, unpack_frame
from mmrefine.registry import TRANSFORMS
from mmrefine.structures import FlowLabel

PIPELINE = [
    dict(type='LoadLabel'),
    dict(type='RandomCrop', size=(368, 768), fit=True),
    dict(type='RandomFlip', horizontal=0.5, vertical=0.1),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, asymmetric=0.2),
    dict(type='PackPair'),
]
KEY_FRAMES = 250
SCENE = 'clip'


def write_video(path: Path, count: int, size: Tuple[int, int]) -> None:
    """A textured scene that pans by 3 px a frame, with noise of 2 grey levels."""
    (height, width), draw = size, np.random.default_rng(0)
    wide = np.zeros((height, width + 3 * count, 3), np.float32)
    for octave in (4, 16, 64, 256):
        cells = draw.uniform(-1, 1, (height // octave + 2, wide.shape[1] // octave + 2, 3)).astype(np.float32)
        wide += 12 * octave**0.25 * cv2.resize(cells, wide.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=30, options={'preset': 'veryfast', 'sc_threshold': '0'})
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = height, width, 'yuv420p', KEY_FRAMES
        stream.bit_rate, stream.codec_context.thread_count = 12_000_000, 1
        for at in range(count):
            shown = 128 + wide[:, 3 * at:3 * at + width] + 2 * draw.standard_normal((height, width, 1), np.float32)
            frame = av.VideoFrame.from_ndarray(shown.clip(0, 255).astype(np.uint8), format='rgb24')
            frame.pts, frame.time_base = at, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_folders(video: Path, roots: Dict[str, Path]) -> None:
    """The decoded frames of the video in one folder for each suffix."""
    frames = open_frames(video)
    for suffix, root in roots.items():
        (root / SCENE).mkdir(parents=True)
    for at, frame in enumerate(frames):
        for suffix, root in roots.items():
            cv2.imwrite(str(root / SCENE / f'{frames.name(at)}{suffix}'), frame[..., ::-1])


def write_labels(root: Path, keys: List[str], size: Tuple[int, int]) -> None:
    """Smooth motion with holes for some pairs."""
    store = LabelStore(root, dict(made_by='benchmarks/train_reading.py'))
    store.create()
    for at, key in enumerate(keys):
        draw = np.random.default_rng(at)
        flow = cv2.resize(draw.uniform(-20, 20, (9, 16, 2)).astype(np.float32), size[::-1])
        weight = cv2.resize(draw.uniform(0, 1, (18, 32)).astype(np.float32), size[::-1]) > 0.3
        store.write(key, FlowLabel(torch.from_numpy(flow).permute(2, 0, 1), torch.from_numpy(weight)[None].float()),
                    dict(kept=float(weight.mean())))
    store.finish(keys)


def ffv1(frame: np.ndarray) -> Tuple[bytes, bytes]:
    """A frame by itself as FFV1, and what its decoder must know."""
    codec: Any = av.CodecContext.create('ffv1', 'w')
    codec.height, codec.width, codec.pix_fmt = (*frame.shape[:2], 'bgr0')
    codec.time_base, codec.thread_count = Fraction(1, 30), 1
    picture = av.VideoFrame.from_ndarray(frame, format='rgb24').reformat(format='bgr0')
    return b''.join(map(bytes, [*codec.encode(picture), *codec.encode(None)])), codec.extradata


def from_ffv1(found: Tuple[bytes, bytes], size: Tuple[int, int]) -> np.ndarray:
    codec: Any = av.CodecContext.create('ffv1', 'r')
    codec.height, codec.width, codec.pix_fmt, codec.extradata, codec.thread_count = (*size, 'bgr0', found[1], 1)
    return (codec.decode(av.Packet(found[0])) + codec.decode(None))[0].to_ndarray(format='rgb24')


def measure_formats(root: Path, frames: Sequence[np.ndarray]) -> List[List[str]]:
    """A row for each way to keep a frame: MB, ms to pack it, ms to unpack it from a file."""
    size = frames[0].shape[:2]
    ways: Dict[str, Tuple[Callable[[np.ndarray], Any], Callable[[bytes, Any], Any]]] = {
        'raw RGB': (lambda frame: frame.tobytes(), lambda data, _: np.frombuffer(data, np.uint8).reshape(*size, 3)),
        'PNG, level 1': (lambda frame: pack_png(frame, 1), lambda data, _: unpack_png(data)),
        'FFV1, each frame alone': (ffv1, lambda data, packed: from_ffv1((data, packed[1]), size)),
        'the cache: MagicYUV': (pack_frame, lambda data, _: unpack_frame(data, size)),
    }
    rows = []
    for name, (pack, unpack) in ways.items():
        sizes, packing, unpacking = [], [], []
        for frame in frames:
            began = time.process_time()
            packed = pack(frame)
            packing.append(1000 * (time.process_time() - began))
            file = root / 'one'
            file.write_bytes(packed[0] if isinstance(packed, tuple) else packed)
            began = time.process_time()
            found = unpack(file.read_bytes(), packed)
            unpacking.append(1000 * (time.process_time() - began))
            assert np.array_equal(found, frame), f'{name}: another frame'
            sizes.append(file.stat().st_size / 1e6)
        rows.append([name, *(f'{statistics.mean(one):.{digits}f}' for one, digits in
                             ((sizes, 2), (packing, 0), (unpacking, 1)))])
    return rows


def source_of(root: Path, labels: Path) -> FramePairs:
    return FramePairs(root, labels=labels, pipeline=[])


def measure(data: FramePairs, steps: List[Any], item: Tuple[int, int], parts: Dict[str, List[float]]) -> Any:
    """The inputs of a sample; its milliseconds of CPU time are added to ``parts``, step by step."""
    began = time.process_time()
    results = data[item]
    for name, step in (('frames', lambda same: same), *((type(step).__name__, step) for step in steps)):
        results = step(results)
        now = time.process_time()
        parts[name].append(1000 * (now - began))
        began = now
    return results['inputs']


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (head, ['---'] * len(head), *rows):
        print('| ' + ' | '.join(row) + ' |')
    print()


def run(root: Path, frames: int, draws: int, size: Tuple[int, int], max_gb: float) -> None:
    """Make the sources, draw from them, print the tables."""
    video = root / 'video' / f'{SCENE}.mp4'
    write_video(video, frames, size)
    write_folders(video, {'.png': root / 'png', '.jpg': root / 'jpg'})
    roots = {'video': root / 'video', 'video, cached': root / 'video', 'PNG': root / 'png', 'JPEG': root / 'jpg'}
    sources = {name: source_of(path, root / 'labels') for name, path in roots.items()}
    pairs = np.random.default_rng(0).permutation(frames - 1)[:draws]
    write_labels(root / 'labels', [sources['video'].pairs[at]['key'] for at in pairs], size)

    cached, began = sources['video, cached'], time.process_time()
    cache = FrameCache(root / 'frame_cache', 1e9 * max_gb)
    cache.add(cached.sources[SCENE], range(frames))
    cache.plan()
    count, total = cache.fill(print)
    filling = time.process_time() - began
    cached.read_through(cache)

    TRANSFORMS.import_from_location()
    steps = [TRANSFORMS.build({'_scope_': 'mmrefine', **part}) for part in PIPELINE]
    parts: Dict[str, Dict[str, List[float]]] = {name: defaultdict(list) for name in sources}
    for draw, at in enumerate(pairs):
        inputs = {name: measure(data, steps, (int(at), draw), parts[name]) for name, data in sources.items()}
        for name in ('video, cached', 'PNG'):
            assert torch.equal(inputs[name], inputs['video']), f'{name}: another sample than that of the video'

    print(f'{draws} random pairs of {frames} frames of {size[0]}x{size[1]}; the cache: {count} frames, '
          f'{total / count / 1e6:.2f} MB and {1000 * filling / count:.0f} ms each to decode, pack, verify and write\n')
    rows = []
    for name, found in parts.items():
        samples = [sum(one) for one in zip(*found.values())]
        files = list((root / 'frame_cache' if 'cached' in name else roots[name]).rglob('*.*'))
        mean, size_mb = statistics.mean(samples), sum(file.stat().st_size for file in files) / 1e6
        rows.append([name, f'{statistics.mean(found["frames"]):.1f}', f'{mean:.1f}', f'{1000 / mean:.1f}',
                     f'{size_mb:.0f}'])
    table(['source', 'two frames, ms', 'sample, ms', 'samples a second and core', 'files, MB'], rows)
    table(['ways to keep a frame without loss', 'MB', 'pack, ms', 'read and unpack, ms'],
          measure_formats(root, [open_frames(video)[at] for at in range(0, frames, max(frames // 6, 1))]))
    table(list(parts['PNG'])[1:], [[f'{statistics.mean(found):.1f} ms' for found in list(parts['PNG'].values())[1:]]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=250, help='of the video')
    parser.add_argument('--draws', type=int, default=20, help='samples of each source')
    parser.add_argument('--size', type=int, nargs=2, default=(1080, 1920), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--max-gb', type=float, default=4., help='limit of the cache')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), args.frames, args.draws, tuple(args.size), args.max_gb)


if __name__ == '__main__':
    main()

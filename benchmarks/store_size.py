"""What a label takes on disk and how fast it is read: our store, the tensors of the reference implementation,
plain float32, .flo.

Labels come from a teacher that is asked once; its flows are kept in the work dir,
so a second run only writes and reads. Without frames or
checkpoint: rendered frames of the same size, whose exact motion gets the errors of a network, smooth over a few px. All
that is measured is of one pair both ways, two labels; only the reference keeps one way, and the frames three times over
(its pickle of a pair of Sintel). Seconds are those of computing, with one thread, of files that lie in the cache of the
system.

    python benchmarks/store_size.py
    python benchmarks/store_size.py --rendered --pairs 2
    python benchmarks/store_size.py --frames FOLDER --checkpoint checkpoints/raft-small-mmrefine.pth --iters 32 --scales
    1 2
"""
from __future__ import annotations

import argparse
import shutil
import statistics
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.errors import InputError
from mmrefine.fileio.atomic import atomic_write
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.video.reader import open_frames
from mmrefine.labeling import CascadeView, FlowLabeler
from mmrefine.structures import FlowLabel, PairBatch, as_frames
from mmrefine.synthetic import render_clip

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'refine' / 'raft_small_video.py'
FRAMES = ROOT.parent / 'shared' / 'data' / 'video' / 'sintel_alley_1_frames_16_25'
CHECKPOINT = ROOT / 'checkpoints' / 'raft-small-mmrefine.pth'
LABELERS = {
    'mask': dict(filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)]),  # configs/_base_/labelers/cascade.py
    'mask, floor 0.3': dict(filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)], floor=0.3),  # configs/demo
    'soft': dict(filters=[dict(type='SoftCycleFilter')]),
    'all': dict(filters=[]),
}
GOAL_MB, GOAL_PAIRS, GOAL_ERROR = 0.6, 60., 1 / 128  # a pair both ways, pairs/s on one core, px


class Pair(NamedTuple):
    """Frames ``(H, W, 3)`` uint8 and the motion both ways ``(2, H, W)`` float32 px."""
    frame1: np.ndarray
    frame2: np.ndarray
    flow_fw: Tensor
    flow_bw: Tensor


class Row(NamedTuple):
    """MB and computing seconds for a pair, and the largest error in px where a label has a weight that counts."""
    size: float
    write: float
    read: float
    error: float


Labels = Tuple[FlowLabel, FlowLabel]
Write = Callable[[Path, int, Pair, Labels], None]
Read = Callable[[Path, int], Sequence[Tensor]]


def main() -> int:
    """Print one row for each kind of label in each form, and whether our store reaches what is aimed at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=Path, default=FRAMES,
                        help='folder or video; rendered frames where it does not exist')
    parser.add_argument('--checkpoint', type=Path, default=CHECKPOINT,
                        help='RAFT-small; rendered frames where it does not exist')
    parser.add_argument('--rendered', action='store_true', help='rendered frames, whatever exists')
    parser.add_argument('--size', nargs=2, type=int, default=(436, 1024), metavar=('H', 'W'),
                        help='of rendered frames, px')
    parser.add_argument('--pairs', type=int, default=1, help='the first ones')
    parser.add_argument('--iters', type=int, default=8, help='of the teacher')
    parser.add_argument('--scales', nargs='+', type=float, default=[1.], help='passes of the teacher')
    parser.add_argument('--repeats', type=int, default=5, help='readings of each label; the median counts')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/store_size'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rendered = args.rendered or not (args.frames.exists() and args.checkpoint.is_file())
    pairs = _rendered(args.pairs, tuple(args.size)) if rendered else _asked(args)
    height, width = pairs[0].frame1.shape[:2]
    print(f'{len(pairs)} pair(s) of {height}x{width}, {"rendered" if rendered else args.frames.name}; a pair is '
          'both ways, two labels; '
          f'PNG by OpenCV {cv2.__version__}')
    print(f'{"label":18}{"kept as":26}{"MB/pair":>9}{"to ours":>9}{"written/s":>11}{"read/s":>9}{"error, px":>11}')
    for kind, config in LABELERS.items():
        labels = _labels(pairs, config)
        rows = {form: _measured(write, read, pairs, labels, args.work_dir / 'files', args.repeats)
                for form, (write, read) in _forms().items()}
        for form, row in rows.items():
            print(f'{kind:18}{form:26}{row.size:9.3f}{row.size / rows["store"].size:9.1f}'
                  f'{1 / row.write:11.1f}{1 / row.read:9.1f}'
                  f'{row.error:11.5f}', flush=True)
        ours = rows['store']
        missed = [text for text, reached in (
            (f'{ours.size:.2f} MB, wanted at most {GOAL_MB}', ours.size <= GOAL_MB),
            (f'{1 / ours.read:.0f} pairs/s, wanted at least {GOAL_PAIRS:g}', 1 / ours.read >= GOAL_PAIRS),
            (f'off by {ours.error:.5f} px, wanted at most 1/128', ours.error <= GOAL_ERROR)) if not reached]
        print(f'{kind:18}goal {"missed: " + "; ".join(missed) if missed else "reached"}', flush=True)
    return 0


def _asked(args: argparse.Namespace) -> List[Pair]:
    """The first pairs of the frames and the teacher's motion, from the work dir where they were asked for before."""
    frames = open_frames(args.frames)
    if len(frames) <= args.pairs:
        raise InputError(
            f'{args.frames}: has {len(frames)} frames, {args.pairs} pairs need {args.pairs + 1}; lower --pairs')
    made_from = [frames.digest(), digest_of_bytes(args.checkpoint.read_bytes()), args.iters, args.scales]
    model = None
    pairs = []
    for i in range(args.pairs):
        kept = args.work_dir / 'flows' / f'{digest_of(made_from)}_{i:04d}.npz'
        if not kept.is_file():
            if model is None:
                model = init_model(CONFIG, args.checkpoint)
                model.test_iters = args.iters
            with torch.no_grad():
                one, two = as_frames([frames[i]], 'cpu'), as_frames([frames[i + 1]], 'cpu')
                both = CascadeView(scales=args.scales).look(model, PairBatch(one, two)).both_ways()
            with atomic_write(kept) as file:
                np.savez(file, both=both.numpy())
        with np.load(kept) as found:
            flow_fw, flow_bw = torch.from_numpy(found['both'])
        pairs.append(Pair(frames[i], frames[i + 1], flow_fw, flow_bw))
    return pairs


def _rendered(count: int, size: Tuple[int, int]) -> List[Pair]:
    clip = render_clip(20000, count + 1, size, 'target')
    rng = np.random.default_rng(0)
    return [Pair(clip.frames[i], clip.frames[i + 1],
                 *(_with_error(flow[i], rng) for flow in (clip.flow_fw, clip.flow_bw)))
            for i in range(count)]


def _with_error(flow: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Exact motion is easier to pack than a network's: a tenth of a px of noise, interpolated from cells of 8 px,
    as RAFT's is.
    """
    height, width = flow.shape[1:]
    noise = rng.normal(0, 0.1, (height // 8 + 1, width // 8 + 1, 2)).astype(np.float32)
    noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(flow.astype(np.float32) + noise.transpose(2, 0, 1))


class _Replay:
    """A teacher that repeats the motion that is known."""
    accepts_flow_init = False

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Optional[Tensor] = None) -> List[Tensor]:
        return [torch.stack([self.pair.flow_fw, self.pair.flow_bw])]


def _labels(pairs: Sequence[Pair], config: Dict) -> List[Labels]:
    labeler = FlowLabeler(view=dict(type='CascadeView', scales=(1., )), directions='both', **config)
    labels = []
    for pair in pairs:
        made = labeler.label_pairs(_Replay(pair),
                                   PairBatch(as_frames([pair.frame1], 'cpu'), as_frames([pair.frame2], 'cpu')))[0]
        assert made.backward is not None
        labels.append((made.forward, made.backward))
    return labels


def _measured(write: Write, read: Read, pairs: Sequence[Pair], labels: Sequence[Labels], folder: Path,
              repeats: int) -> Row:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    writing, reading, errors = [], [], []
    for i, (pair, both) in enumerate(zip(pairs, labels)):
        started = time.process_time()
        write(folder, i, pair, both)
        writing.append(time.process_time() - started)
    size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    for i, both in enumerate(labels):
        for _ in range(repeats):
            started = time.process_time()
            flows = read(folder, i)
            reading.append(time.process_time() - started)
        for flow, label in zip(flows, both):
            off = (flow - label.flow).abs() * (label.weight >= 1 / 255)  # less than that may be kept as nothing
            errors.append(float(off.max()))
    shutil.rmtree(folder)
    return Row(size / len(pairs) / 1e6, statistics.median(writing), statistics.median(reading), max(errors))


def _forms() -> Dict[str, Tuple[Write, Read]]:
    """How to write and how to read a pair in each form; what is read is ready for a training, on the CPU."""
    return {
        'store': (_write_store, _reader_of_store()),
        'float32 .npz': (_write_npz, _read_npz),
        'float32 .npz, compressed': (lambda *a: _write_npz(*a, save=np.savez_compressed), _read_npz),
        '.flo and mask': (_write_flo, _read_flo),
        'reference (one way)': (_write_reference, _read_reference),
    }


def _keys(i: int) -> Tuple[str, str]:
    return f'scene/{i:04d}__{i + 1:04d}', f'scene/{i + 1:04d}__{i:04d}'


def _write_store(folder: Path, i: int, pair: Pair, labels: Labels) -> None:
    store = LabelStore(folder, dict(made_by='benchmarks/store_size.py'))
    if i == 0:
        store.create()
    for key, label in zip(_keys(i), labels):
        store.write(key, label, dict(kept=label.kept))
    store.finish(_keys(i))


def _reader_of_store() -> Read:
    opened: List[LabelStore] = []  # once for all labels, as a training does

    def read(folder: Path, i: int) -> Sequence[Tensor]:
        if not opened:
            opened.append(LabelStore.open(folder))
        return [opened[0].read(key).flow for key in _keys(i)]

    return read


def _write_npz(folder: Path, i: int, pair: Pair, labels: Labels, save: Callable[..., None] = np.savez) -> None:
    forward, backward = labels
    save(folder / f'{i}.npz', flow_fw=forward.flow.numpy(), flow_bw=backward.flow.numpy(),
         weight_fw=forward.weight.numpy(), weight_bw=backward.weight.numpy())


def _read_npz(folder: Path, i: int) -> Sequence[Tensor]:
    with np.load(folder / f'{i}.npz') as found:
        read = {name: torch.from_numpy(found[name]) for name in found.files}
    return [read['flow_fw'], read['flow_bw']]


def _write_flo(folder: Path, i: int, pair: Pair, labels: Labels) -> None:
    for way, label in enumerate(labels):
        write_flow(folder / f'{i}_{way}.flo', label.flow.permute(1, 2, 0).numpy())
        np.save(folder / f'{i}_{way}.npy', label.weight.numpy() > 0)


def _read_flo(folder: Path, i: int) -> Sequence[Tensor]:
    flows = []
    for way in (0, 1):
        flow = torch.from_numpy(read_flow(folder / f'{i}_{way}.flo')[0]).permute(2, 0, 1)
        flows.append(flow * torch.from_numpy(np.load(folder / f'{i}_{way}.npy')))
    return flows


def _write_reference(folder: Path, i: int, pair: Pair, labels: Labels) -> None:
    """What the reference keeps of a pair, all float32 but one mask: both frames alone and as a stack, motion,
    its occlusion, the truth.
    """
    forward = labels[0]
    frame1, frame2 = (as_frames([frame], 'cpu')[0] * 255 for frame in (pair.frame1, pair.frame2))
    lost = (forward.weight == 0).float()
    # cloned, as a view would be saved with all that it is a view of
    torch.save(dict(frame1=frame1, frame2=frame2, frames=torch.stack([frame1, frame2]), flow=forward.flow.clone(),
                    occluded=lost, truth=torch.zeros_like(forward.flow), same_color=lost == 0), folder / f'{i}.pt')


def _read_reference(folder: Path, i: int) -> Sequence[Tensor]:
    return [torch.load(folder / f'{i}.pt', weights_only=True)['flow']]


if __name__ == '__main__':
    run_command(main)

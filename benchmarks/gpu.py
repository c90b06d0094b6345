"""Labels, training steps, memory and parity on a GPU, each beside its rivals in the same run.

Rivals: the stock network of mmflow, asked plainly (two calls for the two ways of a pair, iterates made large at each
iteration); with ``--official`` the code of RAFT's authors with the same weights, as it is and, where the package
localcorr is installed, with its kernels in place of the whole correlation. All take turns, pair by pair of a rendered
video; two rounds warm up and do not count. Networks without ``--weights`` have random ones: enough for time and memory,
not for parity. TF32 is left as PyTorch has it, but for the row of parity that says otherwise.
Without a GPU there is nothing to measure, which is said in one sentence.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --official ../RAFT --weights raft-small=raft-small.pth --out gpu.md
    python benchmarks/gpu.py --parts labels --sizes 436x1024 --iters 32 --out gpu.json
"""
from __future__ import annotations

import argparse
import copy
import importlib.util
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from authors_raft import official_raft, one_batch, two_calls, with_localcorr
from gpu_timing import Measured, masks
from torch import Tensor
from training_steps import STOCK, video_frames, ways_of_a_step

from mmrefine.apis import init_model, open_model
from mmrefine.apis.commands import run_command
from mmrefine.errors import ConfigError
from mmrefine.fileio import write_bytes, write_json
from mmrefine.geometry import FramePad
from mmrefine.models import FlowRefiner, FrozenTeacher

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {'raft': 'raft_official', 'raft-small': 'raft_small'}
PARTS = ('labels', 'training', 'parity')
STEPS = ((4, 240, 432), (2, 368, 768))  # pairs in a batch, height, width
WARM_UP = 2
UNLIMITED = 2**62
PLAIN = 'two plain calls, float32'
Row = Dict[str, Any]
Flows = Tuple[Tensor, Tensor]
Ask = Callable[[int, Tensor, Tensor], Flows]


def main() -> int:
    """Print a table for each part, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--networks', nargs='+', choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument('--weights', nargs='+', default=[], metavar='NETWORK=FILE',
                        help='such as raft-small=raft-small.pth')
    parser.add_argument('--official', type=Path, help="the folder of the RAFT authors' code, which has core/raft.py")
    parser.add_argument('--sizes', nargs='+', type=_size, default=[(436, 1024), (1088, 1920)], metavar='HxW',
                        help='of frames to label, px')
    parser.add_argument('--iters', type=int, default=12, help='of a label')
    parser.add_argument('--train-iters', nargs='+', type=int, default=[8, 12], help='of a training step')
    parser.add_argument('--pairs', type=int, default=5, help='that count; of steps twice as many')
    parser.add_argument('--out', type=Path, help='where to write the tables (.md), or the numbers (.json)')
    args = parser.parse_args()
    weights = dict(_named(text) for text in args.weights)
    if args.official and not (args.official / 'core' / 'raft.py').is_file():
        raise ConfigError(f'--official {args.official}: has no core/raft.py; '
                          'name the folder of a checkout of princeton-vl/RAFT')
    if not torch.cuda.is_available():
        print(f'No GPU was found by PyTorch {torch.__version__}, so there is nothing to measure on this machine.')
        return 0
    lines = [f'# {torch.cuda.get_device_name(0)}', '', f'torch {torch.__version__}, CUDA {torch.version.cuda}; '
             f'{_tf32()}; labels with {args.iters} iterations', *_left_out(args)]
    print('\n'.join(lines), flush=True)
    found: Dict[str, List[Row]] = {}
    for part in args.parts:
        found[part] = []
        for name in args.networks:
            refiner = _network(name, weights.get(name))
            for rows in dict(labels=_labels, training=_training, parity=_parity)[part](name, refiner, args):
                found[part].append(rows)
        table = ['', f'## {part}', '', *_table(found[part])]
        print('\n'.join(table), flush=True)
        lines += table
    if args.out and args.out.suffix == '.json':
        write_json(args.out, dict(device=torch.cuda.get_device_name(0), torch=torch.__version__, tf32=_tf32(), **found))
    elif args.out:
        write_bytes(args.out, ('\n'.join(lines) + '\n').encode())
    return 0


def _labels(name: str, refiner: FlowRefiner, args: argparse.Namespace) -> List[Row]:
    """Milliseconds and memory for a pair both ways, and how far the flows are from those of plain calls."""
    refiner = refiner.cuda()
    rows = []
    for size in args.sizes:
        frames = video_frames(args.pairs + WARM_UP + 1, size).cuda()
        ways = _ways_of_asking(name, refiner, size, args)
        measured = {way: Measured() for way in ways}
        for i in range(args.pairs + WARM_UP):
            plain: Optional[Flows] = None
            for way, ask in ways.items():
                flows = measured[way].run(lambda: ask(i, frames[i:i + 1], frames[i + 1:i + 2]), counts=i >= WARM_UP)
                plain = flows if way == PLAIN else plain
                if flows is not None and plain is not None:
                    measured[way].compare(flows, plain)
        for way, one in measured.items():
            rows.append({'network': name, 'size': f'{size[0]}x{size[1]}', 'way of asking': way,
                         **one.row(measured[PLAIN])})
    return rows


def _ways_of_asking(name: str, refiner: FlowRefiner, size: Tuple[int, int], args: argparse.Namespace) -> Dict[str, Ask]:
    """By name; each gets the number of the pair in the video and its two frames."""
    iters, stock = args.iters, _like(refiner, UNLIMITED)
    ways: Dict[str, Ask] = {}

    def plain(i: int, a: Tensor, b: Tensor) -> Flows:
        return stock.plain_flows(a, b, iters=iters)[-1], stock.plain_flows(b, a, iters=iters)[-1]

    ways[PLAIN] = torch.no_grad()(plain)
    ways['two plain calls, bfloat16'] = torch.no_grad()(torch.autocast('cuda', dtype=torch.bfloat16)(plain))
    if args.official:
        pad = FramePad(*size, 8)
        for dtype, mixed in (('float32', False), ('float16', True)):
            official = official_raft(args.official, name == 'raft-small', refiner, mixed).eval()
            ways[f"authors' code, two calls, {dtype}"] = lambda i, a, b, ask=official: two_calls(ask, pad, a, b, iters)
            ways[f"authors' code, one batch, {dtype}"] = lambda i, a, b, ask=official: one_batch(ask, pad, a, b, iters)
            if importlib.util.find_spec('localcorr'):
                ways[f"authors' code with localcorr, one batch, {dtype}"] = (
                    lambda i, a, b, ask=official: with_localcorr(lambda: one_batch(ask, pad, a, b, iters)))
    limits = {'': refiner.max_corr_bytes}
    if 8 * (size[0] * size[1] / 64)**2 * 4 / 3 > refiner.max_corr_bytes:  # float32 pyramids of both ways
        limits[', max_corr_bytes unlimited'] = UNLIMITED
    for note, limit in limits.items():
        for dtype in ('float32', 'bfloat16'):
            pairs, video = (FrozenTeacher(_like(refiner, limit), dtype) for _ in range(2))
            ways[f'mmrefine, {dtype}{note}'] = lambda i, a, b, ask=pairs: ask.estimate_both(a, b, iters=iters)
            ways[f'mmrefine along a video, {dtype}{note}'] = (
                lambda i, a, b, ask=video: ask.estimate_both(a, b, names=([i], [i + 1]), iters=iters))
    return ways


def _training(name: str, refiner: FlowRefiner, args: argparse.Namespace) -> List[Row]:
    """Milliseconds and memory of a step: forward, loss, backward, clipping, AdamW."""
    rows = []
    for batch in STEPS:
        for iters in args.train_iters:
            steps = ways_of_a_step(refiner, name, batch, iters, 'cuda', args.official)
            measured = {way: Measured() for way in steps}
            for i in range(2 * args.pairs + WARM_UP):
                for way, step in steps.items():
                    measured[way].run(step, counts=i >= WARM_UP)
            for way, one in measured.items():
                rows.append({'network': name, 'batch': f'{batch[0]} of {batch[1]}x{batch[2]}', 'iterations': iters,
                             'step': way, **one.row(measured[f'{STOCK}, float32'])})
    return rows


def _parity(name: str, refiner: FlowRefiner, args: argparse.Namespace) -> List[Row]:
    """Flows and cycle masks on the GPU against those of the CPU in float32."""
    size, pairs = args.sizes[0], 3
    frames = video_frames(pairs + 1, size)
    on_cpu = _asked(refiner.cpu(), 'float32', frames, args.iters)
    wanted = masks(on_cpu)
    rows = []
    ways = (('float32 without TF32', 'float32', False), ('float32 with TF32', 'float32', True),
            ('bfloat16', 'bfloat16', True))
    for way, dtype, tf32 in ways:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=tf32):
            first, second = (_asked(copy.deepcopy(refiner).cuda(), dtype, frames.cuda(), args.iters) for _ in range(2))
        off = torch.cat([(a - b).norm(dim=1).flatten() for a, b in zip(first, on_cpu)])
        found = masks(first)
        rows.append({'network': name, 'size': f'{size[0]}x{size[1]}', 'on the GPU': way,
                     'masks equal': f'{float((found == wanted).double().mean()):.3%}',
                     'kept, CPU': f'{float(wanted.double().mean()):.1%}',
                     'kept, GPU': f'{float(found.double().mean()):.1%}',
                     'off by, median': f'{float(off.median()):.1e} px',
                     'below 0.01 px': f'{float((off < .01).double().mean()):.2%}',
                     'at most': f'{float(off.max()):.1e} px',
                     'twice the same': 'yes' if all(torch.equal(a, b) for a, b in zip(first, second)) else 'no'})
    return rows


def _asked(refiner: FlowRefiner, dtype: str, frames: Tensor, iters: int) -> Flows:
    """Forward and backward flows of all pairs, on the CPU."""
    teacher = FrozenTeacher(refiner.eval(), dtype)
    answers = [teacher.estimate_both(frames[i:i + 1], frames[i + 1:i + 2], iters=iters) for i in range(len(frames) - 1)]
    forward, backward = (torch.cat(flows).cpu() for flows in zip(*answers))
    return forward, backward


def _network(name: str, weights: Optional[str]) -> FlowRefiner:
    torch.manual_seed(0)
    if weights is not None:
        return open_model(NETWORKS[name], weights)
    return init_model(ROOT / 'configs' / 'refine' / f'{NETWORKS[name]}_video.py')


def _like(refiner: FlowRefiner, max_corr_bytes: int) -> FlowRefiner:
    return FlowRefiner(estimator=refiner.estimator, test_iters=refiner.test_iters, max_corr_bytes=max_corr_bytes).eval()


def _table(rows: List[Row]) -> List[str]:
    columns = list(max(rows, key=len))
    cells = [columns, ['---'] * len(columns), *([str(row.get(column, '')) for column in columns] for row in rows)]
    return ['| ' + ' | '.join(line) + ' |' for line in cells]


def _tf32() -> str:
    return (f'TF32 is {"on" if torch.backends.cudnn.allow_tf32 else "off"} in convolutions and '
            f'{"on" if torch.backends.cuda.matmul.allow_tf32 else "off"} in matrix products, as PyTorch has it')


def _left_out(args: argparse.Namespace) -> List[str]:
    if not args.official:
        return ["Without --official, the code of RAFT's authors and localcorr are not measured."]
    return [] if importlib.util.find_spec('localcorr') else ['localcorr is not installed, so it is not measured.']


def _size(text: str) -> Tuple[int, int]:
    found = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} is invalid: HEIGHTxWIDTH in px is expected, such as 436x1024')
    return int(found[1]), int(found[2])


def _named(text: str) -> Tuple[str, str]:
    name, _, path = text.partition('=')
    if name not in NETWORKS or not path:
        raise ConfigError(f'--weights {text}: is invalid; NETWORK=FILE is expected, '
                          f'with {" or ".join(NETWORKS)} as the network')
    return name, path


if __name__ == '__main__':
    run_command(main)

"""How long a teacher takes for a pair both ways: our fast path against two plain calls,
on the same pairs of the same video.

The rival, `naive`, encodes both frames once for each direction, compares them once for each and makes every iterate
large, in float32. All ways of asking take turns, pair by pair of a rendered video; the first pair warms up and does not
count. With `--against float32` our own teacher is the rival of its shortcuts, and `naive` is not asked.

    python benchmarks/label_speed.py
    python benchmarks/label_speed.py --networks raft_small=checkpoints/raft-small-mmrefine.pth \
        --sizes 436x1024 --pairs 9
    python benchmarks/label_speed.py --networks all --sizes 128x192 --dtypes float32
    python benchmarks/label_speed.py --networks raft_small=checkpoints/raft-small-mmrefine.pth \
        --exit-below 0.01 0.1 --against float32
"""
from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from unittest.mock import patch

import torch
from mmengine.config import Config
from torch import Tensor

from mmrefine.apis.commands import run_command
from mmrefine.compat.stock import stock_config_root, stock_model_configs
from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError
from mmrefine.geometry import cycle_consistent
from mmrefine.models import FlowRefiner, FrozenTeacher, load_estimator
from mmrefine.models.raft_fast.two_way import runs_two_way
from mmrefine.models.raft_fast.update_gates import UpdateGates
from mmrefine.synthetic import render_clip

SHORT = {
    'raft': stock_config_root() / '_base_' / 'models' / 'raft.py',
    'gma': stock_config_root() / '_base_' / 'models' / 'gma' / 'gma.py',
    'raft_small': Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'models' / 'raft_small.py',
}
UNLIMITED = 2**62
COMPILED = ', compiled'
Both = Tuple[Tensor, Tensor]
Ask = Callable[[int, Tensor, Tensor], Both]


def main() -> int:
    """Print one row for each network, size and way of asking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', default=['raft', 'raft_small'], metavar='NAME[=CHECKPOINT]',
                        help=f'{", ".join(SHORT)}, a config with a model, or all (the stock families); random '
                             'weights without a checkpoint')
    parser.add_argument('--sizes', nargs='+', default=['256x448', '436x1024'], metavar='HxW', help='of the frames, px')
    parser.add_argument('--dtypes', nargs='+', default=['float32', 'bfloat16'], help='of our teacher')
    parser.add_argument('--iters', type=int, help='iterations; default: what the config says for a test')
    parser.add_argument('--pairs', type=int, default=5, help='that count, after one that warms up')
    parser.add_argument('--max-corr-bytes', type=int, default=UNLIMITED,
                        help='of our teacher, see FlowRefiner; default: no limit')
    parser.add_argument('--exit-below', nargs='+', type=float, default=[],
                        help='px, see FlowRefiner: for each a row that exits early')
    parser.add_argument('--compile', action='store_true',
                        help='a row with the update step compiled (torch.compile; wants a C++ compiler)')
    parser.add_argument('--against', default='naive', help='the way of asking that the others are compared with')
    parser.add_argument('--cycle', nargs=2, type=float, default=(0.01, 0.5), metavar=('ALPHA', 'BETA'),
                        help='of the mask that is compared')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, help='of torch; default: its own choice')
    parser.add_argument('--cpu-time', action='store_true',
                        help='seconds of all our threads, not of the clock: where others compute, too')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    specs = [spec for name in args.networks for spec in (stock_model_configs() if name == 'all' else [name])]
    print(f'torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, {args.pairs} pairs, '
          f'masks of alpha={args.cycle[0]:g} beta={args.cycle[1]:g}')
    print(f'{"network":24}{"size":10}{"asked":20}{"s/pair":>9}{"ratio":>8}'
          f'{"masks equal":>13}{"kept":>8}{"off by":>9}{"memory":>9}')
    for spec in specs:
        refiner = _network(spec, args.iters)
        for size in args.sizes:
            _compare(spec.partition('=')[0], refiner.to(args.device), _size(size), args)
    print(f'ratio: {args.against} seconds by these, medians; masks equal: share of all pixels, both ways; '
          'kept: share in the mask; '
          f'off by: largest distance to the {args.against} flow, px; memory: peak over what was in use before, MiB')
    return 0


def _compare(name: str, refiner: FlowRefiner, size: Tuple[int, int], args: argparse.Namespace) -> None:
    frames = torch.from_numpy(render_clip(20000, args.pairs + 2, size, 'target').frames)
    frames = frames.to(args.device).permute(0, 3, 1, 2).float() / 255
    asks = _ways_of_asking(refiner, args)
    if args.against not in asks:
        raise ConfigError(f'--against must be one of {", ".join(asks)}, got {args.against!r}')
    seconds: Dict[str, List[float]] = {way: [] for way in asks}
    memory: Dict[str, List[Optional[float]]] = {way: [] for way in asks}
    equal: Dict[str, List[float]] = {way: [] for way in asks}
    kept: Dict[str, List[float]] = {way: [] for way in asks}
    off: Dict[str, float] = dict.fromkeys(asks, 0.)
    clock = _computing if args.cpu_time else time.perf_counter
    for i in range(args.pairs + 1):
        answers: Dict[str, Both] = {}
        for way, ask in asks.items():
            peak: List[Optional[float]] = []
            with _peak_memory(args.device, peak):
                started = clock()
                answers[way] = ask(i, frames[i:i + 1], frames[i + 1:i + 2])
                _wait(args.device)
                spent = clock() - started
            if i:
                seconds[way].append(spent)
                memory[way].append(peak[0])
            elif way.endswith(COMPILED):
                print(f'{way}: {spent:.0f} s for the pair that warms up', flush=True)
        wanted = _masks(answers[args.against], args.cycle)
        for way, answer in answers.items():
            found = _masks(answer, args.cycle)
            equal[way].append(float((found == wanted).double().mean()))
            kept[way].append(float(found.double().mean()))
            off[way] = max([off[way],
                            *(float((a - b).norm(dim=1).max()) for a, b in zip(answer, answers[args.against]))])
    rival = statistics.median(seconds[args.against])
    for way in asks:
        median, known = statistics.median(seconds[way]), [peak for peak in memory[way] if peak is not None]
        most = f'{max(known) / 2**20:9.0f}' if known else f'{"-":>9}'
        print(f'{name[-23:]:24}{f"{size[0]}x{size[1]}":10}{way:20}{median:9.3f}{rival / median:8.2f}'
              f'{_mean(equal[way]):13.4%}'
              f'{_mean(kept[way]):8.1%}{off[way]:9.1e}{most}', flush=True)


@torch.no_grad()
def _plain(refiner: FlowRefiner, frames1: Tensor, frames2: Tensor) -> Both:
    return refiner.plain_flows(frames1, frames2)[-1], refiner.plain_flows(frames2, frames1)[-1]


def _ways_of_asking(refiner: FlowRefiner, args: argparse.Namespace) -> Dict[str, Ask]:
    """By name; each gets the place of the pair in the video and its frames."""
    rival = _like(refiner, max_corr_bytes=UNLIMITED)
    asks: Dict[str, Ask] = {'naive': lambda i, a, b: _plain(rival, a, b)} if args.against == 'naive' else {}
    refiner.max_corr_bytes = args.max_corr_bytes
    for dtype in args.dtypes:
        pairs, video = FrozenTeacher(refiner, dtype), FrozenTeacher(refiner, dtype)
        asks[dtype] = lambda i, a, b, teacher=pairs: teacher.estimate_both(a, b)
        asks[f'{dtype}, two calls'] = lambda i, a, b, teacher=pairs: (teacher.estimate(a, b)[-1],
                                                                      teacher.estimate(b, a)[-1])
        asks[f'{dtype}, video'] = lambda i, a, b, teacher=video: teacher.estimate_both(a, b, names=([i], [i + 1]))
        if args.compile:
            asks[dtype + COMPILED] = _compiled(FrozenTeacher(refiner, dtype))
        for px in args.exit_below:
            early = FrozenTeacher(_like(refiner, max_corr_bytes=args.max_corr_bytes, exit_below=px), dtype)
            asks[f'{dtype}, exit {px:g}'] = lambda i, a, b, teacher=early: teacher.estimate_both(a, b)
    return asks


def _like(refiner: FlowRefiner, **settings: Any) -> FlowRefiner:
    return FlowRefiner(estimator=refiner.estimator, test_iters=refiner.test_iters, **settings).eval()


def _compiled(teacher: FrozenTeacher) -> Ask:
    """Asks a teacher of our own iterations whose motion encoder,
    gates and flow head are compiled when it is first asked.
    """
    network: Any = teacher.refiner.estimator
    if not runs_two_way(network):
        raise ConfigError(f'--compile: {type(network).__name__} is not run by our own iterations; leave it out')
    network.decoder.encoder.compile()
    network.decoder.flow_pred.compile()
    gates = torch.compile(UpdateGates.__call__)

    def ask(i: int, frames1: Tensor, frames2: Tensor) -> Both:
        with patch.object(UpdateGates, '__call__', gates):
            return teacher.estimate_both(frames1, frames2)

    return ask


def _network(spec: str, iters: Optional[int]) -> FlowRefiner:
    name, _, checkpoint = spec.partition('=')
    known = {**SHORT, **{stock: stock_config_root() / stock for stock in stock_model_configs()}}
    # parts of a config: load_config wants a whole one
    model = (Config.fromfile(known[name]) if name in known else load_config(name)).get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise ConfigError(f'{name}: has no model with a type; name the config of a flow network')
    network = model['estimator'] if 'estimator' in model else model
    torch.manual_seed(0)
    refiner = FlowRefiner(estimator=network)
    if iters is not None and refiner.accepts_flow_init:  # the pyramids do not iterate
        refiner = FlowRefiner(estimator=refiner.estimator, test_iters=iters)
    if checkpoint:
        load_estimator(refiner, checkpoint)
    return refiner.eval()


def _masks(flows: Both, cycle: Tuple[float, float]) -> Tensor:
    forward, backward = flows
    return torch.stack([cycle_consistent(forward, backward, *cycle), cycle_consistent(backward, forward, *cycle)])


def _size(text: str) -> Tuple[int, int]:
    found = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if not found:
        raise ConfigError(f'--sizes wants HEIGHTxWIDTH in px such as 256x448, got {text!r}')
    return int(found[1]), int(found[2])


def _mean(values: List[float]) -> float:
    return sum(values) / len(values)


def _computing() -> float:
    """Seconds of computing, those of finished processes of ours (a compiler) included."""
    return time.process_time() + sum(os.times()[2:4])


def _wait(device: str) -> None:
    if device.startswith('cuda'):
        torch.cuda.synchronize()


@contextlib.contextmanager
def _peak_memory(device: str, peak: List[Optional[float]]) -> Iterator[None]:
    """Appends the most bytes that were in use within, over what was in use before;
    None where the system does not tell.
    """
    if device.startswith('cuda'):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield
        peak.append(torch.cuda.max_memory_allocated() - before)
        return
    try:
        Path('/proc/self/clear_refs').write_text('5')  # Linux: the peak begins anew
        resident = _resident('VmRSS')
    except OSError:
        resident = None
    yield
    peak.append(None if resident is None else _resident('VmHWM') - resident)


def _resident(entry: str) -> int:
    found = re.search(rf'^{entry}:\s+(\d+) kB', Path('/proc/self/status').read_text(), re.MULTILINE)
    if not found:
        raise OSError(f'/proc/self/status has no {entry}')
    return 1024 * int(found[1])


if __name__ == '__main__':
    run_command(main)

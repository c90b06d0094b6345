"""Refine the official RAFT-small on single DAVIS sequences, without their masks; score the first mask carried along by the flow.

The rivals in the same run: the network as it came (1x), the teacher's cascade (1x then 2x, which costs several times more), and
the first mask left where it was. J and F are DAVIS-2016's (first and last frame not scored), in percent.

    python benchmarks/davis_masks.py --davis DAVIS --checkpoint checkpoints/raft-small-mmrefine.pth --sequences dog horsejump-high
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Callable, Dict, List

import cv2
import numpy as np
import torch

import mmrefine  # noqa: F401  (stands in for mmcv.ops where it is not compiled)
from mmrefine.apis import init_model, refine
from mmrefine.apis.commands import run_command
from mmrefine.errors import InputError
from mmrefine.evaluation import boundary_f, carry_mask, jaccard, summarise
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.images import read_image, write_image
from mmrefine.labeling import CascadeView

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'refine' / 'raft_small_video.py'
Flow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def main() -> int:
    """Refine, carry, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--davis', required=True, type=Path, help='folder with JPEGImages/480p and Annotations/480p')
    parser.add_argument('--checkpoint', required=True, help='official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--sequences', nargs='+', required=True)
    parser.add_argument('--size', nargs=2, type=int, default=(240, 432), metavar=('H', 'W'), help='working size, px')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/davis_masks'))
    parser.add_argument('--cfg-options', nargs='*', default=[], metavar='KEY=VALUE', help='of configs/refine/raft_small_video.py')
    args = parser.parse_args()
    overrides: Dict[str, object] = dict(max_iters=200, crop_size=(192, 320), num_workers=0)
    overrides.update({'model.train_iters': 8, 'model.test_iters': 12, 'load_from': args.checkpoint})
    overrides.update({key: _literal(value) for key, value in (option.split('=', 1) for option in args.cfg_options)})
    results: Dict[str, Dict[str, Dict[str, float]]] = {}
    for name in args.sequences:
        work_dir = args.work_dir / name
        frames = _shrunk(args.davis, name, tuple(args.size), work_dir / 'frames' / name)
        masks = [read_image(path)[..., 0] > 127 for path in sorted((args.davis / 'Annotations' / '480p' / name).glob('*.png'))]
        started = time.monotonic()
        refine(work_dir / 'frames' / name, CONFIG, work_dir, **overrides)
        seconds = time.monotonic() - started
        before, after = (init_model(CONFIG, path) for path in (work_dir / 'teacher.pth', work_dir / 'refined.pth'))
        for model in (before, after):
            model.test_iters = overrides['model.test_iters']
        cascade = CascadeView(scales=(1., 2.))
        rivals: Dict[str, Flow] = {
            'mask left in place': lambda a, b: torch.zeros_like(a[:, :2]),
            'before (1x)': lambda a, b: before.estimate(a, b)[-1],
            'teacher (1x, 2x)': lambda a, b: cascade(before, a, b),
            'after (1x)': lambda a, b: after.estimate(a, b)[-1],
        }
        results[name] = {rival: _scores(frames, masks, flow) for rival, flow in rivals.items()}
        results[name]['after (1x)']['refine_seconds'] = round(seconds)
        _print(name, results[name])
        write_json(args.work_dir / 'results.json', dict(settings=_plain(overrides), size=list(args.size), sequences=results))
    return 0


def _literal(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _plain(overrides: Dict[str, object]) -> Dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in overrides.items()}


def _shrunk(davis: Path, name: str, size: tuple, folder: Path) -> List[np.ndarray]:
    """The frames at the working size; also written to ``folder`` for the refinement."""
    paths = sorted((davis / 'JPEGImages' / '480p' / name).glob('*.jpg'))
    if not paths:
        raise InputError(f'{davis}/JPEGImages/480p/{name}: has no frames; give the DAVIS folder with --davis')
    frames = []
    for path in paths:
        frame = cv2.resize(read_image(path), size[::-1], interpolation=cv2.INTER_AREA)
        write_image(folder / f'{path.stem}.png', frame)
        frames.append(frame)
    return frames


@torch.no_grad()
def _scores(frames: List[np.ndarray], masks: List[np.ndarray], flow_of: Flow) -> Dict[str, float]:
    """J and F of the first mask, carried from frame to frame; a soft mask, thresholded only for scoring."""
    height, width = frames[0].shape[:2]
    mask = torch.from_numpy(cv2.resize(masks[0].astype(np.float32), (width, height), interpolation=cv2.INTER_AREA))
    tensors = [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]
    js, fs = [], []
    for t in range(1, len(frames) - 1):
        mask = carry_mask(mask, flow_of(tensors[t], tensors[t - 1])[0])
        found = cv2.resize(mask.numpy(), masks[t].shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        js.append(jaccard(found, masks[t]))
        fs.append(boundary_f(found, masks[t]))
    return dict(J=round(100 * summarise(js)['mean'], 2), F=round(100 * summarise(fs)['mean'], 2))


def _print(name: str, rows: Dict[str, Dict[str, float]]) -> None:
    print(f'\n{name}\n{"":22}{"J":>8}{"F":>8}')
    for rival, scores in rows.items():
        print(f'{rival:22}{scores["J"]:8.1f}{scores["F"]:8.1f}')
    print(flush=True)


if __name__ == '__main__':
    run_command(main)

"""Does a calibration keep its promise? Promised and true precision on rendered videos with exact motion,
fixed thresholds as rivals.

    python benchmarks/calibration.py
    python benchmarks/calibration.py --checkpoint checkpoints/raft-small-mmrefine.pth --look fog

The calibration sees frames only; the truth is asked afterwards, of the same videos. One row for each promise and,
below, for the thresholds that a config would fix: the paper's, the looser ones of the configs, and all but none.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch
from label_table import RememberingTeacher
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.evaluation.labels.quality import quality_record, tally_truth
from mmrefine.labeling import calibrate
from mmrefine.registry import LABELERS
from mmrefine.structures import FlowEstimator, PairBatch, as_frames
from mmrefine.synthetic import STYLES, RenderedClip, render_clip

SETTINGS = dict(CycleFilter=dict(alpha=0.01, beta=0.5))  # where they differ from the defaults
ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'demo' / 'raft_small_target.py'
FIXED = dict(paper=dict(alpha=0.002, beta=0.1), loose=dict(alpha=0.01, beta=0.5), any=dict(alpha=0., beta=1000.))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default=str(ROOT / 'configs' / 'demo' / 'raft_small_source.pth'),
                        help='RAFT-small weights')
    parser.add_argument('--look', default='target', choices=sorted(STYLES))
    parser.add_argument('--videos', type=int, default=12, help='of two frames each')
    parser.add_argument('--size', type=int, nargs=2, default=(128, 192), metavar=('H', 'W'), help='px')
    parser.add_argument('--warps', type=int, default=4, help='of each video')
    parser.add_argument('--precision', type=float, nargs='+', default=[0.7, 0.8, 0.9, 0.95])
    parser.add_argument('--scales', type=float, nargs='+', default=[1., 2.],
                        help='passes of the teacher, one after the other')
    parser.add_argument('--filters', nargs='+', default=['CycleFilter'], help='the filters whose thresholds are chosen')
    args = parser.parse_args()
    # seeds far from those of the training and of the demo
    clips = [render_clip(40000 + i, 2, tuple(args.size), args.look) for i in range(args.videos)]
    teacher = RememberingTeacher(init_model(CONFIG, args.checkpoint))
    pairs = [_frames(clip) for clip in clips]
    print(f'{"promised":10}{"predicted":>10}{"true":>8}{"coverage":>10}{"true":>8}   {args.videos} '
          f'videos, look {args.look}')
    for precision in args.precision:
        config = _labeler(args.scales, [dict(type=name, **SETTINGS.get(name, {})) for name in args.filters])
        # relative=0: right within 1 px, as the quality of labels has it
        found = calibrate(teacher, config, pairs, precision=precision, relative=0., warps=args.warps)
        true, kept = _truth(teacher, found.apply(config), pairs, clips)
        predicted = '-' if found.precision is None else f'{found.precision:.1%}'
        reached = '' if found.reached else '  (out of reach)'
        print(f'{precision:<10.0%}{predicted:>10}{true:>8}{found.coverage:>10.1%}{kept:>8}   '
              f'{found.options()}{reached}', flush=True)
    for name, thresholds in FIXED.items():
        true, kept = _truth(teacher, _labeler(args.scales, [dict(type='CycleFilter', **thresholds)]), pairs, clips)
        print(f'{name:<10}{"-":>10}{true:>8}{"-":>10}{kept:>8}   {thresholds}')
    return 0


def _labeler(scales: Sequence[float], filters: List[Dict[str, Any]]) -> Dict[str, Any]:
    return dict(type='FlowLabeler', view=dict(type='CascadeView', scales=tuple(scales)), filters=filters)


def _frames(clip: RenderedClip) -> Tuple[Tensor, Tensor]:
    frames = as_frames(clip.frames)
    return frames[0], frames[1]


def _truth(teacher: FlowEstimator, config: Dict[str, Any], pairs: Sequence[Tuple[Tensor, Tensor]],
           clips: Sequence[RenderedClip]) -> Tuple[str, str]:
    """Precision and coverage of the labels against the rendered motion, in words."""
    part = LABELERS.build(config)
    results = []
    for (one, two), clip in zip(pairs, clips):
        label = part.label_pairs(teacher, PairBatch(one[None], two[None]))[0].forward
        truth = torch.from_numpy(clip.flow_fw[0])
        results.append(('all', tally_truth(label, truth, torch.ones_like(truth[0], dtype=torch.bool))))
    found = quality_record(results)['truth']
    return ('-' if found['precision'] is None else f'{found["precision"]:.1%}'), f'{found["coverage"]:.1%}'


if __name__ == '__main__':
    run_command(main)

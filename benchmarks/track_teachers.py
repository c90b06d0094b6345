"""What a teacher of tracks gains by seeing more: yield and error of labels on rendered clips with exact tracks.

    python benchmarks/track_teachers.py --clips 8 --out benchmarks/results/track_teachers.json

Every view labels the same clips of 8 frames from the same corners; their tracks are kept without a check, by the flow
filter (RAFT-small of configs/demo), by the cycle filter, and by both. Yield is the share of the corners that are
kept. The error in px of what is kept is that of all frames but the first, those in which the point is hidden too.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.fileio import write_json
from mmrefine.labeling import (ArbitratedTracks, DirectTracks, TextureQueries, TrackCycleFilter, TrackFlowFilter,
                               TrackInsideFilter)
from mmrefine.labeling.tracks.views import MIRRORS
from mmrefine.structures import TrackEstimator, Tracks, as_frames
from mmrefine.synthetic import exact_tracks, render_clip

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
FRAMES = 8
WITHIN = (1, 2, 4)  # px
VIEWS = {
    'plain': DirectTracks(),
    '2x': DirectTracks(2.),
    'arbitrated 1x, 2x': ArbitratedTracks((1., 2.)),
    'and mirrored': ArbitratedTracks((1., 2.), mirrors=tuple(MIRRORS)),
    'stride 1': DirectTracks(stride=1),
    'arbitrated 1x, stride 1': ArbitratedTracks((1., ), strides=(None, 1)),
    'all': ArbitratedTracks((1., 2.), strides=(None, 1)),
}


def main() -> int:
    """Print one row for each view and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default=str(CONFIGS / 'pips' / 'pips_small.pth'), help='of the tracker')
    parser.add_argument('--config', default=str(CONFIGS / 'pips' / 'pips_small_source.py'), help='of the tracker')
    parser.add_argument('--flow', default=str(CONFIGS / 'demo' / 'raft_small_source.pth'),
                        help='checkpoint of the flow network')
    parser.add_argument('--clips', type=int, default=8)
    parser.add_argument('--strides', type=int, nargs='+', default=[1, 2], help='of the clips, frames')
    parser.add_argument('--look', default='target', choices=('source', 'target'))
    parser.add_argument('--corners', type=int, default=96, help='of a clip')
    parser.add_argument('--threshold', type=float, default=1.5, help='of the cycle filter, px')
    parser.add_argument('--first-seed', type=int, default=50000)
    parser.add_argument('--out', type=Path, help='JSON file of the rows')
    args = parser.parse_args()
    model = init_model(args.config, args.checkpoint)
    flow = init_model(CONFIGS / 'demo' / 'raft_small_target.py').cfg.model
    agrees = TrackFlowFilter(dict(type='OtherNetwork', model=flow, checkpoint=args.flow))
    cycle, inside = TrackCycleFilter(args.threshold), TrackInsideFilter()
    rows: List[Dict[str, Any]] = []
    print(f'{"stride":>6} {"view":25}{"check":14}{"yield":>7}{"median":>8}{"mean":>8}'
          + ''.join(f'{f"<{px} px":>8}' for px in WITHIN), flush=True)
    for stride in args.strides:
        found: Dict[Any, List[np.ndarray]] = {}
        asked = 0
        for seed in range(args.first_seed, args.first_seed + args.clips):
            frames = as_frames(render_clip(seed, (FRAMES - 1) * stride + 1, style=args.look).frames)
            own, between = frames[::stride], [frames[t + 1:t + stride] for t in range(0, len(frames) - 1, stride)]
            points = TextureQueries(args.corners).points(own[0], '', 0)
            queries = torch.cat([torch.zeros_like(points[:, :1]), points.flip(1)], dim=1).numpy()
            truth = torch.from_numpy(exact_tracks(seed, queries, FRAMES, style=args.look, stride=stride)[0])
            asked += len(points)
            teacher = _Remembering(model)
            for name, view in VIEWS.items():
                look = view.look(teacher, own, points, between)
                errors = (look.there - truth)[:, 1:].norm(dim=-1).numpy()
                held, alike = (cycle(look) & inside(look)).numpy(), agrees(look).numpy()
                for check, kept in (('none', np.ones_like(held)), ('flow', alike), ('cycle', held),
                                    ('cycle, flow', held & alike)):
                    found.setdefault((name, check), []).append(errors[kept])
        for (name, check), parts in found.items():
            kept = np.concatenate(parts)
            row = dict(stride=stride, view=name, check=check, corners=asked, kept=round(len(kept) / asked, 4))
            if kept.size:
                row.update(median=round(float(np.median(kept)), 3), mean=round(float(kept.mean()), 3),
                           **{f'within_{px}': round(float((kept < px).mean()), 4) for px in WITHIN})
                print(f'{stride:6} {name:25}{check:14}{row["kept"]:7.1%}{row["median"]:8.2f}{row["mean"]:8.2f}'
                      + ''.join(f'{row[f"within_{px}"]:8.1%}' for px in WITHIN), flush=True)
            rows.append(row)
    if args.out is not None:
        write_json(args.out, dict(clips=args.clips, look=args.look, threshold=args.threshold,
                                  checkpoint=Path(args.checkpoint).name, rows=rows))
    return 0


class _Remembering:
    """A tracker that follows the points of one clip once at each size, stride and mirror: no pass is computed twice."""

    def __init__(self, model: TrackEstimator) -> None:
        self.model = model
        self.known: Dict[Any, Tuple[Tensor, Tensor, Tensor]] = {}

    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """As of the tracker."""
        return self.model.track(frames, queries)

    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """As of the tracker."""
        shown = tuple(frames.shape), tuple(points.flatten().tolist())  # mirrored frames come with mirrored points
        if shown not in self.known:
            self.known[shown] = self.model.track_both(frames, points)
        return self.known[shown]


if __name__ == '__main__':
    run_command(main)

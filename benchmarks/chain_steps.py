"""Do chains of flow go less astray if they choose among several steps? Points and masks of DAVIS, as people see them.

Rows are sets of steps, judges of a step's error, ways in which errors add up along a chain, and expected errors, px, up
to which a longer step counts beside the shortest one. Scores, percent: D, the end points that people have put in the
last frame, mean over 1, 2, 4, 8 and 16 px of how many are closer than that, on a raster of 256x256 px; `off`, how far
they are off in the mean, px of that raster; J of the first mask, carried along the whole video; PCK of the joints of
BADJA. The first row is the chain of single steps, which the others are compared with.
`lost` is by how many points of J the worst sequence falls below it.

The motion between two frames is estimated once and kept in the work dir, where scores are kept, too, so it may be
stopped and started again. A video of 50 frames needs 1 GB there for each judge.

    python benchmarks/chain_steps.py --davis DAVIS --badja BADJA --points POINTS
    python benchmarks/chain_steps.py --davis DAVIS --points POINTS --judges verifier --sequences car-shadow
"""
from __future__ import annotations

import argparse
import json
import time
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from davis_clips import Clip, ends_off, hard_mask, pck_of, read_clip, sequences, share_close, soft_mask

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.apis.named_models import JUDGES, chain_settings
from mmrefine.errors import CheckpointError
from mmrefine.evaluation import jaccard
from mmrefine.fileio import digest_of, digest_of_state, write_json
from mmrefine.fileio.atomic import atomic_write
from mmrefine.models.propagation.carry import carry_on
from mmrefine.models.trackers.flow_chain import Looks, chain_flow
from mmrefine.models.trackers.steps import ADDS, ChainSteps
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import Look, as_frames

ROOT = Path(__file__).resolve().parents[1]
SINGLE: Tuple[str, ...] = ('1', )
MEASURES = ('D', 'J', 'PCK')
LIMIT = ChainSteps().limit


class Row(NamedTuple):
    """How a chain is made."""
    steps: Tuple[str, ...]
    judge: str
    adds: str
    limit: float

    @property
    def name(self) -> str:
        """For people."""
        return '1' if self.steps == SINGLE else f'{" ".join(self.steps)}; {self.judge}; {self.adds}; {self.limit:g}'

    def chain(self) -> ChainSteps:
        """What it is made by."""
        steps = [step if step == 'first' else int(step) for step in self.steps]
        judge = None if self.steps == SINGLE else self.judge
        return ChainSteps(**(chain_settings(steps, judge) or {}), adds=self.adds, limit=self.limit)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Score each row on each sequence, print the table."""
    args = _parser().parse_args(argv)
    if not Path(args.checkpoint).is_file():
        raise CheckpointError(f'{args.checkpoint}: there is no such checkpoint; make it from the official RAFT-small '
                              'with tools/convert_checkpoint.py, or name it with --checkpoint')
    sets = args.steps or [['1', '2', '4', '8', '16', 'first']]
    rows = [Row(SINGLE, JUDGES[0], ADDS[0], LIMIT),
            *(Row(tuple(steps), *how) for steps in sets for how in product(args.judges, args.adds, args.limits))]
    model = init_model(ROOT / 'configs' / 'refine' / 'raft_small_video.py', args.checkpoint)
    model.test_iters = args.iters
    results: Dict[str, Dict[Row, Dict[str, Any]]] = {}
    for name in args.sequences or sequences(args.davis):
        clip = read_clip(args.davis, args.badja, name, (args.height, args.width), args.frames, args.points)
        results[name] = {}
        for judge in dict.fromkeys(row.judge for row in rows):
            looks = stored_looks(args.work_dir, clip, model, judge)
            for row in (row for row in rows if row.judge == judge):
                results[name][row] = _scores(args.work_dir, clip, model, row, looks)
    _print(results, rows)
    if args.out is not None:
        write_json(args.out, [dict(sequence=name, **row._asdict(), **scores)
                              for name, found in results.items() for row, scores in found.items()])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--davis', type=Path, default=Path('data/davis'),
                        help='folder with JPEGImages/480p and Annotations/480p')
    parser.add_argument('--badja', type=Path, help='folder with <sequence>.json; without it there is no PCK')
    parser.add_argument('--points', type=Path, metavar='CSV',
                        help='points in the first and in the last frame, as davis_student.py takes them; without it '
                             'there is no D')
    parser.add_argument('--checkpoint', default=str(ROOT / 'checkpoints' / 'raft-small-mmrefine.pth'),
                        help='official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--sequences', nargs='+', help='default: all there are')
    parser.add_argument('--steps', nargs='+', action='append', metavar='N|first',
                        help='a set of steps; may be given several times (default: 1 2 4 8 16 first)')
    parser.add_argument('--judges', nargs='+', choices=JUDGES, default=[JUDGES[0]])
    parser.add_argument('--adds', nargs='+', choices=ADDS, default=list(ADDS))
    parser.add_argument('--limits', nargs='+', type=float, default=[LIMIT], metavar='PX')
    parser.add_argument('--height', type=int, default=240, help='working size, px')
    parser.add_argument('--width', type=int, default=432, help='working size, px')
    parser.add_argument('--iters', type=int, default=12, help='iterations of the network')
    parser.add_argument('--frames', type=int, help='only the first so many frames, at least 3, to try it out')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/chain_steps'))
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for the table')
    return parser


def stored_looks(work_dir: Path, clip: Clip, model: Any, judge: str) -> Looks:
    """The motion between two frames and its expected error both ways, from the disk if it is there."""
    # with a choice, so that errors are known
    steps = Row(('1', 'first'), judge, ADDS[0], LIMIT).chain()
    frames = as_frames(clip.frames)
    decides = [clip.digest, clip.frames[0].shape, digest_of_state(model.estimator.state_dict()), model.test_iters,
               steps.describe().get('view')]
    folder = work_dir / clip.name / f'motion_{digest_of(decides)}'

    @lru_cache(None)
    def look(s: int, t: int) -> Look:
        path = folder / f'{s:05d}_{t:05d}.npy'
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with torch.no_grad():
                seen = steps.look(model, frames[s:s + 1], frames[t:t + 1])
            with atomic_write(path) as file:
                np.save(file, torch.cat([seen.flow_fw, seen.flow_bw, seen.error_fw, seen.error_bw], dim=1).numpy())
        flow_fw, flow_bw, error_fw, error_bw = torch.from_numpy(np.load(path)).split([2, 2, 1, 1], dim=1)
        return Look(flow_fw, flow_bw, error_fw=error_fw, error_bw=error_bw)

    return look


def _scores(work_dir: Path, clip: Clip, model: Any, row: Row, looks: Looks) -> Dict[str, Any]:
    """The scores of a row on a sequence, from the work dir by everything that decides over them."""
    steps = row.chain()
    decides = [clip.digest, clip.frames[0].shape, clip.ends.tolist(), sorted(clip.joints), steps.describe(),
               digest_of_state(model.estimator.state_dict()), model.test_iters]
    path = work_dir / clip.name / f'scores_{digest_of(decides)}.json'
    if not path.is_file():
        started = time.monotonic()
        write_json(path, dict(name=row.name, **score_chain(clip, looks, steps),
                              seconds=round(time.monotonic() - started, 1)))
    found: Dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    print(f'{clip.name}, {row.name}:', *(f'{measure} {_percent(found[measure])}' for measure in MEASURES), flush=True)
    return {name: found[name] for name in (*MEASURES, 'off')}


@torch.no_grad()
def score_chain(clip: Clip, looks: Looks, steps: ChainSteps) -> Dict[str, Any]:
    """D, J and PCK of a sequence, in [0, 1] or None, as ``davis_clips.score_clip`` has them, and how far each end point
    is off, px of the raster.

    Args:
        clip: the sequence.
        looks: the motion between two of its frames, with the expected error.
        steps: how the chain is made.
    """
    height, width = clip.frames[0].shape[:2]
    scale = np.array([clip.masks[0].shape[1] / width, clip.masks[0].shape[0] / height])

    def tracks(points: np.ndarray, first: int, end: int) -> np.ndarray:
        queries = queries_of(torch.from_numpy(points / scale).float(), (height, width))
        found = chain_flow(lambda s, t: looks(first + s, first + t), end - first, (height, width), queries, steps)
        return found.points.numpy() * scale

    first, last = (min(clip.joints), max(clip.joints)) if clip.joints else (0, 0)
    joints = tracks(clip.joints[first].points, first, last + 1) if clip.joints else np.zeros((0, 1, 2))
    carried = {t: joints[:, t - first] for t in sorted(clip.joints) if t > first}
    ends = tracks(clip.ends[:, 0], 0, len(clip.frames))[:, -1] if len(clip.ends) else clip.ends[:, 0]
    off = ends_off(clip, ends)
    soft = soft_mask(clip, 0)
    masks = carry_on(looks, len(clip.frames) - 1, torch.stack([1 - soft, soft]), steps)  # DAVIS leaves the last out
    overlap = [jaccard(hard_mask(maps[1], truth.shape), truth) for maps, truth in zip(masks, clip.masks[1:])]
    return dict(D=share_close(off), J=float(np.mean(overlap)), PCK=pck_of(clip, first, carried),
                off=[round(float(one), 2) for one in off])


def _print(results: Dict[str, Dict[Row, Dict[str, Any]]], rows: Sequence[Row]) -> None:
    print('\n| steps; judge; sum; limit | D | off | J | lost | PCK |\n' + '|---' * 6 + '|')
    for row in rows:
        found = {name: scores[row] for name, scores in results.items()}
        off = np.concatenate([np.zeros(0), *(one['off'] for one in found.values())])
        close = share_close(off)  # of all points together
        overlap = np.mean([one['J'] for one in found.values()])
        worst = min((one['J'] - results[name][rows[0]]['J'], name) for name, one in found.items())
        pcks = [one['PCK'] for one in found.values() if one['PCK'] is not None]
        away = f'{off.mean():.1f}' if len(off) else '–'
        print(f'| {row.name} | {_percent(close)} | {away} | {_percent(overlap)} '
              f'| {100 * worst[0]:+.1f} ({worst[1]}) | {_percent(np.mean(pcks) if pcks else None)} |')


def _percent(score: Optional[float]) -> str:
    return f'{100 * score:.1f}' if score is not None else '–'


if __name__ == '__main__':
    run_command(main)

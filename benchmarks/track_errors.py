"""Do expected errors of tracks keep what they promise? Rendered clips with exact tracks, and end points of DAVIS.

    python benchmarks/track_errors.py --out benchmarks/results/track_errors.json
    python benchmarks/track_errors.py --davis DAVIS --points POINTS --clips 0

Points drawn at random in the first frame are followed to the last one. `kept` at a threshold, as `mmrefine track
--max-error` keeps them: points of frames that the tracker sees and whose expected error is at most so many px; their
share of all, the share of them that is within, and their mean error. Beside them what is seen without a threshold. All
frames but the first count, also those in which the point is hidden or has left the frame.

`AUSE`: the area between two curves, the mean error of what is left once the worst 0, 5, ... 95 % are left out, over the
mean error of all: worst by what is said of the error, and worst by the error itself; 0 is best. It is said by the
expected error, by how many frames the point was followed, or by how surely the tracker sees it.

Errors of the steps of a chain are added up plainly and as squares; both are shown. `--raw` leaves out the factor by
which losses of round trips are multiplied, and says which factor would have two thirds of what is kept at 2 px within
2 px: how it was chosen, with `--first-seed 61000`, other clips than those of the table. With --davis one frame is
judged, the last one, of the points that people have put there, px of the working size.

Each tracker and clip is a row that is kept in the work dir and not computed again.
"""
from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from davis_clips import read_clip, sequences
from sparsification import area_of
from torch import Tensor

from mmrefine.apis import open_tracker
from mmrefine.apis.commands import run_command
from mmrefine.fileio import digest_of, digest_of_state, write_json
from mmrefine.fileio.atomic import atomic_write
from mmrefine.models import ChainedFlow
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.steps import ADDS, ChainSteps
from mmrefine.structures import Tracks, as_frames
from mmrefine.synthetic import exact_tracks, render_clip

ROOT = Path(__file__).resolve().parents[1]
TRACKERS = dict(raft_small='checkpoints/raft-small-mmrefine.pth', demo='configs/demo/raft_small_source.pth',
                pips_demo='configs/pips/pips_small.pth')
MOST = (1., 2., 4., 8.)  # px
HONEST, AT = 2 / 3, 2.  # share that must be within, of what is kept at so many px
JUDGES = ('expected error', 'frames', 'visibility')
TRIPS = 'round trips'


class Clip(NamedTuple):
    """Frames and where points are in them."""
    name: str
    frames: Tensor  # (T, 3, H, W) RGB in [0, 1]
    queries: Tensor  # (N, 3) frame, y, x
    truth: np.ndarray  # (N, T, 2) px, nan where it is not known


class Found(NamedTuple):
    """What is known of each point of each judged frame, ``(P,)`` each."""
    expected: np.ndarray  # px, without factor
    frames: np.ndarray  # that it was followed
    visibility: np.ndarray  # in [0, 1]
    error: np.ndarray  # px


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the tables."""
    args = _parser().parse_args(argv)
    rows: List[Dict[str, Any]] = []
    print('| clips | tracker | errors | kept at, px | share | within | mean error, px |\n' + '|---' * 7 + '|')
    for tracker in args.trackers:
        network = open_tracker(tracker, ROOT / TRACKERS[tracker], 'cpu')
        parts: Dict[Tuple[str, str], List[Found]] = {}
        for group, clip in _clips(args):
            for sums, found in _found(args.work_dir, network, tracker, clip).items():
                parts.setdefault((group, sums), []).append(found)
        for (group, sums), several in parts.items():
            joined = Found(*(np.concatenate(values) for values in zip(*several)))
            factor = 1. if args.raw else _factor(network, sums)
            row = dict(clips=group, tracker=tracker, errors=sums, factor=factor, points=len(joined.error),
                       **scores_of(joined, factor))
            if args.raw:
                row['honest_factor'] = honest_factor(joined)
            rows.append(row)
            _print_kept(row)
    _print_areas(rows)
    if args.out is not None:
        write_json(args.out, dict(size=list(args.size), frames=args.frames, look=args.look, clips=args.clips,
                                  first_seed=args.first_seed, rows=rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--trackers', nargs='+', choices=TRACKERS, default=list(TRACKERS))
    parser.add_argument('--clips', type=int, default=2, help='rendered ones')
    parser.add_argument('--first-seed', type=int, default=62000, help='of the rendered clips')
    parser.add_argument('--look', default='target', help='of the rendered clips')
    parser.add_argument('--size', type=int, nargs=2, default=(128, 192), metavar=('H', 'W'), help='of them, px')
    parser.add_argument('--frames', type=int, default=16, help='of each rendered clip')
    parser.add_argument('--count', type=int, default=64, help='points in each rendered clip')
    parser.add_argument('--davis', type=Path, help='folder with JPEGImages/480p; default: rendered clips only')
    parser.add_argument('--points', type=Path, metavar='CSV', help='points in the first and in the last frame of them')
    parser.add_argument('--davis-size', type=int, nargs=2, default=(240, 432), metavar=('H', 'W'), help='px')
    parser.add_argument('--sequences', nargs='+', help='default: all there are')
    parser.add_argument('--raw', action='store_true', help='without factors, and the factor that would be honest')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/track_errors'))
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for the table')
    return parser


def _clips(args: argparse.Namespace) -> Iterator[Tuple[str, Clip]]:
    size = (args.size[0], args.size[1])
    for seed in range(args.first_seed, args.first_seed + args.clips):
        places = np.random.default_rng(seed).uniform(4, np.array(size) - 5, (args.count, 2))
        queries = np.insert(places, 0, 0, axis=1).astype(np.float32)
        frames = as_frames(render_clip(seed, args.frames, size, args.look).frames)
        truth, _ = exact_tracks(seed, queries, args.frames, size, args.look)
        yield 'rendered', Clip(f'{args.look} {seed}', frames, torch.from_numpy(queries), truth)
    for name in (args.sequences or sequences(args.davis)) if args.davis else ():
        clip = read_clip(args.davis, None, name, tuple(args.davis_size), None, args.points)
        if len(clip.ends):
            height, width = args.davis_size
            ends = clip.ends * np.array([width, height]) / np.array(clip.masks[0].shape[::-1])
            truth = np.full((len(ends), len(clip.frames), 2), np.nan)
            truth[:, [0, -1]] = ends
            inside = np.clip(ends[:, 0], 0, [width - 1, height - 1])
            queries = torch.from_numpy(np.insert(inside[:, ::-1], 0, 0, axis=1)).float()
            yield 'DAVIS', Clip(name, as_frames(clip.frames), queries, truth)


def _describe(network: Any, sums: str) -> Dict[str, Any]:
    """How the errors are made."""
    errors = network.describe_errors() if sums == TRIPS else ChainSteps(adds=sums).describe_errors()
    return dict(errors, network=network.describe())


def _factor(network: Any, sums: str) -> float:
    """By which losses are multiplied to be the expected error."""
    return float(_describe(network, sums).get('factor', 1.))


def _found(work_dir: Path, network: Any, tracker: str, clip: Clip) -> Dict[str, Found]:
    """What is known of the points of a clip by each way to add up errors, from the work dir if it is there."""
    found: Dict[str, Found] = {}
    missing: Dict[str, Path] = {}
    for sums in ADDS if isinstance(network, ChainedFlow) else (TRIPS, ):
        described = {key: value for key, value in _describe(network, sums).items() if key != 'factor'}
        decides = [clip.name, tuple(clip.frames.shape), clip.queries.tolist(), described,
                   digest_of_state(network.estimator.state_dict())]
        path = work_dir / tracker / f'{clip.name.replace(" ", "_")}_{sums.replace(" ", "_")}_{digest_of(decides)}.npy'
        if path.is_file():
            found[sums] = Found(*np.load(path))
        else:
            missing[sums] = path
    if missing:
        looks = lru_cache(None)(lambda s, t: ChainSteps().look(network, clip.frames[s:s + 1], clip.frames[t:t + 1],
                                                               True))
        for sums, path in missing.items():
            tracks = _tracks(network, clip, sums, looks)
            found[sums] = judged(tracks, clip.truth, _factor(network, sums))
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                np.save(file, np.stack(found[sums]))
    return found


@torch.no_grad()
def _tracks(network: Any, clip: Clip, sums: str, looks: Any) -> Tracks:
    count, size = len(clip.frames), (clip.frames.shape[-2], clip.frames.shape[-1])
    if isinstance(network, ChainedFlow):
        return chain_flow(looks, count, size, clip.queries, ChainSteps(adds=sums), True)
    found: Tracks = network.track_with_errors(clip.frames.__getitem__, count, size, clip.queries)
    return found


def judged(tracks: Tracks, truth: np.ndarray, factor: float) -> Found:
    """What is known of each point of each frame whose truth is known, the frame of the query apart.

    Args:
        tracks: with their error.
        truth: ``(N, T, 2)`` px, nan where it is not known.
        factor: of the error, which is taken out of it.
    """
    assert tracks.error is not None
    known = np.isfinite(truth).all(axis=2)
    known[:, 0] = False
    frames = np.broadcast_to(np.arange(truth.shape[1], dtype=np.float32), known.shape)
    error = np.linalg.norm(tracks.points.numpy() - truth, axis=-1)
    return Found(*(np.asarray(values[known], np.float32) for values in (
        tracks.error.numpy() / factor, frames, tracks.visible.numpy(), error)))


def scores_of(found: Found, factor: float) -> Dict[str, Any]:
    """What is kept at each threshold, without one, and the AUSE of each judge."""
    expected, seen = factor * found.expected, found.visibility > 0.5
    kept = {f'{most:g}': _kept(found.error, seen & (expected <= most), most) for most in MOST}
    seen_at = {f'{most:g}': _kept(found.error, seen, most)['within'] for most in MOST}
    said = dict(zip(JUDGES, (expected, found.frames, -found.visibility)))
    return dict(all_mean=round(float(found.error.mean()), 3), seen=round(float(seen.mean()), 4),
                seen_mean=_kept(found.error, seen, 1.)['mean'], seen_within=seen_at, kept=kept,
                AUSE={name: round(area_of(found.error, values), 4) for name, values in said.items()})


def _kept(error: np.ndarray, kept: np.ndarray, most: float) -> Dict[str, Optional[float]]:
    some = bool(kept.any())
    return dict(share=round(float(kept.mean()), 4),
                within=round(float((error[kept] <= most).mean()), 4) if some else None,
                mean=round(float(error[kept].mean()), 3) if some else None)


def honest_factor(found: Found) -> Optional[float]:
    """The smallest factor, in steps of a tenth up to 1 and of a fifth above, with which two thirds of what is kept at
    2 px is within 2 px; None where there is none up to 20."""
    seen = found.visibility > 0.5
    for factor in (*np.arange(0.1, 1., 0.1), *np.arange(1., 20.01, 0.2)):
        kept = seen & (factor * found.expected <= AT)
        if kept.any() and (found.error[kept] <= AT).mean() >= HONEST:
            return round(float(factor), 1)
    return None


def _print_kept(row: Dict[str, Any]) -> None:
    honest = f', honest with {row["honest_factor"]}' if 'honest_factor' in row else ''
    start = f'| {row["clips"]} | {row["tracker"]} | {row["errors"]}, times {row["factor"]:g}{honest} |'
    within = ', '.join(f'{px} px: {_percent(share)}' for px, share in row['seen_within'].items())
    print(f'{start} all that is seen | {_percent(row["seen"])} | {within} | {row["seen_mean"]} |')
    for most, kept in row['kept'].items():
        print(f'{start} {most} | {_percent(kept["share"])} | {_percent(kept["within"])} | {kept["mean"]} |', flush=True)


def _print_areas(rows: List[Dict[str, Any]]) -> None:
    print('\n| AUSE | ' + ' | '.join(JUDGES) + ' | mean error, px |\n' + '|---' * (2 + len(JUDGES)) + '|')
    for row in rows:
        print(f'| {row["clips"]}, {row["tracker"]}, {row["errors"]} | '
              + ' | '.join(f'{row["AUSE"][name]:.3f}' for name in JUDGES) + f' | {row["all_mean"]} |')


def _percent(share: Optional[float]) -> str:
    return '–' if share is None else f'{100 * share:.1f} %'


if __name__ == '__main__':
    run_command(main)

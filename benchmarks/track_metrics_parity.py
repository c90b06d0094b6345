"""Do our scores of tracks equal those of their authors' code? Random tracks, scored by both.

    git clone https://github.com/google-deepmind/tapnet
    git clone https://github.com/aharley/pips
    git clone https://github.com/aharley/pips2
    python benchmarks/track_metrics_parity.py --tapnet tapnet --pips pips --pips2 pips2

Printed for each figure: its range over the videos, and the largest difference. Their code for TAP-Vid runs in doubles,
that of PIPs and PIPs++ in single precision, with 1e-6 added to the count that a mean is divided by. Of their files only
the functions that score are run, so nothing of what else they import is needed; a network is one that answers with the
tracks that are to be scored.
"""
from __future__ import annotations

import argparse
import ast
import os
import types
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple
from unittest import mock

import numpy as np
import torch

from mmrefine.apis.commands import run_command
from mmrefine.evaluation.joints.pck import object_sizes, tally_keypoints
from mmrefine.evaluation.tracks.errors import tally_errors
from mmrefine.evaluation.tracks.tapvid import tally_tapvid, to_raster
from mmrefine.structures.track_protocols import QUERY_MODES, crohd_heads, draw_queries

Compared = Iterator[Tuple[str, Tuple[float, float]]]  # name, ours, theirs
# (height, width) px of the frames, and of those at which their code scores
CROHD_FRAMES, CROHD_SIZE = (1080, 1920), (768, 1280)
ODYSSEY_FRAMES, ODYSSEY_SIZE = (540, 960), (512, 896)
BADJA_SIZE = (320, 512)


def main() -> int:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tapnet', type=Path, help='a checkout of google-deepmind/tapnet')
    parser.add_argument('--pips', type=Path, help='a checkout of aharley/pips')
    parser.add_argument('--pips2', type=Path, help='a checkout of aharley/pips2')
    parser.add_argument('--videos', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    chosen = [(compare, folder) for compare, folder in (
        (_tapvid, args.tapnet), (_crohd, args.pips), (_badja, args.pips), (_odyssey, args.pips2)) if folder]
    if not chosen:
        parser.error('name a checkout: --tapnet, --pips or --pips2')
    print('| figure | lowest | highest | largest difference |\n|---|---|---|---|')
    for compare, folder in chosen:
        found: Dict[str, list] = {}
        for number in range(args.videos):
            for name, pair in compare(folder, np.random.default_rng([args.seed, number])):
                found.setdefault(name, []).append(pair)
        for name, pairs in found.items():
            ours, theirs = np.array(pairs).T
            print(f'| {name} | {theirs.min():.4g} | {theirs.max():.4g} | {abs(ours - theirs).max():.1e} |', flush=True)
    return 0


def _official(path: Path, *names: str, **given: Any) -> types.SimpleNamespace:
    """Some functions and constants of a file, without running the rest of it; ``given`` is what they find imported."""
    kept = [node for node in ast.parse(path.read_text(encoding='utf-8')).body
            if getattr(node, 'name', None) in names
            or isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', None) in names]
    code = compile(ast.Module(kept, []), str(path), 'exec', flags=annotations.compiler_flag)
    found = dict(given)
    exec(code, found)
    return types.SimpleNamespace(**{name: found[name] for name in names})


def _tracks(rng: np.random.Generator, count: int, frames: int, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, ``(N, T, 2)`` px: points that wander, and others that stray from them more and more."""
    start = rng.uniform(0, 1, (count, 1, 2)) * size[::-1]
    truth = start + np.cumsum(rng.normal(0, size[0] / 60, (count, frames, 2)), axis=1)
    drift = np.cumsum(rng.normal(0, size[0] / 256, (count, frames, 2)), axis=1) * rng.uniform(0, 3, (count, 1, 1))
    return truth, truth + drift


def _tapvid(folder: Path, rng: np.random.Generator) -> Compared:
    """Queries and all scores in both modes; each as (ours, theirs)."""
    official = _official(folder / 'tapnet/tapvid/evaluation_datasets.py', 'compute_tapvid_metrics',
                         'sample_queries_first', 'sample_queries_strided', np=np)
    size, count, frames = (int(rng.integers(100, 700)), int(rng.integers(100, 700))), 30, int(rng.integers(10, 60))
    truth, pred = _tracks(rng, count, frames, size)
    seen = rng.random((count, frames)) < 0.7
    for mode in QUERY_MODES:
        queries, tracks = draw_queries(truth, seen, mode)
        theirs = getattr(official, f'sample_queries_{mode}')(~seen, to_raster(truth, size), np.zeros(1))
        placed = np.column_stack([queries[:, 0], to_raster(queries[:, [2, 1]], size)[:, ::-1]])
        if placed.shape != theirs['query_points'][0].shape:
            raise SystemExit(f'{mode}: they ask {theirs["query_points"][0].shape}, we ask {placed.shape}')
        yield f'{mode}: queries', (abs(placed - theirs['query_points'][0]).max(), 0.)
        said = np.where(rng.random((len(tracks), frames)) < 0.85, seen[tracks], ~seen[tracks])
        ours = tally_tapvid(pred[tracks], said, truth[tracks], seen[tracks], queries, size, mode).scores()
        scores = official.compute_tapvid_metrics(theirs['query_points'], theirs['occluded'], theirs['target_points'],
                                                 ~said[None], to_raster(pred[tracks], size)[None], mode)
        for name, value in scores.items():
            own = {'average_jaccard': 'AJ', 'average_pts_within_thresh': 'delta_avg', 'occlusion_accuracy': 'OA'}.get(
                name, name.replace('pts_within', 'delta').replace('jaccard', 'Jaccard'))
            yield f'{mode}: {own}', (ours[own], 100 * float(value[0]))


def _crohd(folder: Path, rng: np.random.Generator) -> Compared:
    """The heads of a clip, and their ATE in both columns."""
    basic = _official(folder / 'utils/basic.py', 'EPS', 'reduce_masked_mean')
    official = _official(folder / 'test_on_crohd.py', 'prep_sample', 'run_pips', torch=torch,
                         F=torch.nn.functional, utils=types.SimpleNamespace(basic=_with_torch(basic)))
    count, stride = 100, 3
    truth, _ = _tracks(rng, count, 8, CROHD_FRAMES)
    truth = truth[:, :1] + (truth - truth[:, :1]) * rng.uniform(0, 3, (count, 1, 1))  # some hardly move
    present, seen = rng.random((count, 8)) < 0.98, rng.random((count, 8)) < 0.9
    # they take every third of the frames that they read; no score looks at an image, so one value fills them all
    read = {name: _theirs(values.repeat(stride, axis=1))
            for name, values in dict(xylist=truth, boxlist=truth, scorelist=present, vislist=seen).items()}
    read['rgbs'] = torch.zeros(1).expand(1, 8 * stride, *CROHD_FRAMES, 3)
    for column, heads in zip(('vis', 'occ'), crohd_heads(truth, present, seen)):
        sample, none = official.prep_sample(read, 16, stride, req_occlusion=column == 'occ')
        chosen = None if none else sample['trajs_g'].shape[2]
        if len(heads) != (chosen or 0):
            raise SystemExit(f'{column}: they choose {chosen} heads, we choose {len(heads)}')
        if none:
            continue
        yield f'heads {column}', (float(abs(_theirs(truth[heads]) - sample['trajs_g']).max()), 0.)
        scaled = truth[heads] * CROHD_SIZE[::-1] / CROHD_FRAMES[::-1]
        pred = scaled + rng.normal(0, 6, scaled.shape)
        with _on_cpu():
            scores = official.run_pips(_network(pred), sample, None)
        tally = tally_errors(pred, scaled, np.ones(scaled.shape[:2], bool), CROHD_SIZE, seen[heads]).scores()
        yield f'ATE_{column}', (tally[f'ATE_{column}'], scores['ate_all'])
        by_frame = tally_errors(pred, scaled, seen[heads], CROHD_SIZE).scores()
        yield f'ATE of visible points, {column}', (by_frame['ATE'], scores['ate_vis'])


def _badja(folder: Path, rng: np.random.Generator) -> Compared:
    """PCK of joints that are all seen in the first frame; the animal is a box that changes its size."""
    frames, count = int(rng.integers(10, 40)), 12
    truth, pred = _tracks(rng, count, frames, BADJA_SIZE)
    seen = rng.random((count, frames)) < 0.8
    seen[:, 0], pred[:, 0] = True, truth[:, 0]
    masks = np.zeros((frames, *BADJA_SIZE), np.uint8)
    for mask, side in zip(masks, rng.integers(20, 200, frames)):
        mask[50:50 + side, 100:100 + side] = 255
    colors = types.SimpleNamespace(preprocess_color=lambda images: images, get_n_colors=lambda number: None)
    official = _official(folder / 'test_on_badja.py', 'run_pips', torch=torch, F=torch.nn.functional,
                         utils=types.SimpleNamespace(improc=colors))
    sample = dict(file0='horse/0.jpg', rgbs=torch.zeros(1, frames, 3, *BADJA_SIZE), trajs=_theirs(truth),
                  visibles=_theirs(seen), segs=torch.from_numpy(masks)[None, :, None])
    with _on_cpu():
        theirs = official.run_pips(_joint_by_joint(pred), sample, None)
    pred, truth, visible = pred.swapaxes(0, 1), truth.swapaxes(0, 1), seen.T
    ours = tally_keypoints(pred, truth, visible, object_sizes('mask', truth, visible, masks)).scores()
    yield 'PCK@0.2', (100 * ours['PCK@0.2'], theirs['pck'])


def _joint_by_joint(pred: np.ndarray) -> Callable[..., Any]:
    """A network of theirs that is asked for eight frames of one joint at a time, and surely sees each, so that they go
    on from the last of them; then for the next joint."""
    asked = iter([(joint, frame) for joint in range(len(pred)) for frame in range(0, pred.shape[1], 7)])

    def network(*_: Any, **__: Any) -> Tuple[Any, ...]:
        joint, frame = next(asked)
        track = pred[joint, frame:frame + 8]
        track = np.concatenate([track, track[-1:].repeat(8 - len(track), axis=0)])
        return [_theirs(track[None])], None, torch.full((1, 8, 1), 10.), None

    return network


def _odyssey(folder: Path, rng: np.random.Generator) -> Compared:
    """Survival, median error and delta, which there leaves out frame 0 and asks for valid points, visible or not."""
    basic = _official(folder / 'utils/basic.py', 'EPS', 'reduce_masked_mean', 'reduce_masked_median')
    frames = int(rng.integers(10, 60))
    images = types.SimpleNamespace(imread=lambda path: np.zeros((*ODYSSEY_FRAMES, 3), np.uint8), INTER_LINEAR=0,
                                   resize=lambda image, side, interpolation: np.zeros((*side[::-1], 3), np.uint8))
    official = _official(folder / 'test_on_pod.py', 'test_on_fullseq', torch=torch, np=np, os=os, cv2=images,
                         print=lambda *words: None, utils=types.SimpleNamespace(basic=_with_torch(basic)))
    tracks = _tracks(rng, 40, frames, ODYSSEY_FRAMES)
    valid = rng.random((40, frames)) < 0.8
    valid[:, 0] = True  # where their tracks begin
    truth, pred = (points * ODYSSEY_SIZE[::-1] / ODYSSEY_FRAMES[::-1] for points in tracks)
    sample: Dict[str, Any] = dict(seq=[''], trajs=_theirs(tracks[0]), valids=_theirs(valid), visibs=_theirs(valid))
    with _on_cpu():
        theirs = official.test_on_fullseq(_network(pred), sample, None, S_max=frames, image_size=ODYSSEY_SIZE)
    ours = tally_errors(pred, truth, valid, ODYSSEY_SIZE).scores()
    yield 'survival@16', (ours['survival@16'], theirs['survival'])
    yield 'MTE', (ours['MTE'], theirs['median_l2'])
    queries, _ = draw_queries(truth, valid, 'first')  # all in frame 0
    delta = tally_tapvid(pred, valid, truth, valid, queries, ODYSSEY_SIZE, 'first').scores()
    for px in ('1', '2', '4', '8', '16', 'avg'):
        yield f'delta_{px} of valid points', (delta[f'delta_{px}'], theirs[f'd_{px}'])


def _theirs(values: np.ndarray) -> Any:
    """``(N, T, ...)`` as their code has it, single precision ``(1, T, N, ...)``."""
    return torch.from_numpy(values.swapaxes(0, 1)[None].astype(np.float32))


def _network(pred: np.ndarray) -> Callable[..., Any]:
    """A network of theirs that finds these tracks ``(N, T, 2)`` px, whatever it is shown."""
    return lambda *frames, **options: ([_theirs(pred)], None, None, None)


def _with_torch(basic: types.SimpleNamespace) -> types.SimpleNamespace:
    """Their functions find what their file imports."""
    for function in vars(basic).values():
        if callable(function):
            function.__globals__.update(torch=torch, np=np)
    return basic


def _on_cpu() -> Any:
    """Their code moves everything to a GPU; here it stays."""
    return mock.patch.object(torch.Tensor, 'cuda', lambda tensor: tensor)


if __name__ == '__main__':
    run_command(main)

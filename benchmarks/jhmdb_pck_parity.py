"""Does our PCK of JHMDB equal that of Contrastive Random Walk? Its ``eval_pck.py`` and ours on the same predictions.

    git clone https://github.com/ajabri/videowalk
    python benchmarks/jhmdb_pck_parity.py DATA --code videowalk

DATA holds ``Rename_Images`` and ``joint_positions`` of JHMDB. For each seed every video is predicted several times: its
true joints stray more and more, and in all but the first of these some count as not given. Both sides read the files of
the data set by themselves; theirs also reads the predictions, in cells of a grid of 40x40, from a folder. Needs SciPy,
as their code does. A prediction left of the frame (x < 0) means "not given" in their code wherever it occurs, so the
predictions here stay inside.
"""
from __future__ import annotations

import argparse
import ast
import contextlib
import io
import sys
import tempfile
import types
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence
from unittest import mock

import numpy as np

from mmrefine.apis.commands import run_command
from mmrefine.datasets import JhmdbClips
from mmrefine.errors import InputError
from mmrefine.evaluation.joints.pck import KeypointTally, object_sizes, tally_keypoints
from mmrefine.values import as_count

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
GRID = 40  # cells, of their predictions
TIMES = 4  # that a video is predicted


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='folder with Rename_Images and joint_positions')
    parser.add_argument('--code', type=Path, required=True, help='a checkout of ajabri/videowalk')
    parser.add_argument('--seeds', type=int, default=10)
    args = parser.parse_args(argv)
    as_count('--seeds', args.seeds)
    script = args.code / 'code/eval/eval_pck.py'
    if not script.is_file():
        raise InputError(f'{script}: there is no such file; name a checkout of https://github.com/ajabri/videowalk '
                         'with --code')
    videos = JhmdbClips(args.data, split=None)
    names = videos.videos * TIMES
    samples = [videos[i]['data_samples'] for i in range(len(videos))] * TIMES
    rows: List[List[float]] = []
    for seed in range(args.seeds):
        rng = np.random.default_rng(seed)
        predictions, given = zip(*(_stray(sample, rng, i < len(videos)) for i, sample in enumerate(samples)))
        ours = KeypointTally()
        for sample, points, seen in zip(samples, predictions, given):
            truth, visible = sample.points.numpy(), np.repeat(seen[None], len(points), axis=0)
            ours += tally_keypoints(points, truth, visible, object_sizes('joints', truth, visible), SHARES)
        scores = ours.scores()
        theirs = _official(script, args.data, names, samples, predictions, given)
        rows += [[share, 100 * scores[f'PCK@{share:g}_joints'], theirs[share]] for share in SHARES]
    print('| figure | lowest | highest | largest difference |\n|---|---|---|---|')
    table = np.array(rows)
    for share in SHARES:
        _, own, other = table[table[:, 0] == share].T
        print(f'| PCK@{share:g} | {other.min():.4g} | {other.max():.4g} | {abs(own - other).max():.1e} |')
    return 0


def _stray(sample: Any, rng: np.random.Generator, all_given: bool) -> Any:
    """Predictions ``(T, N, 2)`` px inside of the frame, and which joints are given ``(N,)``."""
    truth = sample.points.numpy()
    drift = np.cumsum(rng.normal(0, 4, truth.shape), axis=0) * rng.uniform(0, 2)
    given = all_given | (rng.random(truth.shape[1]) < 0.8)
    return (truth + drift).clip(0, np.array(sample.size[::-1]) - 1.), given & sample.visible[0].numpy()


def _official(path: Path, data: Path, names: List[str], samples: List[Any], predictions: Any,
              given: Any) -> Dict[float, float]:
    """The means over joints that their script computes, in percent, by share."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f'{data / "Rename_Images" / name} {data / "joint_positions" / name / "joint_positions.mat"}\n'
                 for name in names]
        (Path(folder) / 'list.txt').write_text(''.join(lines))
        for i, (sample, points, seen) in enumerate(zip(samples, predictions, given)):
            cells = points / np.array(sample.size[::-1], float) * GRID
            cells[:, ~seen] = -1
            with open(Path(folder) / f'{i}.dat', 'wb') as file:
                np.save(file, cells.transpose(2, 1, 0))
        own = dict(filelist=str(Path(folder) / 'list.txt'), src_folder=f'{folder}/')
        tree = ast.parse(path.read_text(encoding='utf-8'))
        for node in tree.body:  # their paths give way to ours
            if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', None) in own:
                node.value = ast.copy_location(ast.Constant(own[node.targets[0].id]), node.value)
        # it imports scikit-image and does not use it
        unused = {name: types.ModuleType(name) for name in ('skimage', 'skimage.io')}
        unused['skimage'].io = unused['skimage.io']  # type: ignore[attr-defined]
        found: Dict[str, Any] = {}
        with mock.patch.dict(sys.modules, unused), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(tree, str(path), 'exec'), found)
    return {share: float(found['computePCK'](found['distAll'], share)[-1, 0]) for share in SHARES}


if __name__ == '__main__':
    run_command(main)

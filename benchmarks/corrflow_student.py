"""Do features of correspondence get better on the very video that they go on learning from, without truth?

Each video is refined on by itself (``configs/corrflow/resnet18_video.py``, guard on), at the height at which it is
shown; then the mask or the joints of its first frame are propagated to the end by the features before, by those that
training ended with, and by those that the guard hands back. Scores are those of ``propagation.py``: J and F, or PCK,
percent. ``handed back`` is what the guard decided. With ``--part-way 0.25 0.5 0.75`` networks so far from the weights
before to those of the student are scored, too; ``forgotten`` is by how much the error of tracks on the guard's rendered
clips rose, percent.

Runs that are done and rows that have their scores are kept in the work dir and not repeated, so this may be stopped and
started again, and videos may run side by side in processes of their own.

    python benchmarks/corrflow_student.py --davis DAVIS --jhmdb JHMDB --checkpoint corrflow.pth
"""
from __future__ import annotations

import argparse
import copy
import time
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from propagation import CONFIG, Video, add_videos, by_features, print_tables, row_of, videos_of

from mmrefine.apis import init_model, refine
from mmrefine.apis.commands import Overrides, run_command
from mmrefine.config.load import load_config
from mmrefine.engine.guard.candidates import mixed_state
from mmrefine.engine.guard.clip_witnesses import rendered_tally
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio import digest_of, write_image, write_json
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.report import read_report
from mmrefine.values import as_number

BEFORE, STUDENT, GUARDED = 'before', 'student', 'handed back'
RENDERED = 8  # clips, as many as the guard looks at by default


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Refine, propagate, print the tables."""
    args = _parser().parse_args(argv)
    if args.davis is None and args.jhmdb is None and args.rendered is None:
        raise ConfigError('there is nothing to refine on; name videos with --davis, --jhmdb or --rendered')
    if not args.checkpoint.is_file():
        raise CheckpointError(f'{args.checkpoint}: there is no such checkpoint; name refined.pth of a training of '
                              'configs/corrflow with --checkpoint')
    for part in args.part_way:
        as_number('--part-way', part, '[0, 1]')
    rows: List[Dict[str, Any]] = []
    for video in videos_of(args):
        folder = _refined(args, video)
        verdict = (read_report(folder) or {})['guard']['reason']
        before, student, guarded = (init_model(CONFIG, path) for path in (
            args.checkpoint, folder / f'iter_{args.steps}.pth', folder / 'refined.pth'))
        networks = [(BEFORE, before), *((f'{100 * part:g} % of the way', _part_way(before, student, part))
                                        for part in args.part_way), (STUDENT, student), (GUARDED, guarded)]
        unforgotten = _rendered_error(before) if args.part_way else None
        for name, network in networks:
            row = dict(row_of(args.work_dir / 'scores', video, by_features(name, network)), verdict=verdict)
            if unforgotten is not None:
                row['forgotten'] = round(100 * (_rendered_error(network) / unforgotten - 1), 1)
                print(f'    forgotten: {row["forgotten"]:+.1f} %', flush=True)
            rows.append(row)
        print(f'{video.name}: {verdict}', flush=True)
    print_tables(rows)
    if args.out is not None:
        write_json(args.out, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_videos(parser)
    parser.add_argument('--checkpoint', type=Path, required=True, metavar='FILE', help='features to start from')
    parser.add_argument('--steps', type=int, default=200, help='of refinement')
    parser.add_argument('--part-way', nargs='+', type=float, default=[], metavar='SHARE',
                        help='networks to score between the weights before (0) and those of the student (1)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/corrflow_student'))
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for all rows')
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={}, metavar='KEY=VALUE',
                        help='of configs/corrflow/resnet18_video.py, such as optim_wrapper.optimizer.lr=1e-4')
    return parser


def _part_way(before: Any, student: Any, part: float) -> Any:
    network = copy.deepcopy(before)
    network.load_state_dict(mixed_state(before.state_dict(), student.state_dict(), part))
    return network


def _rendered_error(network: Any) -> float:
    """ATE on the clips that the guard looks at for what was forgotten, px."""
    total = reduce(add, (rendered_tally(network.track, number) for number in range(RENDERED)))
    return float(total.scores()['ATE'])


def _refined(args: argparse.Namespace, video: Video) -> Path:
    """The work dir of the refinement on a video; it is done or gone on with first if it is not finished."""
    options = dict(max_iters=args.steps, num_workers=0, load_from=str(args.checkpoint), **args.cfg_options)
    cfg = load_config(CONFIG, options)
    settings = {key: value for key, value in cfg.to_dict().items() if key != 'load_from'}
    pixels = video.frames.permute(0, 2, 3, 1).contiguous().numpy()
    decides = [list(pixels.shape), digest_of_bytes(pixels.tobytes()), digest_of_bytes(args.checkpoint.read_bytes()),
               settings]
    folder: Path = args.work_dir / 'runs' / video.kind / video.name / f'{video.height}_{digest_of(decides)}'
    if not (folder / 'report.json').is_file():
        for t, frame in enumerate(pixels):
            path = folder / 'frames' / video.name / f'{t:05d}.png'
            if not path.is_file():
                write_image(path, frame)
        started = time.monotonic()
        refine(folder / 'frames', cfg, folder, resume=True)
        print(f'{video.name}: refined in {time.monotonic() - started:.0f} s', flush=True)
    return folder


if __name__ == '__main__':
    run_command(main)

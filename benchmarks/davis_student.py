"""Did it really get better, on real video? The official RAFT-small refined without truth, judged by masks and joints.

Two settings. Test time: refined on each DAVIS sequence by itself (``student``; with ``--verify`` on passes that the
verifier weighs), and, as rivals, on labels that its teacher made at 1x or as a row of ``rival_rows.py`` does. With
``--transfer`` on a folder of other videos, and judged on sequences it never saw: as they are (``transfer``), seen at
random sizes and stretches (``scaled``), or as they are beside rendered pairs with their truth (``replay``, as
``mmrefine refine --labelled rendered`` does). Each is judged as training left it and as the guard hands it back
(``… guarded``): the student, something between teacher and student, or the teacher itself. Of the first two students
of other videos there is also the mean of their weights (``mean``).

Beside them stand the first truth left in place, the original network (1x), and the view that labels come from (1x then
2x, several times the price); with ``--views`` also four passes that are arbitrated or verified. ``closed`` is (student
- 1x) / (2x - 1x), where 2x is better at all. What is judged: see ``davis_clips.score_clip``.

A row that the JSON has already is not made again, so it may be stopped and started again, and sequences may run side
by side in processes of their own.

    python benchmarks/davis_student.py --davis DAVIS --badja BADJA --transfer VIDEOS
    python benchmarks/davis_student.py --davis DAVIS --badja BADJA --sequences dog --students student
    python benchmarks/davis_student.py --davis DAVIS --badja BADJA --students student --verify
    python benchmarks/davis_student.py --davis DAVIS --badja BADJA --students student --model raft_small_convex
    python benchmarks/davis_student.py --davis DAVIS --badja BADJA --students 'warp and smoothness' student --rate 0.3 1
"""
from __future__ import annotations

import argparse
import re
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import cv2
import torch
from davis_clips import MEASURES, Clip, Flow, read_clip, score_clip, sequences
from davis_table import percent, show
from kept_rows import Row, kept_row, read_rows
from mmengine.config import Config, DictAction
from rival_rows import OURS, ROWS, config_of

from mmrefine.apis import init_model, refine
from mmrefine.apis.average import average_checkpoints
from mmrefine.apis.commands import run_command
from mmrefine.apis.verifiers import VERIFIER, verify_values
from mmrefine.compat.model_names import find_config
from mmrefine.config.load import load_config
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio import digest_of, digest_of_state, list_scenes, open_frames, write_image
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.labeling.description import with_contents
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import LookRequest, PairBatch

ROOT = Path(__file__).resolve().parents[1]
IN_PLACE, PLAIN, LOOK, STUDENT, RIVAL = 'in place', '1x', '1x then 2x', 'student', 'of 1x labels'
TRANSFER, SCALED, REPLAY, MEAN = 'transfer', 'scaled', 'replay', 'mean'
OTHERS = (TRANSFER, SCALED, REPLAY)  # students of other videos
AVERAGED = (TRANSFER, SCALED)
RIVALS = tuple(name for name, row in ROWS.items() if row.rate_of or row.mixed or name == OURS)
VIEWS = {'arbitrated': dict(type='ArbitratedView'), 'verified': dict(type='ArbitratedView', verifier=VERIFIER)}
GUARDED = ' guarded'
SCALING = dict(type='RandomScaleStretch', scale=(-0.3, 0.4), crop_size='{crop_size}')
HELD = dict(type='FramePairs', data_root='{video}', held_out='{held_out}', held=True, pipeline=[dict(type='PackPair')])


class Videos(NamedTuple):
    """What a student is refined on: a folder that is there once :func:`_frames` has filled it."""
    name: str
    digest: str
    clip: Optional[Clip]


class Shown(NamedTuple):
    """What is scored, and a digest of what decides over it: what the guard hands back is often one of the others."""
    flow: Flow
    digest: str


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Refine, carry, print the tables."""
    args = _parser().parse_args(argv)
    if not Path(args.checkpoint).is_file():
        raise CheckpointError(f'{args.checkpoint}: there is no such checkpoint; make it from the official RAFT-small '
                              'with tools/convert_checkpoint.py, or name it with --checkpoint')
    students = [*args.students, *(args.others if args.transfer is not None else ())]
    averaged = set(AVERAGED) <= set(students)
    rates = args.rate * len(args.students) if len(args.rate) == 1 else args.rate
    if len(rates) != len(args.students):
        raise ConfigError(f'--rate: found {len(rates)} factors for {len(args.students)} students; give one for all, or '
                          'one for each in the order of --students')
    options: Dict[str, Any] = dict(
        max_iters=args.steps, crop_size=(192, 320), num_workers=0, load_from=args.checkpoint,
        report_groups=dict(refined=HELD), batch_size=4)
    options['optim_wrapper.type'] = 'BFloat16OptimWrapper'  # as the demo: half the time where the CPU knows it
    options.update({'model.train_iters': min(8, args.iters), 'model.test_iters': args.iters, **args.cfg_options})
    base = str(find_config(args.model))
    cfg = load_config(base, options)
    cfgs = {
        **{name: cfg for name in (IN_PLACE, PLAIN, LOOK, *VIEWS)},
        STUDENT: load_config(base, {**verify_values(cfg, args.verify), **options}),
        RIVAL: load_config(base, {**options, **_one_look(cfg)}),
        **{name: load_config(base, {**options, 'max_iters': args.transfer_steps}) for name in OTHERS},
        **{name: config_of(name, base, options, rate) for name, rate in zip(args.students, rates) if name in RIVALS}
    }
    kinds = [part.type for part in cfg.train_pipeline]
    cfgs[SCALED].train_pipeline.insert(kinds.index('RandomCrop'), SCALING)
    results: Dict[str, Dict[str, Row]] = {}
    for name in args.sequences or sequences(args.davis):
        clip = read_clip(args.davis, args.badja, name, (args.height, args.width), args.frames, args.points)
        rows = results[name] = {network: _result(args, clip, network, cfgs[network])
                                for network in (IN_PLACE, PLAIN, LOOK, *args.views)}
        for student in students:
            rows.update(_student_results(args, clip, student, cfgs))
        if averaged:
            rows[MEAN] = _mean_result(args, clip, cfgs)
    columns = [IN_PLACE, PLAIN, LOOK, *args.views, *(name + end for name in students for end in ('', GUARDED))]
    show(results, columns + [MEAN] * averaged)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--davis', type=Path, default=Path('data/davis'),
                        help='folder with JPEGImages/480p and Annotations/480p')
    parser.add_argument('--badja', type=Path,
                        help='folder with <sequence>.json; without it, and for other sequences, there is no PCK')
    parser.add_argument('--points', type=Path, metavar='CSV',
                        help='points in the first and in the last frame: sequence, frames, first_x, first_y, last_x, '
                             'last_y (px of the files); without it there is no D')
    parser.add_argument('--model', default='raft_small', choices=('raft_small', 'raft_small_convex'), help='to refine')
    parser.add_argument('--checkpoint', default=str(ROOT / 'checkpoints' / 'raft-small-mmrefine.pth'),
                        help='official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--sequences', nargs='+', help='default: all there are')
    parser.add_argument('--students', nargs='*', choices=(STUDENT, RIVAL, *RIVALS), default=[STUDENT, RIVAL],
                        help='of the test-time setting')
    parser.add_argument('--rate', nargs='+', type=float, default=[1.], metavar='FACTOR',
                        help='on the rate of learning of rows of rival_rows.py: one, or one for each student')
    parser.add_argument('--verify', action='store_true',
                        help='the students of the test-time setting learn from passes that the verifier weighs')
    parser.add_argument('--transfer', type=Path, metavar='VIDEOS',
                        help='folder of scenes, none of them scored, for the transfer setting')
    parser.add_argument('--views', nargs='*', choices=list(VIEWS), default=[], help='of four passes, to judge as well')
    parser.add_argument('--others', nargs='+', choices=OTHERS, default=list(AVERAGED),
                        help='students of the transfer setting')
    parser.add_argument('--transfer-frames', type=int, default=12, help='of each of them, from its start')
    parser.add_argument('--transfer-steps', type=int, default=500, help='of refinement on them, 4 crops each')
    parser.add_argument('--steps', type=int, default=300, help='of refinement on one sequence, 4 crops each')
    parser.add_argument('--height', type=int, default=240, help='working size, px')
    parser.add_argument('--width', type=int, default=432, help='working size, px')
    parser.add_argument('--iters', type=int, default=12, help='iterations of the network; at most 8 in training')
    parser.add_argument('--frames', type=int, help='only the first so many frames, at least 3, to try it out')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/davis_student'))
    parser.add_argument('--out', type=Path, metavar='JSON', help='all rows (default: scores.json of the work dir)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='of the config of the model')
    return parser


def _one_look(cfg: Config) -> Dict[str, Any]:
    """Options for labels of the same labeler that sees no more than the student."""
    # which may compare passes
    labeler = {key: value for key, value in cfg.labeler.to_dict().items() if key != 'balance'}
    return dict(labeler=dict(labeler, _delete_=True, view=dict(type='CascadeView', scales=(1., ))))


def _result(args: argparse.Namespace, clip: Clip, network: str, cfg: Config) -> Row:
    """The scores of a network that is not refined."""
    if network == IN_PLACE:
        still = Shown(lambda frames1, frames2: torch.zeros_like(frames1[:, :2]), network)
        return _kept(args, clip, network, [], lambda: still)
    view = cfg.labeler.view.to_dict() if network == LOOK else VIEWS.get(network)
    weights = Path(cfg.load_from)
    decides = [cfg.model.to_dict(), digest_of_bytes(weights.read_bytes()), view and _described(view)]
    return _kept(args, clip, network, decides, lambda: _shown(cfg, weights, view), model=args.model)


def _described(view: Dict[str, Any]) -> Dict[str, Any]:
    """The settings of a view, and what the files hold that they name."""
    return with_contents(TEACHER_VIEWS.build(view), view)


def _student_results(args: argparse.Namespace, clip: Clip, student: str, cfgs: Mapping[str, Config]) -> Dict[str, Row]:
    """The scores of a student as training left it, and as the guard handed it back; refined first if need be."""
    cfg = cfgs[student]
    named = {student: f'iter_{cfg.max_iters}.pth', student + GUARDED: 'refined.pth'}
    decides = [_folder_of(args, clip, student, cfg).name, _described(cfg.labeler.view.to_dict())]
    how = dict(model=args.model, verified=args.verify and student == STUDENT, steps=cfg.max_iters,
               lr=cfg.optim_wrapper.optimizer.lr)
    return {network: _kept(args, clip, network, [*decides, weights],
                           lambda file=weights: _shown(cfg, _trained(args, clip, student, cfgs) / file), **how)
            for network, weights in named.items()}


def _mean_result(args: argparse.Namespace, clip: Clip, cfgs: Mapping[str, Config]) -> Row:
    """The scores of the mean of the weights of students of other videos, as training left them."""
    cfg = cfgs[SCALED]

    def mean() -> Shown:
        folders = [_trained(args, clip, name, cfgs) for name in AVERAGED]
        weights = [folder / f'iter_{cfg.max_iters}.pth' for folder in folders]
        return _shown(cfg, average_checkpoints(weights, folders[-1] / 'mean.pth'))

    decides = [_folder_of(args, clip, name, cfgs[name]).name for name in AVERAGED]
    return _kept(args, clip, MEAN, decides, mean, model=args.model, steps=cfg.max_iters)


def _trained(args: argparse.Namespace, clip: Clip, student: str, cfgs: Mapping[str, Config]) -> Path:
    """The folder of a student, which is refined first if need be."""
    folder = _folder_of(args, clip, student, cfgs[student])
    if not (folder / 'report.json').is_file():
        if student in OTHERS[1:]:
            _share_labels(_folder_of(args, clip, TRANSFER, cfgs[TRANSFER]) / 'labels', folder / 'labels')
        more = dict(labelled='rendered') if student == REPLAY else {}
        # it may have been stopped
        refine(_frames(args, _videos(args, clip, student), folder), cfgs[student], folder, resume=True, **more)
    return folder


def _share_labels(made: Path, wanted: Path) -> None:
    """The labels of the first student of other videos, if it is there, for another one, which learns from the same."""
    if made.exists() and not wanted.exists():
        shutil.rmtree(wanted.with_name('copy'), ignore_errors=True)  # of a run that was stopped
        shutil.copytree(made, wanted.with_name('copy')).rename(wanted)


def _videos(args: argparse.Namespace, clip: Clip, student: str) -> Videos:
    if student not in OTHERS:
        return Videos(clip.name, clip.digest, clip)
    return Videos(TRANSFER, f'{_digest_of_videos(args.transfer)} {args.transfer_frames}', None)


def _folder_of(args: argparse.Namespace, clip: Clip, student: str, cfg: Config) -> Path:
    """Where a student is or will be, by everything that decides over it."""
    videos = _videos(args, clip, student)
    settings = {key: value for key, value in cfg.to_dict().items() if key != 'load_from'}
    decides = [(args.height, args.width, 3), videos.digest, digest_of_bytes(Path(cfg.load_from).read_bytes()), settings]
    return args.work_dir / videos.name / f'{re.sub(r"[^a-z0-9.]+", "_", student)}_{digest_of(decides)}'


@lru_cache(maxsize=None)
def _digest_of_videos(folder: Path) -> str:
    return digest_of([open_frames(scene).digest() for scene in list_scenes(folder).values()])


def _frames(args: argparse.Namespace, videos: Videos, folder: Path) -> Path:
    """The folder of the frames to refine on, which are written there."""
    if videos.clip is not None:
        scenes = {videos.name: videos.clip.frames}
    else:
        sources = {name: open_frames(scene) for name, scene in list_scenes(args.transfer).items()
                   if name not in sequences(args.davis)}
        # that of the scored sequences, and so their shape: these videos may have been squeezed
        size = (args.width, args.height)
        scenes = {
            name: [cv2.resize(source[i], size, interpolation=cv2.INTER_CUBIC)
                   for i in range(min(len(source), args.transfer_frames))]
            for name, source in sources.items()
        }
    for name, frames in scenes.items():
        for t, frame in enumerate(frames):
            write_image(folder / 'frames' / name / f'{t:05d}.png', frame)
    return folder / 'frames' / videos.name if videos.clip is not None else folder / 'frames'


def _shown(cfg: Config, weights: Path, view: Any = None) -> Shown:
    """What a network says carries the first frames to the second, in one pass or through a ``view``."""
    model = init_model(cfg, weights)
    model.test_iters = cfg.model.test_iters
    digest = digest_of([digest_of_state(model.estimator.state_dict()), model.test_iters, view and _described(view)])
    if view is None:
        return Shown(lambda frames1, frames2: model.estimate(frames1, frames2)[-1], digest)
    part, forward = TEACHER_VIEWS.build(view), LookRequest(backward=False)
    return Shown(lambda frames1, frames2: part.look(model, PairBatch(frames1, frames2), forward).flow_fw, digest)


def _kept(args: argparse.Namespace, clip: Clip, network: str, decides: List[Any], make: Callable[[], Shown],
          **how: Any) -> Row:
    """A row of the JSON, by everything that decides over it; made and put there, with ``how`` the network was made, if
    it is not. What is scored already under another name is not scored again."""
    truth = [clip.frames[0].shape, clip.digest, *([clip.ends.tolist()] if len(clip.ends) else [])]
    out = args.out or args.work_dir / 'scores.json'

    def scores() -> Row:
        shown = make()
        same = digest_of([*truth, shown.digest])
        found = next((row for row in read_rows(out) if row.get('shown') == same), None) or score_clip(clip, shown.flow)
        return dict(sequence=clip.name, network=network, frames=len(clip.frames), **how, shown=same,
                    **{name: found[name] and round(found[name], 4) for name in MEASURES})

    found = kept_row(out, digest_of([*truth, *decides]), scores, args.work_dir / 'locks',
                     ('sequence', 'network', 'frames'))
    print(f'{clip.name}, {network}:', *(f'{measure} {percent(found[measure])}' for measure in MEASURES), flush=True)
    return found


if __name__ == '__main__':
    run_command(main)

"""Is the guard right on all kinds of video? Students that were taught on rendered videos in many situations, judged by
the guard without truth, and by the truth on their video and on the same scenes as they were.

Each situation (`situations.py`) is a video of a few scenes of 96x128 px. The demo network is taught on what is not kept
back of it, as the demo teaches (its labels, its augmentations, 100 steps at a rate of 4e-4); ten of them are taught by
two more recipes, at a rate of 3e-3 and on labels of a single pass without pairs of known motion. The guard then decides
as it does in a run. Printed: a line for each student, and whether the goals hold:

- no network handed back is worse than the original one by more than 2 % on the video,
- none learned from a video without motion or texture, and none that learned from an overlaid video is worse by more
  than 2 % on the same scenes without the overlay,
- of the students of plain videos with enough evidence that are better by 5 % or more 80 % are accepted,
- the rank correlation of score and true change over the students of plain videos is 0.9 or more.

Students and their true errors are kept in the work dir, so a changed guard is judged again without any training, and a
run that was stopped goes on; so several processes may each do some of the situations (`--only`) before one run puts
their results together. The results of a run are in `results.json`.

    python benchmarks/guard_situations.py
    python benchmarks/guard_situations.py --only fog night --recipes demo
    python benchmarks/guard_situations.py --list
"""
from __future__ import annotations

import argparse
import copy
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from guard_trust import CHECKPOINT, rank_correlation
from short_lessons import CONFIG, Lesson, recipe_digest, teach
from situations import BY_NAME, SITUATIONS, SIZE, TAUGHT_MORE, Clip, Situation

import mmrefine
from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.config.load import load_config
from mmrefine.datasets import FramePairs
from mmrefine.engine.guard.candidates import Candidate, candidate_record, choose, compare_together, mixed_state, rate
from mmrefine.engine.guard.flow_witnesses import FlowWitnesses
from mmrefine.engine.guard.observer import Observer
from mmrefine.engine.guard.video_check import nothing_to_learn
from mmrefine.fileio import save_checkpoint
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.images import write_image
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FlowRefiner
from mmrefine.structures import PairBatch, as_frames

STEPS = (0.25, 0.5, 0.75, 1.)
HELD = dict(held_out=0.25, least_held=12)
WORSE, BETTER = 2., -5.  # % of the error that count as worse and as better


class Recipe(NamedTuple):
    """How a student is taught: config of the labeler, learning rate, share of the pairs of known motion."""
    labeler: Dict[str, Any]
    rate: float
    known: float


class Taught(NamedTuple):
    """A student: the pairs that it learned from and those that were kept back, its network, and the true errors, px, on
    the video and on the plain scenes, by the step from teacher to student.
    """
    sides: List[FramePairs]
    network: FlowRefiner
    truth: Dict[str, Dict[str, float]]


@lru_cache(maxsize=None)
def recipes() -> Dict[str, Recipe]:
    """Recipes by name."""
    demo = {key: value for key, value in load_config(CONFIG).labeler.to_dict().items() if key != 'type'}
    single = dict(view=dict(type='CascadeView', scales=(1., )), floor=0.3,
                  filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)])
    return dict(demo=Recipe(demo, 4e-4, 0.3), fast=Recipe(demo, 3e-3, 0.3), single=Recipe(single, 4e-4, 0.))


def main() -> int:
    """Teach, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', metavar='SITUATION', help='some of the situations')
    parser.add_argument('--recipes', nargs='+', default=list(recipes()), choices=list(recipes()))
    parser.add_argument('--steps', type=int, default=100, help='optimiser steps of each student')
    parser.add_argument('--still', type=float, default=0., help='weight of one more witness: motion of what is still')
    parser.add_argument('--agreement', type=float, default=0., help='weight of another: agreement under noise and blur')
    parser.add_argument('--list', action='store_true', help='the names of all situations')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/guard_situations'))
    args = parser.parse_args()
    if args.list:
        print('\n'.join(BY_NAME))
        return 0
    unknown = [name for name in args.only or () if name not in BY_NAME]
    if unknown:
        parser.error(f'there is no situation {unknown[0]!r}; --list names all')
    teacher, found = init_model(CONFIG, CHECKPOINT), []
    print(f'{"situation":38}{"recipe":8}{"kind":10}{"student":>9}{"plain":>9}{"score":>9}{"runs":>6}  '
          f'{"verdict":18}{"way":>5}{"handed":>9}{"plain":>9}')
    for situation, name in lessons(args.only, args.recipes):
        found.append(_judged(args, situation, name, teacher))
        print(_line(found[-1]), flush=True)
        write_json(args.work_dir / 'results.json', dict(students=found))
    goals = _goals(found)
    write_json(args.work_dir / 'results.json', dict(students=found, goals=goals))
    print()
    for goal in goals:
        print(f'{"holds" if goal["holds"] else "DOES NOT HOLD":15}{goal["goal"]}: {goal["found"]}')
    return 0 if all(goal['holds'] for goal in goals) else 1


def lessons(only: Optional[Sequence[str]], names: Sequence[str]) -> List[Tuple[Situation, str]]:
    """Situations, all or some, with the names of the recipes by which each is taught."""
    chosen = SITUATIONS if only is None else [BY_NAME[name] for name in only]
    return [(one, name) for one in chosen for name in names if name == 'demo' or one.name in TAUGHT_MORE]


def _judged(args: argparse.Namespace, situation: Situation, name: str, teacher: FlowRefiner) -> Dict[str, Any]:
    """What guard and truth say of one student."""
    judged_by = digest_of([situation.name, name, args.steps, recipes()[name], _more(args), _code_digest()])
    kept = args.work_dir / 'judged' / f'{judged_by}.json'
    if kept.is_file():
        found: Dict[str, Any] = json.loads(kept.read_text(encoding='utf-8'))
        return found
    sides, student, truth = taught(args.work_dir, situation, name, args.steps, teacher)
    nothing = nothing_to_learn(sides, lambda line: None)
    guard = dict(verdict='nothing to learn', reason=nothing) if nothing else _decision(
        teacher, student, sides[1], FlowWitnesses(**_more(args)))
    way = guard['chosen']['step'] if guard['verdict'] == 'student' else 0.
    changes = {step: {side: 100 * (errors[side] / truth['0.0'][side] - 1) for side in errors}
               for step, errors in truth.items()}
    found = dict(situation=situation.name, recipe=name, kind=situation.kind, guard=guard, way=way, truth=truth,
                 student=changes['1.0'], handed=changes[str(float(way))])
    write_json(kept, found)
    return found


def taught(work_dir: Path, situation: Situation, name: str, steps: int, teacher: FlowRefiner) -> Taught:
    """The student of a situation by the recipe ``name``, out of the work dir where it is there."""
    recipe = recipes()[name]
    video, plain = situation.render()
    root = work_dir / 'videos' / situation.name.replace(',', '').replace(' ', '_')
    for scene, clip in enumerate(video):
        for number, frame in enumerate(clip.frames):
            write_image(root / f'{scene:02d}' / f'{number:04d}.png', frame)
    sides = [FramePairs(root, **HELD, held=held) for held in (False, True)]
    key = digest_of([situation.name, name, steps, recipe, recipe_digest(), digest_of_bytes(
        CHECKPOINT.read_bytes()), [digest_of_bytes(clip.frames.tobytes()) for clip in video]])
    student = _student(work_dir / 'students' / f'{key}.pth', teacher, sides[0], recipe, steps)
    return Taught(sides, student, _truth(work_dir / 'students' / f'{key}.json', teacher, student, video, plain))


@lru_cache(maxsize=None)
def _code_digest() -> str:
    """Of what decides over students and verdicts: the code of the guard, and the files of this bench."""
    package = Path(mmrefine.__file__).parent
    here = Path(__file__).resolve()
    files = [path for folder in ('engine/guard', 'evaluation/guard', 'evaluation/flow')
             for path in (package / folder).glob('*.py')]
    files += [package / 'datasets/overlays.py', package / 'fileio/video/overlay.py', package / 'geometry/known_warp.py',
              here, here.with_name('situations.py'), CHECKPOINT]
    return digest_of([recipe_digest(), *(digest_of_bytes(path.read_bytes()) for path in sorted(files))])


def _student(path: Path, teacher: FlowRefiner, data: FramePairs, recipe: Recipe, steps: int) -> FlowRefiner:
    """The student, out of its file or taught now."""
    if path.is_file():
        student = copy.deepcopy(teacher)
        student.load_state_dict(torch.load(path, weights_only=True))
        return student
    pairs, labeler = [], FlowLabeler(**recipe.labeler)
    for item in map(data.__getitem__, range(len(data))):
        frames = as_frames([item['frame1'], item['frame2']])
        with torch.no_grad():
            labels = labeler.label_pairs(teacher, PairBatch(frames[:1], frames[1:]))[0]
        for label, pair in ((labels.forward, frames), (labels.backward, frames.flip(0))):
            if label is not None:
                pairs.append(Lesson(pair[0], pair[1], label.flow, label.weight, item['share_overlaid']()))
    pipeline: List[Dict[str, Any]] = []
    for part in load_config(CONFIG).train_pipeline[1:]:
        sized = dict(size=SIZE) if part['type'] == 'RandomCrop' else {}
        known = dict(prob=recipe.known) if part['type'] == 'SelfWarp' else {}
        if part['type'] != 'SelfWarp' or recipe.known:
            pipeline.append(dict(part, **sized, **known))
    student = teach(teacher, pairs, recipe.rate, steps, pipeline)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, student.state_dict())
    return student


def _truth(path: Path, teacher: FlowRefiner, student: FlowRefiner, video: Sequence[Clip],
           plain: Sequence[Clip]) -> Dict[str, Dict[str, float]]:
    """Step from teacher to student -> mean error, px, on the ``video`` and on the ``plain`` scenes."""
    if path.is_file():
        found: Dict[str, Dict[str, float]] = json.loads(path.read_text(encoding='utf-8'))
        return found
    network, found = copy.deepcopy(teacher), {}
    for step in (0., *STEPS):
        network.load_state_dict(mixed_state(teacher.state_dict(), student.state_dict(), step))
        found[str(step)] = dict(video=_error(network, video), plain=_error(network, plain))
    write_json(path, found)
    return found


@torch.no_grad()
def _error(network: FlowRefiner, clips: Sequence[Clip]) -> float:
    """Mean end-point error over all pixels whose motion is known, px."""
    total, count = 0., 0
    for clip in clips:
        frames = as_frames(clip.frames)
        for number, truth in enumerate(torch.from_numpy(clip.flow)):
            seen = network.estimate(frames[number:number + 1], frames[number + 1:number + 2])[-1][0].float()
            error = (seen - truth).norm(dim=0)[truth.isfinite().all(dim=0)]
            total, count = total + float(error.nan_to_num(1e3).double().sum()), count + error.numel()
    return total / count


def _more(args: argparse.Namespace) -> Dict[str, float]:
    """The weights of further witnesses."""
    return dict(still=args.still, agreement=args.agreement)


def _decision(teacher: FlowRefiner, student: FlowRefiner, held: FramePairs,
              witnesses: FlowWitnesses) -> Dict[str, Any]:
    """What the guard decides in a run."""
    witnesses.prepare(held, teacher, 'cpu', 0, lambda line: None)
    observer, network = Observer(witnesses, held.holds_whole_scenes), copy.deepcopy(teacher)
    seen = observer.observe(teacher)
    rated: List[Candidate] = []
    for step in STEPS:
        network.load_state_dict(mixed_state(teacher.state_dict(), student.state_dict(), step))
        rated.append(rate(observer, network, seen, 0, step))
    rated = compare_together(rated, observer)
    return candidate_record(rated, choose(rated), seen)


def _whole(found: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """What the guard says of the whole student; None if nothing was to be learned."""
    return next((one for one in found['guard'].get('candidates', ()) if one['step'] == 1.), None)


def _line(found: Dict[str, Any]) -> str:
    whole = _whole(found) or dict(change_percent=math.nan, runs='')
    return (f'{found["situation"]:38}{found["recipe"]:8}{found["kind"]:10}{found["student"]["video"]:+8.1f}%'
            f'{found["student"]["plain"]:+8.1f}%{whole["change_percent"]:+8.1f}%{whole["runs"]:>6}  '
            f'{found["guard"]["verdict"]:18}{found["way"]:5.2f}{found["handed"]["video"]:+8.1f}%'
            f'{found["handed"]["plain"]:+8.1f}%' + (' objected to' if whole.get('objection') else ''))


def _goals(found: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Each goal, what was found, and whether it holds."""
    plain = [one for one in found if one['kind'] == 'plain' and _whole(one) is not None]
    enough = [one for one in plain if one['guard']['verdict'] != 'unproven']
    better = [one for one in enough if one['student']['video'] <= BETTER]
    accepted = [one for one in better if one['guard']['verdict'] == 'student']
    worse = _names(one for one in found if one['handed']['video'] > WORSE)
    wrong = _names(one for one in found if one['guard']['verdict'] == 'student' and (
        one['kind'] == 'empty' or one['kind'] == 'overlaid' and one['handed']['plain'] > WORSE))
    trust = rank_correlation([one['student']['video'] for one in plain],
                             [_whole(one)['change_percent'] for one in plain]) if len(plain) > 2 else math.nan
    share = len(accepted) / len(better) if better else math.nan
    situations = len({one['situation'] for one in enough})
    goals: Sequence[Tuple[str, bool, str]] = (
        (f'nothing handed back is worse by more than {WORSE:g} % on the video', not worse, worse or 'none'),
        ('nothing handed back learned from an empty video or from an overlay', not wrong, wrong or 'none'),
        (f'80 % of the students better by {-BETTER:g} % or more are accepted', share >= 0.8,
         f'{len(accepted)} of {len(better)}, all but {_names(one for one in better if one not in accepted) or "none"}'),
        ('30 plain situations or more have enough evidence', situations >= 30, f'{situations}'),
        ('the rank correlation of score and truth is 0.9 or more', trust >= 0.9, f'{trust:.3f}'))
    return [dict(goal=goal, holds=bool(holds), found=text) for goal, holds, text in goals]


def _names(found: Any) -> str:
    return '; '.join(f'{one["situation"]} ({one["recipe"]})' for one in found)


if __name__ == '__main__':
    run_command(main)

"""Can the guard's score be trusted? Its ranking of well and badly trained students against their true error,
on rendered videos.

The demo network is spoilt and taught in many ways: labels of its second pass, of its first, of other pairs, without
motion, half as fast, blurred, noisy; rates from careful to a hundred times too high; steps between teacher and student
and beyond; noise in its weights; motion scaled up and down. Each student is judged by the guard on videos that are kept
back, and by the truth on the same pairs. Printed: both, the verdict, and the rank correlation (Spearman) of the true
error with each witness and with the score. Students lie in the work dir once they are made.

    python benchmarks/guard_trust.py --refined work_dirs/demo/refined.pth
    python benchmarks/guard_trust.py --look fog --work-dir work_dirs/guard_trust_fog
"""
from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from short_lessons import CONFIG, Lesson, recipe_digest, teach
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.datasets import FramePairs
from mmrefine.datasets.transforms import LoadTruth, PackPair
from mmrefine.engine import judge
from mmrefine.engine.guard.flow_witnesses import FlowWitnesses
from mmrefine.engine.guard.observer import Observer
from mmrefine.errors import MMRefineError
from mmrefine.evaluation.guard.comparison import compare, loss_against
from mmrefine.evaluation.guard.measures import FLOORS, WEIGHTS
from mmrefine.evaluation.guard.runs import independent_runs
from mmrefine.fileio import save_checkpoint
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FlowRefiner
from mmrefine.structures import PairBatch
from mmrefine.synthetic import STYLES, write_clips

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / 'configs' / 'demo' / 'raft_small_source.pth'
TWO_LOOKS, ONE_LOOK = (1., 2.), (1., )
WITNESSES = tuple(WEIGHTS)
LABELER = dict(filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)], floor=0.3)


Spoil = Callable[[List[Lesson]], List[Lesson]]


def main() -> int:
    """Make the students, judge them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--look', default='target', choices=sorted(STYLES))
    parser.add_argument('--videos', type=int, default=24, help='a quarter of them kept back')
    parser.add_argument('--frames', type=int, default=4)
    parser.add_argument('--steps', type=int, default=200, help='of each student that is taught')
    parser.add_argument('--refined', type=Path,
                        help='a network that learned long and well: what `make demo` leaves in its work dir')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/guard_trust'))
    args = parser.parse_args()
    write_clips(args.work_dir / 'videos', range(60000, 60000 + args.videos), args.frames, style=args.look)
    where = dict(data_root=args.work_dir / 'videos' / 'frames', truth_root=args.work_dir / 'videos' / 'flow',
                 held_out=0.25)
    judged = FramePairs(**where, held=True, pipeline=[LoadTruth(), PackPair()])
    teacher = init_model(CONFIG, CHECKPOINT)
    witnesses = FlowWitnesses()
    witnesses.prepare(FramePairs(**where, held=True), teacher, 'cpu', 0, lambda line: None)
    guard = Observer(witnesses)
    seen = guard.observe(teacher)
    before = judge(teacher, judged).scores()['EPE']
    print(f'the teacher: EPE {before:.3f} px on {len(guard)} pairs of {args.look}')
    print(f'{"student":34}{"EPE":>9}' + ''.join(f'{name:>9}' for name in WITNESSES)
          + f'{"score":>9}   interval, %        verdict')
    truth: List[float] = []
    said: Dict[str, List[float]] = {name: [] for name in (*WITNESSES, 'score')}
    wrong: List[str] = []
    for name, student in _students(args, teacher, FramePairs(**where)):
        found = guard.observe(student)
        after = _epe(student, judged)
        losses = [loss_against(one, other, WEIGHTS, FLOORS) for one, other in zip(found, seen)]
        alone = {key: np.mean([loss_against(one, other, {key: 1.}, FLOORS) for one, other in zip(found, seen)])
                 for key in WITNESSES}
        verdict = compare(losses, independent_runs(losses, guard.scenes))
        objection = witnesses.objection(seen, found)
        is_better = verdict.is_better and objection is None
        truth.append(after)
        for key, value in (*alone.items(), ('score', np.mean(losses))):
            said[key].append(float(value))
        if is_better and after > before:
            wrong.append(name)
        print(f'{name:34}{100 * (after / before - 1):+8.1f}%'
              + ''.join(f'{100 * np.expm1(said[key][-1]):+8.1f}%' for key in said)
              + f'   {100 * verdict.low:+7.1f} {100 * verdict.high:+7.1f}   '
                f'{"better" if is_better else "refused"}', flush=True)
    print(f'\nrank correlation with the true error, {len(truth)} students: '
          + ', '.join(f'{key} {rank_correlation(truth, values):.3f}' for key, values in said.items()))
    print(f'worse than the teacher and yet called better: {len(wrong)} {wrong or ""}')
    (args.work_dir / 'said.json').write_text(json.dumps(dict(truth=truth, before=before, **said)), encoding='utf-8')
    return 1 if wrong else 0


def _epe(student: FlowRefiner, judged: FramePairs) -> float:
    """The true error; a network that says nan somewhere has lost its way beyond measure."""
    try:
        return float(judge(student, judged).scores()['EPE'])
    except MMRefineError:
        return 1e9


def _students(args: argparse.Namespace, teacher: FlowRefiner, data: FramePairs) -> Iterator[Tuple[str, FlowRefiner]]:
    """Names and networks; those that are taught are kept in the work dir."""
    lessons = {scales: _lessons(teacher, data, scales) for scales in (TWO_LOOKS, ONE_LOOK)}
    taught: Dict[str, Tuple[Tuple[float, ...], Spoil, float]] = {
        f'{what}, rate {rate:g}': (scales, spoil, rate)
        for what, scales, spoil, rates in (
            ('labels of two looks', TWO_LOOKS, _as_they_are, (1e-4, 4e-4, 8e-4, 2e-3, 8e-2)),
            ('labels of one look', ONE_LOOK, _as_they_are, (1e-4, 4e-4)),
            ('labels of other pairs', TWO_LOOKS, _of_others, (2e-5, 1e-4, 4e-4, 8e-2)),
            ('labels without motion', TWO_LOOKS, _scaled(0.), (2e-5, 1e-4)),
            ('labels half as fast', TWO_LOOKS, _scaled(0.5), (2e-5, 1e-4, 4e-4)),
            ('labels a tenth too fast', TWO_LOOKS, _scaled(1.1), (1e-4, 4e-4)),
            ('blurred labels', TWO_LOOKS, _blurred, (1e-4, 4e-4)),
            ('noisy labels', TWO_LOOKS, _noisy, (1e-4, 4e-4)))
        for rate in rates
    }
    made: Dict[str, FlowRefiner] = {}
    for name, (scales, spoil, rate) in taught.items():
        made[name] = _taught(args, name, teacher, spoil(lessons[scales]), rate)
        yield name, made[name]
    good = made['labels of two looks, rate 0.0008']
    for part in (0.25, 0.5, 0.75, 1.5, 2.5, -0.5):
        yield f'{part:g} of the way to the student', _between(teacher, good, part)
    if args.refined is not None:
        refined = init_model(CONFIG, args.refined)
        for part in (0.1, 0.25, 0.5, 0.75, 1., 1.25):
            yield f'{part:g} of the way to {args.refined.name}', _between(teacher, refined, part)
    for noise in (0.005, 0.02, 0.05, 0.1):
        yield f'weights with {noise:.1%} of noise', _shaken(teacher, noise)
    for factor in (0.8, 0.95, 1.05, 1.2):
        yield f'motion times {factor:g}', _louder(teacher, factor)


@torch.no_grad()
def _lessons(teacher: FlowRefiner, data: FramePairs, scales: Sequence[float]) -> List[Lesson]:
    labeler = _labeler(scales)
    lessons = []
    for i in range(len(data)):
        frames = [torch.from_numpy(data[i][name]).permute(2, 0, 1).float() / 255 for name in ('frame1', 'frame2')]
        label = labeler.label_pairs(teacher, PairBatch(*(frame[None] for frame in frames)))[0].forward
        lessons.append(Lesson(*frames, label.flow, label.weight))
    return lessons


def _labeler(scales: Sequence[float]) -> FlowLabeler:
    return FlowLabeler(view=dict(type='CascadeView', scales=scales), **LABELER)


def _taught(args: argparse.Namespace, name: str, teacher: FlowRefiner, lessons: List[Lesson],
            rate: float) -> FlowRefiner:
    key = digest_of([name, args.look, args.videos, args.frames, args.steps, digest_of_bytes(CHECKPOINT.read_bytes()),
                     recipe_digest()])
    path = args.work_dir / f'student_{key}.pth'
    if path.is_file():
        student = copy.deepcopy(teacher)
        student.load_state_dict(torch.load(path, weights_only=True))
        return student
    student = teach(teacher, lessons, rate, args.steps)
    save_checkpoint(path, student.state_dict())
    return student


def _as_they_are(lessons: List[Lesson]) -> List[Lesson]:
    return lessons


def _of_others(lessons: List[Lesson]) -> List[Lesson]:
    others = np.roll(np.arange(len(lessons)), len(lessons) // 2 + 1)
    return [lesson._replace(flow=lessons[i].flow, weight=lessons[i].weight) for lesson, i in zip(lessons, others)]


def _scaled(factor: float) -> Spoil:
    return lambda lessons: [lesson._replace(flow=factor * lesson.flow) for lesson in lessons]


def _blurred(lessons: List[Lesson]) -> List[Lesson]:
    return [lesson._replace(flow=F.avg_pool2d(lesson.flow, 41, 1, 20, count_include_pad=False)) for lesson in lessons]


def _noisy(lessons: List[Lesson]) -> List[Lesson]:
    rng = torch.Generator().manual_seed(0)
    return [
        lesson._replace(flow=lesson.flow
                        + F.interpolate(3 * torch.randn(1, 2, 8, 12, generator=rng), lesson.flow.shape[1:],
                                        mode='bilinear')[0]) for lesson in lessons
    ]


def _between(teacher: FlowRefiner, student: FlowRefiner, part: float) -> FlowRefiner:
    mixed = copy.deepcopy(teacher)
    theirs = student.state_dict()
    mixed.load_state_dict({key: value + part * (theirs[key] - value) if value.is_floating_point() else value
                           for key, value in teacher.state_dict().items()})
    return mixed


def _shaken(teacher: FlowRefiner, noise: float) -> FlowRefiner:
    shaken, rng = copy.deepcopy(teacher), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in shaken.parameters():
            if weight.numel() > 1:
                weight += noise * weight.std() * torch.randn(weight.shape, generator=rng)
    return shaken


class _Louder:
    """A network whose motion is stretched. Implements ``FlowEstimator``."""
    accepts_flow_init = False

    def __init__(self, network: FlowRefiner, factor: float) -> None:
        self.network, self.factor = network, factor

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Any = None) -> List[Tensor]:
        """The last flow, stretched."""
        return [self.factor * self.network.estimate(frames1, frames2)[-1]]


def _louder(teacher: FlowRefiner, factor: float) -> Any:
    return _Louder(teacher, factor)


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's."""
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == '__main__':
    run_command(main)

"""What each part of a labeler does to the labels: coverage, precision and EPE on rendered videos with exact motion.

    python benchmarks/label_table.py
    python benchmarks/label_table.py --checkpoint checkpoints/raft-small-mmrefine.pth --look source
    python benchmarks/label_table.py --students 100
    python benchmarks/label_table.py --features work_dirs/corrflow/resnet18_demo/refined.pth
    python benchmarks/label_table.py --students 100 --look night --rows 'no filter, 1x then 2x' 'loose cycle, floor 0.3'

One row for each labeler, all with the same teacher on the same pairs. ``kept`` is the mean weight, ``right`` the share
of it that is off by less than 1 px, ``fast`` and ``hidden`` the mean weight on pixels that truly move by 4 px or more
and on those that the next frame does not show; EPE is weighted. With ``--students`` each row also teaches a student for
so many steps, alike but for the labels; the last column is how much the EPE of the student is above or below its
teacher's, on these videos and on as many others. What long training makes of the best: ``demo_seeds.py``.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch
from short_lessons import CONFIG, Lesson, teach
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.labeling import calibrate
from mmrefine.models import FlowRefiner
from mmrefine.registry import LABELERS
from mmrefine.structures import FlowEstimator, PairBatch, as_frames
from mmrefine.synthetic import STYLES, RenderedClip, render_clip

ROOT = Path(__file__).resolve().parents[1]
FAST = 4.  # px per pair
RATE = 8e-4  # of the students
LOOSE = dict(type='CycleFilter', alpha=0.01, beta=0.5)
TWO_LOOKS = dict(type='CascadeView', scales=(1., 2.))


def _labeler(*filters: Dict[str, Any], view: Dict[str, Any] = TWO_LOOKS, **settings: Any) -> Dict[str, Any]:
    return dict(type='FlowLabeler', view=view, filters=list(filters), **settings)


LABELERS_OF_TABLE: Dict[str, Dict[str, Any]] = {
    'no filter, 1x': _labeler(view=dict(type='CascadeView', scales=(1., ))),
    'no filter, 2x from rest': _labeler(view=dict(type='CascadeView', scales=(2., ))),
    'no filter, arbitrated': _labeler(view=dict(type='ArbitratedView')),
    'no filter, 1x then 2x': _labeler(),
    'novelty, 1x then 2x': _labeler(balance=dict(type='Novelty')),
    'novelty, arbitrated': _labeler(view=dict(type='ArbitratedView'), balance=dict(type='Novelty')),
    'in frame': _labeler(dict(type='InFrameFilter')),
    'cycle, paper (0.002, 0.1)': _labeler(dict(type='CycleFilter')),
    'cycle, loose (0.01, 0.5)': _labeler(LOOSE),
    'cycle, squared (0.01, 0.5)': _labeler(dict(type='CycleFilter', alpha=0.01, beta=0.5, form='squared')),
    'soft cycle': _labeler(dict(type='SoftCycleFilter')),
    'colour RGB': _labeler(dict(type='ColorFilter', tolerance=5.)),
    'colour Lab': _labeler(dict(type='LabFilter')),
    'census': _labeler(dict(type='CensusFilter')),
    'gain-robust colour': _labeler(dict(type='GainRobustColorFilter', tolerance=5.)),
    'texture': _labeler(dict(type='TextureFilter')),
    'composite': _labeler(dict(type='CompositeFilter')),
    'loose cycle + composite': _labeler(LOOSE, dict(type='CompositeFilter')),
    'all (loose, RGB, census, texture, composite)': _labeler(
        LOOSE, dict(type='ColorFilter', tolerance=5.), dict(type='CensusFilter'), dict(type='TextureFilter'),
        dict(type='CompositeFilter')),
    'loose cycle, floor 0.3': _labeler(LOOSE, floor=0.3),
    'loose cycle, densify (agree)': _labeler(LOOSE, densify=dict(type='EdgeAwareDensify')),
    'loose cycle, densify (fill)': _labeler(LOOSE, densify=dict(type='EdgeAwareDensify', fill=True)),
    'loose cycle, speed quota': _labeler(LOOSE, balance=dict(type='SpeedQuota')),
}


class RememberingTeacher:
    """Asks a teacher for each batch once; all labelers of the table get the same frames.
    Implements ``FlowEstimator``.
    """
    accepts_flow_init = True

    def __init__(self, teacher: FlowEstimator) -> None:
        self.teacher = teacher
        self.known: Dict[Any, Tensor] = {}

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """The last flow only."""
        parts = (frames1, frames2, flow_init)
        key = tuple(None if part is None else (part.shape, digest_of_bytes(part.numpy().tobytes())) for part in parts)
        if key not in self.known:
            self.known[key] = self.teacher.estimate(frames1, frames2, flow_init)[-1]
        return [self.known[key]]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default=str(ROOT / 'configs' / 'demo' / 'raft_small_source.pth'),
                        help='RAFT-small weights')
    parser.add_argument('--look', default='target', choices=sorted(STYLES))
    parser.add_argument('--videos', type=int, default=12)
    parser.add_argument('--frames', type=int, default=4, help='frames per video, at least 3')
    parser.add_argument('--precision', type=float, nargs='+', default=[0.8, 0.95],
                        help='of the calibrated cycle filters')
    parser.add_argument('--rows', nargs='+', choices=sorted(LABELERS_OF_TABLE), metavar='NAME',
                        help='only these, and no calibrated ones')
    parser.add_argument('--features', help='weights of CorrFlow, for two more rows of its features')
    parser.add_argument('--students', type=int, default=0, metavar='STEPS', help='of a student for each row; 0: none')
    args = parser.parse_args()
    # seeds far from those of the training and of the demo
    clips = [render_clip(40000 + i, args.frames, (128, 192), args.look) for i in range(args.videos)]
    others = [render_clip(45000 + i, args.frames, (128, 192), args.look)
              for i in range(args.videos if args.students else 0)]
    network = init_model(CONFIG, args.checkpoint)
    teacher = RememberingTeacher(network)
    before = [_epe(network, some) for some in (clips, others) if some]
    table = {name: LABELERS_OF_TABLE[name] for name in args.rows or LABELERS_OF_TABLE}
    if args.features:
        agreement = dict(type='FeatureAgreement', features=dict(
            type='OtherNetwork', checkpoint=args.features,
            model=dict(type='CorrespondenceLearner', estimator=dict(type='mmrefine.CorrFlowEncoder'))))
        table.update({'features': _labeler(agreement), 'loose cycle + features': _labeler(LOOSE, agreement)})
    pairs = [(frames[0], frames[1]) for frames in map(_frames, clips)]
    for precision in [] if args.rows else args.precision:
        config = _labeler(LOOSE)
        found = calibrate(teacher, config, pairs, precision=precision, relative=0.)
        table[f'cycle, calibrated for {precision:.0%}{"" if found.reached else " (out of reach)"}'] = found.apply(
            config)
    print(f'{"labeler":46}{"kept":>8}{"right":>8}{"EPE":>8}{"fast":>8}{"hidden":>8}   {args.videos} videos '
          f'of {args.frames} frames, '
          f'look {args.look}')
    for name, config in table.items():
        labels = _labels(teacher, config, clips)
        kept, right, epe, fast, hidden = _measured(labels, clips)
        line = f'{name:46}{kept:8.1%}{right:8.1%}{epe:8.3f}{fast:8.1%}{hidden:8.1%}'
        if args.students:
            student = teach(network, labels, RATE, args.students)
            line += '   student' + ''.join(f'{_epe(student, some) / was - 1:+8.1%}'
                                           for some, was in zip((clips, others), before))
        print(line, flush=True)
    return 0


def _frames(clip: RenderedClip) -> Tensor:
    return as_frames(clip.frames)


def _labels(teacher: RememberingTeacher, config: Dict[str, Any], clips: Sequence[RenderedClip]) -> List[Lesson]:
    """Of all pairs, forward."""
    labeler, labels = LABELERS.build(config), []
    for clip in clips:
        frames = _frames(clip)
        # the next frame after the pair, at the end the one before it, as stage 1 has it
        thirds = torch.cat([frames[2:], frames[-3:-2]])
        made = labeler.label_pairs(teacher, PairBatch(frames[:-1], frames[1:], thirds))
        labels += [Lesson(frame1, frame2, label.forward.flow, label.forward.weight)
                   for frame1, frame2, label in zip(frames[:-1], frames[1:], made)]
    return labels


@torch.no_grad()
def _epe(network: FlowRefiner, clips: Sequence[RenderedClip]) -> float:
    """Mean over all pixels of all pairs, px."""
    errors = [(network.estimate(frames[:-1], frames[1:])[-1] - torch.from_numpy(clip.flow_fw)).norm(dim=1)
              for clip, frames in zip(clips, map(_frames, clips))]
    return float(torch.stack(errors).mean())


def _measured(labels: Sequence[Lesson], clips: Sequence[RenderedClip]) -> List[float]:
    """Mean weight, precision, weighted EPE in px, mean weight on fast and on hidden pixels;
    over all pixels of all pairs.
    """
    truths = [torch.from_numpy(truth) for clip in clips for truth in clip.flow_fw]
    weights = [label.weight[0].double() for label in labels]
    errors = [(label.flow - truth).norm(dim=0).double() for label, truth in zip(labels, truths)]
    speeds = [truth.norm(dim=0) for truth in truths]
    seen = [torch.from_numpy(visible).bool().view_as(weights[0]) for clip in clips for visible in clip.visible_fw]
    weight, error, speed, shown = (torch.stack(parts) for parts in (weights, errors, speeds, seen))
    held = weight.sum().clamp(min=1e-12)
    return [float(value) for value in (weight.mean(), (weight * (error < 1)).sum() / held,
                                       (weight * error).sum() / held, weight[speed >= FAST].mean(),
                                       weight[~shown].mean())]


if __name__ == '__main__':
    run_command(main)

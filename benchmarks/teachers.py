"""A teacher of another kind: what small students learn on rendered video from their own copy, from a larger network,
and from both together.

Each student learns on videos of the target look with every teacher and every seed, by passes that are weighed
(ArbitratedView), and is judged by exact truth on these videos and on others. The table says per row, as means over the
seeds: EPE before and after on both, the EPE of the teacher's single plain pass on the unseen videos (of several that of
the best), which share of the way from the student's start to the best of all single passes it went there, what a pair
takes in one pass of student and teacher, and the seconds of labels and of training. No recipe keeps anything back for a
guard.

A row is a student and a teacher, such as 'demo, both'; each seed of a row is kept in the work dir and not made again,
so it may be stopped and started again.

    python benchmarks/teachers.py --seeds 125 126 127
"""
from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List

import torch
from demo_seeds import CONFIG, table_of
from mmengine.config import Config

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.apis.verifiers import VERIFIER, arbitrated_view
from mmrefine.config.load import fill_in, hooks_of, load_config
from mmrefine.engine import judge
from mmrefine.fileio.atomic import write_json
from mmrefine.registry import DATASETS
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip, write_clips

RAFT = CONFIG.parents[1] / 'refine' / 'raft_small_video.py'
TEACHERS = ('self', 'raft', 'both')
TIMED = 9  # pairs, after one that warms up


def main() -> int:
    """Run every row with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/teachers'))
    parser.add_argument('--out', type=Path, help='a JSON file for all numbers of the table')
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127])
    parser.add_argument('--student', nargs=3, action='append', default=[], metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
                        help="a further student beside 'demo': with the training of its config if that labels, else "
                        'with that of the demo and the model of its config')
    parser.add_argument('--raft', default='checkpoints/raft-small-mmrefine.pth',
                        help='the official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--iters', type=int, default=12, help='iterations of that')
    parser.add_argument('--verify', action='store_true', help='the verifier weighs the passes')
    parser.add_argument('--rows', nargs='+', metavar='ROW', help="only these, such as 'demo, both'")
    parser.add_argument('--videos', type=int, default=40, help='videos to refine on')
    parser.add_argument('--unseen', type=int, default=20, help='other videos, for judging only')
    parser.add_argument('--frames', type=int, default=6, help='frames per video')
    parser.add_argument('--max-iters', type=int, help="optimiser steps, for a try (default: the config's)")
    args = parser.parse_args()
    for name, seed, count in (('refined', 0, args.videos), ('unseen', 10000, args.unseen)):
        write_clips(args.work_dir / 'videos' / name, range(seed, seed + count), args.frames, style='target')
    students = {'demo': student(CONFIG, None, args),
                **{name: student(config, checkpoint, args) for name, config, checkpoint in args.student}}
    every = [f'{name}, {teacher}' for name in students for teacher in TEACHERS]
    rows = args.rows or every
    if not set(rows) <= set(every):
        parser.error(f'--rows takes {"; ".join(every)}')
    raft = load_config(RAFT).to_dict()['model']
    raft.update(test_iters=args.iters)
    configs = {row: taught(*row.rsplit(', ', 1), students, dict(type='OtherNetwork', model=raft, checkpoint=args.raft))
               for row in rows}
    table = table_of(configs, args.seeds, args.work_dir, [args.videos, args.unseen, args.frames])
    names = dict.fromkeys(row.rsplit(', ', 1)[0] for row in rows)
    networks = {name: measured(students[name], init_model(students[name], students[name].load_from)) for name in names}
    teacher = load_config(RAFT, {'model.test_iters': args.iters})
    networks['raft'] = measured(students['demo'], init_model(teacher, args.raft))
    found = [summary(row, [one for one in table if one['recipe'] == row and one['seed'] != 'mean'], networks)
             for row in rows]
    if args.out is not None:
        write_json(args.out, dict(rows=found, networks=networks, seeds=args.seeds, verify=args.verify))
    show(found)
    return 0


def student(config: Any, checkpoint: Any, args: argparse.Namespace) -> Config:
    """The config of a student's training, whoever teaches it."""
    videos = args.work_dir / 'videos'
    values: Dict[str, Any] = {'video': str(videos / 'refined'), 'unseen': str(videos / 'unseen'), 'held_out': 0.}
    if checkpoint is not None:
        values['load_from'] = str(checkpoint)
    if args.max_iters:
        values['max_iters'] = args.max_iters
    named = load_config(config)
    if not hooks_of(named, 'PseudoLabelHook'):
        values['model'], config = dict(named.to_dict()['model'], _delete_=True), CONFIG
    view = arbitrated_view(load_config(config), 'this benchmark')
    values['labeler.view'] = dict(view, _delete_=True, **(dict(verifier=VERIFIER) if args.verify else {}))
    return load_config(config, values)


def taught(name: str, teacher: str, students: Dict[str, Config], raft: Dict[str, Any]) -> Config:
    """The config of a row."""
    cfg = Config(students[name].to_dict(), filename=students[name].filename)
    teachers: List[Dict[str, Any]] = [dict(type='StudentCopy')] * (teacher != 'raft') + [raft] * (teacher != 'self')
    for hook in hooks_of(cfg, 'PseudoLabelHook'):
        hook['teacher'] = teachers
    return cfg


@torch.no_grad()
def measured(cfg: Config, network: Any) -> Dict[str, float]:
    """Of a plain pass of a network: its EPE on the unseen videos, px, and the median milliseconds of a pair."""
    groups = next(hook['groups'] for hook in hooks_of(fill_in(cfg), 'ReportHook'))
    clip, took = as_frames(render_clip(30000, TIMED + 2, style='target').frames), []
    network.eval()
    for one, two in zip(clip[:-1], clip[1:]):
        began = time.perf_counter()
        network.estimate(one[None], two[None])
        took.append(1000 * (time.perf_counter() - began))
    return dict(epe=judge(network, DATASETS.build(groups['unseen'])).scores()['EPE'], ms=statistics.median(took[1:]))


def summary(row: str, runs: List[Dict[str, Any]], networks: Dict[str, Dict[str, float]]) -> Dict[str, Any]:
    """The numbers of a row, EPE in px: means over its seeds, and each seed's share of the way; seconds of labels are
    those of the seed that made them."""
    name, teacher = row.rsplit(', ', 1)
    own, raft = networks[name], networks['raft']
    best = min(own['epe'], raft['epe'])

    def mean(group: str, side: str) -> float:
        return statistics.fmean(run['groups'][group][side]['EPE'] for run in runs)

    start = mean('unseen', 'before')
    ways = [(start - run['groups']['unseen']['after']['EPE']) / (start - best) for run in runs] if start > best else []
    seconds = [run.get('seconds') or {} for run in runs]
    return dict(
        student=name, teacher=teacher, seeds=len(runs), start_epe=start, start_epe_refined=mean('refined', 'before'),
        refined_epe=mean('refined', 'after'), unseen_epe=mean('unseen', 'after'),
        teacher_epe=dict(self=own['epe'], raft=raft['epe'], both=best)[teacher],
        way=statistics.fmean(ways) if ways else None, ways=ways, student_ms=own['ms'],
        teacher_ms=dict(self=own['ms'], raft=raft['ms'], both=own['ms'] + raft['ms'])[teacher],
        labels_seconds=max((one.get('labels_seconds', 0.) for one in seconds), default=0.),
        training_seconds=statistics.fmean(one.get('train_seconds', 0.) for one in seconds))


def show(rows: List[Dict[str, Any]]) -> None:
    """The table, as Markdown."""
    print('| student | learns from | start, unseen | refined | unseen | single pass of the teacher | of the way | '
          'ms a pair, student | teacher | labels, s | training, s |\n' + '|---' * 11 + '|')
    for row in rows:
        way = '' if row['way'] is None else f'{100 * row["way"]:.0f} %'
        print(f'| {row["student"]} | {row["teacher"]} | {row["start_epe"]:.3f} | {row["refined_epe"]:.3f} | '
              f'{row["unseen_epe"]:.3f} | {row["teacher_epe"]:.3f} | {way} | {row["student_ms"]:.0f} | '
              f'{row["teacher_ms"]:.0f} | {row["labels_seconds"]:.0f} | {row["training_seconds"]:.0f} |')


if __name__ == '__main__':
    run_command(main)

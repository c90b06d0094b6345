"""What teaches most in the same time: smaller or larger batches and crops, fewer iterations, encoders that rest.

Every recipe trains the same network on the same labels for the same seconds of one core. A few steps are timed first
and say how many steps a recipe gets; the rate of learning rises and falls over these. Seconds are of the processor and
not of the clock, so other processes hardly matter. Three seeds on rendered video, scored by its true motion (that of
the demo); one seed for each sequence of DAVIS, scored by masks and joints as ``davis_student.py`` does. No guard.

``--share`` is how long: a share of the steps that the config itself would train with its own settings. A result that
the JSON has already is not made again, so it may be stopped and started again; two processes may work on different
recipes, seeds or sequences if each has a JSON and a work dir of its own.

    OMP_NUM_THREADS=1 python benchmarks/equal_time.py --share 0.25
    OMP_NUM_THREADS=1 python benchmarks/equal_time.py --davis DAVIS --badja BADJA --sequences dog horsejump-high
"""
from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from davis_clips import MEASURES, read_clip, score_clip
from mmengine.config import Config
from mmengine.hooks import Hook

from mmrefine.apis import init_model, train
from mmrefine.apis.commands import run_command
from mmrefine.config.load import fill_in, load_config
from mmrefine.engine import judge
from mmrefine.fileio import write_image, write_json
from mmrefine.registry import DATASETS, HOOKS
from mmrefine.synthetic import write_clips

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / 'configs' / 'demo' / 'raft_small_target.py'
VIDEO = ROOT / 'configs' / 'refine' / 'raft_small_video.py'
TIMED = 20  # steps
JUDGED = 60  # frame pairs of each set of rendered videos
REST = dict(type='EncoderRest', _scope_='mmrefine')
RECIPES: Dict[str, Dict[str, Any]] = {
    'as it is': {},
    'batch 2': dict(batch=2),
    'batch 8': dict(batch=8),
    'batch 2, 4 iterations': dict(batch=2, iters=4),
    '4 iterations': dict(iters=4),
    '5 iterations': dict(iters=5),
    '6 iterations': dict(iters=6),
    '8 iterations': dict(iters=8),
    'half the iterations at first': dict(hook=dict(type='FewAtFirst', _scope_='mmrefine')),
    'crops of two thirds': dict(crop=2 / 3),
    'encoders frozen': dict(hook=dict(REST, every=0)),
    'encoders every second step': dict(hook=dict(REST, every=2)),
    'encoders in the last third': dict(hook=dict(REST, begin=2 / 3)),
}


@HOOKS.register_module()
class EncoderRest(Hook):
    """Both encoders learn in some of the steps only; in the others their backward pass is saved.

    Args:
        every: they learn in each so many-th step; 0: never.
        begin: share of all steps after which they learn.
    """

    def __init__(self, every: int = 1, begin: float = 0.) -> None:
        self.every, self.begin = every, begin

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Switch the gradients of the encoders' weights on or off."""
        learn = (self.every > 0 and runner.iter % max(self.every, 1) == 0
                 and self.begin <= runner.iter / runner.max_iters)
        for part in (runner.model.estimator.encoder, runner.model.estimator.context):
            part.requires_grad_(learn)


@HOOKS.register_module()
class FewAtFirst(Hook):
    """Half the iterations in the first half of the steps."""

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the number of iterations of this step."""
        if batch_idx == 0:
            self.iters = runner.model.train_iters
        first = 2 * runner.iter < runner.max_iters
        runner.model.train_iters = (self.iters + 1) // 2 if first else self.iters


@HOOKS.register_module()
class StepClock(Hook):
    """CPU seconds of the whole process for a step, loading included; the first one does not count."""
    seconds: List[float] = []  # of the last run

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Note when a step ended."""
        if batch_idx == 0:
            StepClock.seconds = []
        else:
            StepClock.seconds.append(time.process_time() - self.ended)
        self.ended = time.process_time()


def main() -> int:
    """Train every recipe on every world that is asked for, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--recipes', nargs='+', choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument('--share', type=float, default=1.)
    parser.add_argument('--seeds', type=int, nargs='+', default=[125, 126, 127], help='of the rendered video')
    parser.add_argument('--davis', type=Path, help='folder with JPEGImages/480p and Annotations/480p; without it: '
                        'rendered video')
    parser.add_argument('--badja', type=Path, help='folder with <sequence>.json of joints')
    parser.add_argument('--sequences', nargs='+', default=['dog', 'horsejump-high'])
    parser.add_argument('--frames', type=int, help='only the first so many of a sequence')
    parser.add_argument('--steps', type=int, default=300, help='of the whole time, on a sequence of DAVIS')
    parser.add_argument('--checkpoint', default=str(ROOT / 'checkpoints' / 'raft-small-mmrefine.pth'),
                        help='for DAVIS: the official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/equal_time.json'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/equal_time'))
    args = parser.parse_args()
    rows: List[Dict[str, Any]] = json.loads(args.out.read_text(encoding='utf-8')) if args.out.is_file() else []
    for world, seed in [(name, 125) for name in args.sequences] if args.davis else [('', s) for s in args.seeds]:
        for recipe in args.recipes:
            job = dict(world=world or 'rendered', seed=seed, recipe=recipe, share=args.share)
            if not any(row['job'] == job for row in rows):
                rows.append(dict(job=job, **(_on_davis if world else _on_rendered)(args, world, recipe, seed)))
                write_json(args.out, rows)
            print(json.dumps(next(row for row in rows if row['job'] == job)), flush=True)
    show(rows)
    return 0


def _on_rendered(args: argparse.Namespace, world: str, recipe: str, seed: int) -> Dict[str, Any]:
    """The demo: EPE in px on the videos it learned from, and on others."""
    folder = args.work_dir / 'rendered'
    refined, unseen = folder / 'videos' / 'refined', folder / 'videos' / 'unseen'
    write_clips(refined, range(40), 6, style='target')
    write_clips(unseen, range(10000, 10020), 6, style='target')
    options = {'video': str(refined), 'unseen': str(unseen), 'held_out': 0., 'randomness.seed': seed,
               'optim_wrapper.precision': 'bfloat16'}
    cfg = load_config(DEMO, options)
    groups = next(hook for hook in fill_in(cfg).custom_hooks if hook['type'] == 'ReportHook')['groups']
    found = _train(cfg, folder, recipe, args.share, (96, 160))
    student = init_model(DEMO, found.pop('weights'))
    return dict(found, **{name: judge(student, DATASETS.build(groups[name]), at_most=JUDGED).scores()['EPE']
                          for name in ('refined', 'unseen')})


def _on_davis(args: argparse.Namespace, world: str, recipe: str, seed: int) -> Dict[str, Any]:
    """One sequence: what ``score_clip`` says of masks and joints."""
    clip = read_clip(args.davis, args.badja, world, (240, 432), args.frames)
    folder = args.work_dir / world
    for t, frame in enumerate(clip.frames):
        write_image(folder / 'frames' / world / f'{t:05d}.png', frame)
    cfg = load_config(VIDEO, {
        'video': str(folder / 'frames' / world), 'held_out': 0., 'randomness.seed': seed, 'max_iters': args.steps,
        'crop_size': (192, 320), 'num_workers': 0, 'load_from': args.checkpoint, 'model.train_iters': 8,
        'model.test_iters': 12, 'optim_wrapper.type': 'BFloat16OptimWrapper'})
    found = _train(cfg, folder, recipe, args.share, (192, 320))
    student = init_model(VIDEO, found.pop('weights'))
    student.test_iters = 12
    return dict(found, **score_clip(clip, lambda frames1, frames2: student.estimate(frames1, frames2)[-1]))


def _train(cfg: Config, folder: Path, recipe: str, share: float, crop: Tuple[int, int]) -> Dict[str, Any]:
    """Train a recipe for as long as the config as it is would take for ``share`` of its steps."""
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook['type'] == 'PseudoLabelHook']
    whole = cfg.max_iters
    # all of them one after the other, as the load of the machine changes what even a second of the processor is worth
    cost = {name: _seconds(cfg, folder, name, crop) for name in RECIPES}
    steps = max(1, round(share * whole * cost['as it is'] / cost[recipe]))
    seconds, weights = _run(cfg, folder, recipe, crop, steps)
    return dict(steps=steps, cpu_seconds=round(sum(seconds), 1), ms_a_step=round(1000 * cost[recipe]),
                weights=str(weights))


def _seconds(cfg: Config, folder: Path, recipe: str, crop: Tuple[int, int]) -> float:
    """CPU seconds of a step on average, from the first time that it was asked for."""
    path = folder / 'seconds' / f'{recipe.replace(" ", "_")}.json'
    if not path.is_file():
        seconds, _ = _run(cfg, folder, recipe, crop, TIMED + 1)
        write_json(path, sum(seconds) / len(seconds))
    return float(json.loads(path.read_text(encoding='utf-8')))


def _run(cfg: Config, folder: Path, recipe: str, crop: Tuple[int, int], steps: int) -> Tuple[List[float], Path]:
    """CPU seconds of each step but the first, and the weights."""
    change, cfg = RECIPES[recipe], Config(cfg.to_dict())
    labels = folder / 'labels'
    cfg.work_dir = str(folder / 'run')
    shutil.rmtree(cfg.work_dir, ignore_errors=True)
    if labels.is_dir():
        shutil.copytree(labels, folder / 'run' / 'labels')
    cfg.max_iters = steps
    cfg.train_dataloader.batch_size = change.get('batch', 4)
    cfg.model.train_iters = change.get('iters', cfg.model.train_iters)
    sides = tuple(8 * round(change.get('crop', 1) * side / 8) for side in crop)
    next(part for part in cfg.train_pipeline if part['type'] == 'RandomCrop')['size'] = sides
    cfg.custom_hooks += [dict(type='StepClock', _scope_='mmrefine'), *([change['hook']] if 'hook' in change else [])]
    train(cfg, brief=True)
    if not labels.is_dir():
        shutil.copytree(folder / 'run' / 'labels', labels)
    return StepClock.seconds, folder / 'run' / f'iter_{steps}.pth'


def show(rows: List[Dict[str, Any]]) -> None:
    """Print a table for each world and share: the mean over seeds, and its distance to the config as it is."""
    for world, share in sorted({(row['job']['world'], row['job']['share']) for row in rows}):
        of_world = [row for row in rows if (row['job']['world'], row['job']['share']) == (world, share)]
        names = ('refined', 'unseen') if world == 'rendered' else MEASURES
        print(f'\n{world}, {share:g} of the time')
        print('| recipe | seeds | ms a step | steps | CPU s |', ' | '.join(names), '|')
        print('|---' * (5 + len(names)) + '|')
        for recipe in RECIPES:
            own = [row for row in of_world if row['job']['recipe'] == recipe]
            if own:
                cells = [_cell(own, of_world, name) for name in names]
                timing = [f'{sum(row[key] for row in own) / len(own):.0f}'
                          for key in ('ms_a_step', 'steps', 'cpu_seconds')]
                print('|', ' | '.join([recipe, str(len(own)), *timing, *cells]), '|')


def _cell(own: List[Dict[str, Any]], rows: List[Dict[str, Any]], name: str) -> str:
    """The mean, and how it changes, over the seeds that the config as it is has, too."""
    base = {row['job']['seed']: row for row in rows if row['job']['recipe'] == 'as it is'}
    pairs = [(row[name], base[row['job']['seed']][name]) for row in own if row['job']['seed'] in base]
    if not pairs or any(value is None for pair in pairs for value in pair):
        return '-'
    mean, rival = (sum(values) / len(values) for values in zip(*pairs))
    if name in MEASURES:
        return f'{100 * mean:.1f} ({100 * (mean - rival):+.1f})'
    return f'{mean:.3f} ({100 * (mean / rival - 1):+.1f} %)'


if __name__ == '__main__':
    torch.set_num_threads(1)
    run_command(main)

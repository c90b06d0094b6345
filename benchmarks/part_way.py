"""What a student gains and forgets part of the way: networks whose weights lie between the original's and its own.

Each is judged by the truth that the report of the run has, group by group; change of EPE in percent. The guard hands
back such networks where the student goes too far (``RegressionGuardHook.steps``).

    python benchmarks/part_way.py work_dirs/demo_seeds/ours
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict

import torch
from mmengine.config import Config

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.engine import judge
from mmrefine.engine.guard.candidates import mixed_state
from mmrefine.errors import InputError
from mmrefine.registry import DATASETS


def main() -> int:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('run', type=Path, help='work dir of a run that has come to its end')
    parser.add_argument('--parts', type=float, nargs='+', default=[0.5, 0.7, 0.85, 1.], help='of the way, in [0, 1]')
    args = parser.parse_args()
    configs = sorted(args.run.glob('*.py'))
    if len(configs) != 1 or not (args.run / 'refined.pth').is_file():
        raise InputError(f'{args.run}: needs the config and refined.pth of one run, found {len(configs)} configs')
    cfg = Config.fromfile(configs[0])
    model = init_model(cfg, str(cfg.load_from))
    original = {name: value.clone() for name, value in model.state_dict().items()}
    student = init_model(cfg, str(args.run / 'refined.pth')).state_dict()
    groups = next(hook for hook in cfg.custom_hooks if hook['type'] == 'ReportHook')['groups']
    datasets = {name: DATASETS.build(group) for name, group in groups.items()}
    before: Dict[str, float] = {}
    print(f'{"part":>6}' + ''.join(f'{name:>20}' for name in datasets))
    for part in sorted({0., *args.parts}):
        model.load_state_dict(mixed_state(original, student, part))
        with torch.no_grad():
            scores = {name: judge(model, dataset).scores()['EPE'] for name, dataset in datasets.items()}
        before = before or scores
        print(f'{part:6.2f}' + ''.join(f'{scores[name]:>11.3f} {100 * (scores[name] / before[name] - 1):+6.1f} %'
                                       for name in datasets), flush=True)
    return 0


if __name__ == '__main__':
    run_command(main)

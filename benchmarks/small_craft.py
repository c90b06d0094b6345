"""A small CRAFT from the demo network: its encoders, motion encoder, GRU and head, with the attention of CRAFT between
them as it begins; what the GRU is to make of the collected motion begins at 0. Then it learns on rendered pairs of the
source style (``configs/demo/craft_small_source.py``, about an hour on one core), and goes on where it was stopped.

    python tools/render.py data/rendered/source --style source --seeds 1000 4000 --frames 2 --size 192 256
    python benchmarks/small_craft.py
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict

import torch
from mmengine.config import Config
from torch import Tensor

from mmrefine.apis import init_model, train
from mmrefine.apis.commands import Overrides, run_command
from mmrefine.config.load import load_config
from mmrefine.fileio.atomic import save_checkpoint

DEMO = Path(__file__).resolve().parents[1] / 'configs' / 'demo' / 'raft_small_source.py'
CONFIG = DEMO.with_name('craft_small_source.py')


def main() -> int:
    """Make the start if it is not there, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/craft_small_source'))
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    start = args.work_dir / 'start.pth'
    cfg = load_config(CONFIG, {'load_from': str(start), **args.cfg_options})
    cfg.work_dir, cfg.resume = str(args.work_dir), True
    if not start.is_file():
        save_checkpoint(start, dict(state_dict=start_of(cfg), meta={}))
    train(cfg)
    return 0


def start_of(cfg: Config) -> Dict[str, Tensor]:
    """The state of the network of a config, with the demo network's weights wherever it has them."""
    torch.manual_seed(cfg.randomness['seed'])
    known = init_model(DEMO, DEMO.with_name('raft_small_source.pth')).estimator.state_dict()
    state = init_model(cfg).estimator.state_dict()
    for name, value in known.items():
        if value.shape != state[name].shape:  # the GRU's, whose last channels are the collected motion
            value = torch.cat([value, torch.zeros_like(state[name][:, value.shape[1]:])], dim=1)
        state[name] = value
    return state


if __name__ == '__main__':
    run_command(main)

"""Score a checkpoint on the groups that a config reports."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Optional, Union

from mmengine.config import Config

from mmrefine.apis.inference import init_model, usable_device
from mmrefine.config.check import check_config
from mmrefine.config.load import fill_in
from mmrefine.engine.judging.judge import judge, open_group
from mmrefine.errors import ConfigError
from mmrefine.evaluation import Judged

__all__ = ['filled_for_test', 'test_checkpoint']


def test_checkpoint(cfg: Config,
                    checkpoint: Union[str, Path],
                    device: Optional[str] = None,
                    log: Optional[Callable[[str], None]] = None) -> Dict[str, Judged]:
    """What a network gets on the groups of the config's ReportHook, and on its ``clip_groups``, videos along which it carries masks.

    Args:
        cfg: a config with a ``ReportHook``; ``scene='each'`` is read as ``'all'``. Or with ``clip_groups``, each of a ``dataset`` and
            ``metrics`` (configs/_base_/datasets/davis_clips.py).
        checkpoint: the weights.
        device: ``'cpu'``, ``'cuda'``, …; default: cuda where there is one.
        log: called with a line now and then; None: silent.

    Returns:
        group -> what :func:`~mmrefine.engine.judge` says of it, with the scores of the benchmarks.

    Raises:
        ConfigError: the config reports nothing.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    cfg = filled_for_test(cfg)
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') == 'ReportHook']
    clips = cfg.get('clip_groups') or {}
    if not hooks and not clips:
        raise ConfigError(f'{cfg.filename or "config"}: there is no ReportHook in custom_hooks, whose groups could be scored, and no '
                          'clip_groups')
    device = usable_device(device)
    model = init_model(cfg, checkpoint, device)
    groups = [(name, group, hook.get('batch_size', 1)) for hook in hooks for name, group in hook['groups'].items()]
    judged: Dict[str, Judged] = {}
    for name, group, batch_size in [*groups, *((name, group, 1) for name, group in clips.items())]:
        dataset, metrics = open_group(group)
        judged[name] = judge(model, dataset, device, batch_size, benchmark=True, metrics=metrics, what=name, log=log)
    return judged


def filled_for_test(cfg: Config) -> Config:
    """A checked copy with its references filled in; ``scene='each'`` becomes ``'all'``, as nothing is trained by scene.

    Raises:
        ConfigError: unknown keys, or references that lead nowhere.
    """
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    if cfg.get('scene') == 'each':
        cfg.scene = 'all'
    cfg = fill_in(cfg)
    check_config(cfg)
    return cfg

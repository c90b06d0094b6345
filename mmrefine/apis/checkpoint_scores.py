"""Score a checkpoint on the groups that a config reports."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Optional, Union

from mmengine.config import Config

from mmrefine.apis.inference import init_model, usable_device
from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.engine.judging.judge import judge, open_group
from mmrefine.errors import ConfigError
from mmrefine.evaluation import Judged


def test_checkpoint(cfg: Config,
                    checkpoint: Union[str, Path],
                    device: Optional[str] = None,
                    log: Optional[Callable[[str], None]] = None) -> Dict[str, Judged]:
    """The scores of a network on the groups of a config's ReportHook, and on its ``clip_groups``, videos along which
    masks are carried.

    Args:
        cfg: a config with a ``ReportHook``; ``scene='each'`` is read as ``'all'``. Or with ``clip_groups``, each of a
            ``dataset`` and ``metrics`` (configs/_base_/datasets/davis_clips.py).
        checkpoint: the weights.
        device: ``'cpu'``, ``'cuda'``, …; default: the GPU where there is one.
        log: called with a line now and then; None: silent.

    Returns:
        group -> the result of :func:`~mmrefine.engine.judge`, with the scores of the benchmarks.

    Raises:
        ConfigError: the config has no groups.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    cfg = complete(cfg)
    hooks = hooks_of(cfg, 'ReportHook')
    clips = cfg.get('clip_groups') or {}
    if not hooks and not clips:
        raise ConfigError(f'{name_of(cfg)}: there is no ReportHook in custom_hooks, whose groups could be scored, and '
                          'no clip_groups')
    device = usable_device(device)
    model = init_model(cfg, checkpoint, device)
    groups = [(name, group, hook.get('batch_size', 1)) for hook in hooks for name, group in hook['groups'].items()]
    judged: Dict[str, Judged] = {}
    for name, group, batch_size in [*groups, *((name, group, 1) for name, group in clips.items())]:
        dataset, metrics = open_group(group)
        judged[name] = judge(model, dataset, device, batch_size, benchmark=True, metrics=metrics, what=name, log=log)
    return judged

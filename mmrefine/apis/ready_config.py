"""The config of one run, ready for the runner."""
from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, List, Mapping

from mmengine.config import Config

from mmrefine.apis.published_weights import fetch_weights, is_address
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.config_names import carried_file
from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.engine.runtime.resume_point import find_resume_point
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.registry import TEACHERS

# MMEngine has one logger and one message hub for each name and second; runs of one process must not share them
_RUN_NUMBER = itertools.count(1)


def ready_config(cfg: Config) -> Config:
    """A copy that is ready for the runner: filled in, checked, and with ``load_from`` and ``resume`` set for what the
    work dir holds.

    MMEngine would resume from ``load_from``, or start from random weights where there is nothing to resume. Here
    ``resume`` means: go on from the latest whole checkpoint of the work dir if there is one (killed in stage 2), else
    start from ``load_from`` (killed in stage 1; the labels made so far are kept).

    Raises:
        CheckpointError: ``load_from`` cannot be read, or no checkpoint to go on from is whole.
        ConfigError: labels from random weights were asked for.
    """
    cfg = complete(cfg)
    if cfg.get('resume'):
        latest = find_resume_point(Path(cfg.work_dir))
        cfg.resume = latest is not None
        if latest is not None:
            cfg.load_from = None
    if not cfg.get('load_from') and not cfg.resume and any(map(labels_by_student, hooks_of(cfg, 'PseudoLabelHook'))):
        raise ConfigError(f'{name_of(cfg)}: load_from is not set, so the labels would come from random weights; '
                          'add --cfg-options load_from=<checkpoint of the network>')
    if cfg.get('load_from'):
        cfg.load_from = str(fetch_weights(cfg.load_from) if is_address(cfg.load_from) else carried_file(cfg.load_from))
        if not Path(cfg.load_from).is_file():
            raise CheckpointError(f'{cfg.load_from}: there is no such checkpoint (load_from of {cfg.filename}); '
                                  'put it there, or pass --cfg-options load_from=…')
        load_checkpoint_file(cfg.load_from)
    if not cfg.get('experiment_name'):
        cfg.experiment_name = f'{Path(cfg.filename or "run").stem}_{next(_RUN_NUMBER)}'
    return cfg


def labels_by_student(hook: Mapping[str, Any]) -> bool:
    """Whether a teacher of a ``PseudoLabelHook`` comes from the weights that training begins with.

    Args:
        hook: its config, which may not have been checked yet.
    """
    if hook.get('labels') is not None:
        return False
    teachers = teachers_of(hook) or [dict(type='StudentCopy')]
    return any(getattr(TEACHERS.get(one.get('type')), 'follows_student', False) for one in teachers)


def teachers_of(hook: Mapping[str, Any]) -> List[Any]:
    """The configs of the teachers that a ``PseudoLabelHook`` names.

    Args:
        hook: see :func:`labels_by_student`.
    """
    named = hook.get('teacher') or ()
    if isinstance(named, Mapping):
        named = named.get('members') or [named]
    return [one for one in named if isinstance(one, Mapping)]

"""Thresholds for the filters of a config, before anything is labelled."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Optional, Tuple, Union

from mmengine.config import Config

import mmrefine
from mmrefine.apis.inference import init_model, usable_device
from mmrefine.apis.named_models import find_weights
from mmrefine.config.load import complete, name_of
from mmrefine.engine.stage1.calibrated import calibrate_labeler, check_calibration
from mmrefine.engine.stage1.run import label_fingerprint
from mmrefine.errors import ConfigError
from mmrefine.labeling import Calibration
from mmrefine.registry import DATASETS, HOOKS, LABELERS


def calibrate_filters(cfg: Config, checkpoint: Optional[Union[str, Path]] = None, device: Optional[str] = None,
                      **settings: Any) -> Tuple[Calibration, str, Path]:
    """Choose thresholds for the labeler of a config, see :func:`~mmrefine.labeling.calibration.search`.

    Args:
        cfg: a config with a ``PseudoLabelHook``; ``scene='each'`` is read as ``'all'``.
        checkpoint: the weights of the teacher; default: ``load_from`` of the config.
        device: ``'cpu'``, ``'cuda'``, …; default: the GPU where there is one.
        settings: ``precision``, ``within``, ``relative``, ``frames``, ``warps``, ``pace``, ``seed``.

    Returns:
        the calibration, the same as arguments of ``--cfg-options``, and the file ``<work_dir>/calibration.json``.

    Raises:
        ConfigError: the config labels nothing, or names no weights; settings that are invalid; no filter can be tuned.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
        InputError: too few or too small frames.
        NoLabelsError: no thresholds keep enough.
    """
    check_calibration(settings)
    raw, cfg = cfg, complete(cfg)
    numbers = [i for i, hook in enumerate(cfg.get('custom_hooks') or []) if hook.get('type') == 'PseudoLabelHook']
    if not numbers:
        raise ConfigError(f'{name_of(cfg)}: there is no PseudoLabelHook in custom_hooks, so it has no filters to '
                          'calibrate')
    if not checkpoint and not cfg.get('load_from'):
        raise ConfigError(f'{name_of(cfg)}: load_from is not set, and there is no use in thresholds for random '
                          'weights; name a checkpoint after the config')
    weights = find_weights(cfg, checkpoint)
    hook = HOOKS.build(cfg.custom_hooks[numbers[0]].to_dict())
    device = usable_device(device)
    teacher = hook.teachers.frozen(init_model(cfg, weights, device))
    dataset = DATASETS.build(dict(hook.dataset, pipeline=[]))
    path = Path(cfg.work_dir, 'calibration.json')
    fingerprint = label_fingerprint(teacher, LABELERS.build(dict(hook.labeler)), dataset, mmrefine.__version__)
    found = calibrate_labeler(teacher, hook.labeler, dataset, settings, path, fingerprint, device,
                              log=lambda line: None)
    # '{labeler}': the hook's labeler stands elsewhere in the config
    written = raw.custom_hooks[numbers[0]].get('labeler')
    reference = re.fullmatch(r'{([\w.]+)}', written) if isinstance(written, str) else None
    return found, found.options(reference[1] if reference else f'custom_hooks.{numbers[0]}.labeler'), path

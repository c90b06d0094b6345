"""The option ``--recipe`` of the command: what a network learns from, labels or the frames alone."""
from __future__ import annotations

from pathlib import Path
from typing import Any, MutableMapping, Optional, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_correspondence, is_tracker
from mmrefine.apis.recipe_names import BASELINES, LABELS, RECIPES
from mmrefine.compat.config_names import own_config_root
from mmrefine.config.load import load_config, name_of
from mmrefine.errors import ConfigError

# transforms that only labels need, and one that makes labels
_OF_LABELS = ('LoadLabel', 'SelfWarp')


def with_recipe(cfg: Config, recipe: str, labelled: Optional[Union[str, Path]] = None) -> Config:
    """A config that refines on a video, with the losses of a baseline instead of labels.

    Network, schedule, augmentation, guard and report stay. Half as many frame pairs are drawn, as both directions of
    each are learned from in one step.

    Args:
        cfg: not filled in, such as that of a named model.
        recipe: ``'labels'`` (the config as it is), ``'warp'`` (colours must fit, motion must be smooth), ``'cycle'``
            (the round trip) or ``'smurf'`` (census, smoothness and self-supervision as in SMURF).
        labelled: ground truth that is also to be learned from, which only labels mix with.

    Raises:
        ConfigError: another recipe, ``labelled`` with losses that do not use it, or a config that does not refine a
            flow network by labels on pairs of its ``train_pipeline``.
    """
    if recipe not in RECIPES:
        raise ConfigError(f'recipe must be one of {", ".join(RECIPES)}, got {recipe!r}')
    if recipe == LABELS:
        return cfg
    if labelled is not None:
        raise ConfigError(f'recipe={recipe} has losses without labels, and labelled={labelled} brings ground truth, '
                          'which they do not use; leave one of the two out')
    plain = cfg.to_dict()
    data = (plain.get('train_dataloader') or {}).get('dataset') or {}
    hooks = [hook for hook in plain.get('custom_hooks') or [] if hook.get('type') != 'PseudoLabelHook']
    if (is_tracker(cfg) or is_correspondence(cfg) or data.get('pipeline') != '{train_pipeline}'
            or len(hooks) == len(plain.get('custom_hooks') or [])):
        raise ConfigError(f'{name_of(cfg)}: recipe={recipe} is for flow networks that learn from labels of a video, '
                          'with a PseudoLabelHook and the top-level key train_pipeline; take raft_small, raft, '
                          'raft_official, craft or demo, or leave recipe out')
    baseline = load_config(own_config_root() / BASELINES[recipe]).to_dict()
    # px of SMURF's crop; the default is a share and fits any
    plain['model']['losses'] = [{key: value for key, value in loss.items() if key != 'inset'}
                                for loss in baseline['model']['losses']]
    plain['train_pipeline'] = [dict(type='KeepWholeFrames')] + [
        part for part in plain['train_pipeline'] if part['type'] not in _OF_LABELS]
    plain['train_dataloader']['dataset']['directions'] = 'forward'
    plain.update(recipe=recipe, custom_hooks=hooks)
    halve_batches(plain)
    return Config(plain, filename=cfg.filename)


def halve_batches(cfg: MutableMapping[str, Any]) -> None:
    """Draw half as many frame pairs a step, for losses that take the motion of each there and back.

    Args:
        cfg: with a ``train_dataloader``; changed in place. Batches of one pair stay.
    """
    for level in (cfg, cfg['train_dataloader']):
        if isinstance(level.get('batch_size'), int):
            level['batch_size'] = max(1, level['batch_size'] // 2)

"""The option ``--recipe`` of the command: what a network learns from, labels, the frames alone, or both."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, MutableMapping, Optional, Sequence, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_correspondence, is_tracker
from mmrefine.apis.named_models import load_named
from mmrefine.apis.recipe_names import BASELINES, LABELS, RECIPES, WITH_WARP
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.model_names import NAMED_MODELS
from mmrefine.config.load import load_config, name_of
from mmrefine.errors import ConfigError
from mmrefine.schedule import Course

# transforms that only labels need, and one that makes labels
_OF_LABELS = ('LoadLabel', 'SelfWarp')
# of the losses of warp beside labels, by truth on rendered and on real video (docs/results.md)
WEIGHT = 1000.


def load_with_recipe(config: Union[str, Path, Config],
                     recipe: Optional[str] = None,
                     labelled: Optional[Union[str, Path]] = None) -> Config:
    """The config of a model, with a recipe.

    Args:
        config: a short name or a config.
        recipe: as of :func:`with_recipe`; None: ``'labels+warp'`` where a short name stands for a flow network that
            learns from labels of a video, else what the config says.
        labelled: as of :func:`with_recipe`.

    Raises:
        ConfigError: as :func:`with_recipe`, or there is no such config.
    """
    cfg = load_named(config)
    if recipe is None:
        named = isinstance(config, str) and config in NAMED_MODELS
        recipe = WITH_WARP if named and _learns_from_labels(cfg) else LABELS
    return with_recipe(cfg, recipe, labelled)


def with_recipe(cfg: Config, recipe: str, labelled: Optional[Union[str, Path]] = None) -> Config:
    """A config that refines on a video, with the losses of a baseline instead of labels or beside them.

    Network, schedule, augmentation, guard and report stay. Half as many frame pairs are drawn, as both directions of
    each are learned from in one step.

    Args:
        cfg: not filled in, such as that of a named model.
        recipe: ``'labels'`` (the config as it is), ``'warp'`` (colours must fit, motion must be smooth), ``'cycle'``
            (the round trip), ``'smurf'`` (census, smoothness and self-supervision as in SMURF), or ``'labels+warp'``
            (labels, and the losses of ``'warp'`` on the whole frames of their pairs).
        labelled: ground truth that is also to be learned from, which only labels mix with.

    Raises:
        ConfigError: another recipe, ``labelled`` with losses that do not use it, or a config that does not refine a
            flow network by labels on pairs of its ``train_pipeline``.
    """
    if recipe not in RECIPES:
        raise ConfigError(f'recipe must be one of {", ".join(RECIPES)}, got {recipe!r}')
    if recipe == LABELS:
        return cfg
    if labelled is not None and recipe in BASELINES:
        raise ConfigError(f'recipe={recipe} has losses without labels, and labelled={labelled} brings ground truth, '
                          'which they do not use; leave one of the two out')
    if not _learns_from_labels(cfg):
        raise ConfigError(f'{name_of(cfg)}: recipe={recipe} is for flow networks that learn from labels of a video, '
                          'with a PseudoLabelHook and the top-level key train_pipeline; take raft_small, raft, '
                          'raft_official, craft or demo, or leave recipe out')
    plain = cfg.to_dict()
    if recipe == WITH_WARP:
        add_losses(plain, losses_of('warp', WEIGHT))
    else:
        plain['model']['losses'] = losses_of(recipe)
        plain['train_pipeline'] = [dict(type='KeepWholeFrames')] + [
            part for part in plain['train_pipeline'] if part['type'] not in _OF_LABELS]
        plain['train_dataloader']['dataset']['directions'] = 'forward'
        plain['custom_hooks'] = [hook for hook in plain['custom_hooks'] if hook['type'] != 'PseudoLabelHook']
    plain['recipe'] = recipe
    halve_batches(plain)
    return Config(plain, filename=cfg.filename)


def losses_of(recipe: str, factor: Course = 1.) -> List[Dict[str, Any]]:
    """The losses of a baseline, with a factor on their weights, or knots ``[(progress, factor), …]``."""
    baseline = load_config(own_config_root() / BASELINES[recipe]).to_dict()
    # inset: px of SMURF's crop; the default is a share and fits any
    losses = [{key: value for key, value in loss.items() if key != 'inset'} for loss in baseline['model']['losses']]
    return losses if factor == 1 else [dict(loss, loss_weight=_scaled(factor, loss['loss_weight'])) for loss in losses]


def _scaled(factor: Course, weight: float) -> Any:
    return factor * weight if isinstance(factor, (int, float)) else [[at, value * weight] for at, value in factor]


def add_losses(cfg: MutableMapping[str, Any], losses: Sequence[Mapping[str, Any]]) -> None:
    """Put losses on whole frames beside those on labels.

    Args:
        cfg: with ``model.losses`` and ``train_pipeline``; changed in place.
        losses: configs.
    """
    pipeline = list(cfg['train_pipeline'])
    # behind what makes pairs of its own, whose frames a label is of
    place = 1 + max((i for i, part in enumerate(pipeline) if part['type'] in _OF_LABELS), default=-1)
    cfg['train_pipeline'] = [*pipeline[:place], dict(type='KeepWholeFrames'), *pipeline[place:]]
    cfg['model']['losses'] = [*cfg['model']['losses'], *losses]


def halve_batches(cfg: MutableMapping[str, Any]) -> None:
    """Draw half as many frame pairs a step, for losses that take the motion of each there and back.

    Args:
        cfg: with a ``train_dataloader``; changed in place. Batches of one pair stay.
    """
    for level in (cfg, cfg['train_dataloader']):
        if isinstance(level.get('batch_size'), int):
            level['batch_size'] = max(1, level['batch_size'] // 2)


def _learns_from_labels(cfg: Config) -> bool:
    """Whether it refines a flow network by labels on pairs of its ``train_pipeline``."""
    data = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    return (not (is_tracker(cfg) or is_correspondence(cfg)) and data.get('pipeline') == '{train_pipeline}'
            and any(hook.get('type') == 'PseudoLabelHook' for hook in cfg.get('custom_hooks') or []))

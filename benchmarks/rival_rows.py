"""The recipes that ``rivals.py`` compares: finetuning without labels, self-training, the paper's labels, and ours."""
from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from mmengine.config import Config

from mmrefine.apis.recipe_names import LABELS, WITH_WARP
from mmrefine.apis.recipes import add_losses, halve_batches, losses_of, with_recipe
from mmrefine.apis.verifiers import VERIFIER
from mmrefine.config.load import load_config

FACTORS = (1., 0.3, 0.1)  # of the rate of the config, that a rival may choose among

_BARE = ('LoadLabel', 'KeepWholeFrames', 'RandomCrop', 'PackPair')  # what no training does without
_ONE_PASS = dict(_delete_=True, type='CascadeView', scales=(1., ))
_CYCLE = dict(type='CycleFilter', alpha=0.002, beta=0.1)  # as in the paper's code
_COLOUR = dict(type='ColorFilter', tolerance=1.275)
_GROWN = dict(type='EdgeAwareDensify')
_BALANCED = dict(type='InverseHistogram')


def labels_of(*filters: Dict[str, Any],
              densify: Optional[Dict[str, Any]] = None,
              balance: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Values of the demo's config for labels of one pass that see no more than the student does."""
    return {'labeler.view': _ONE_PASS, 'labeler.filters': list(filters), 'labeler.densify': densify,
            'labeler.balance': balance}


def census(weight: float) -> List[Dict[str, Any]]:
    """A loss on whole frames where labels say little, in the direction of the labels."""
    return [dict(type='PhotometricLoss', residual='census', occlusion=None, unlabelled=True, gamma=0.85,
                 loss_weight=weight)]


def census_and_smoothness(weight: float) -> List[Dict[str, Any]]:
    """The losses of SMURF without its self-supervision, which takes most of its time."""
    return [loss for loss in losses_of('smurf', weight) if loss['type'] != 'SelfSupervisionLoss']


class Row(NamedTuple):
    """A recipe.

    Args:
        values: of the demo's config.
        recipe: as of ``mmrefine refine --recipe``.
        rate_of: the row whose choice of a rate it takes; None: the rate of the config.
        mixed: gives losses on whole frames, beside that on labels.
        augmented: whether the samples are augmented.
    """
    values: Dict[str, Any] = {}
    recipe: str = LABELS
    rate_of: Optional[str] = None
    mixed: Optional[Callable[[], List[Dict[str, Any]]]] = None
    augmented: bool = True


WARP, SMURF, CYCLE, PLAIN = 'warp and smoothness', "SMURF's recipe", 'direct cycle loss', 'plain self-training'
CODE, ABSTRACT, OURS, ALONE = "the paper's code", "the paper's abstract", 'ours', 'labels alone'
ROWS: Dict[str, Row] = {
    WARP: Row(recipe='warp', rate_of=WARP),
    SMURF: Row(recipe='smurf', rate_of=SMURF),
    CYCLE: Row(recipe='cycle', rate_of=CYCLE),
    PLAIN: Row(labels_of(), rate_of=PLAIN),
    CODE: Row(labels_of(_CYCLE, _COLOUR), rate_of=CODE),
    # its four parts, two of which its code does not have for flow
    ABSTRACT: Row(labels_of(_CYCLE, _COLOUR, densify=_GROWN, balance=_BALANCED), rate_of=CODE),
    f'{ABSTRACT}, no cycle check': Row(labels_of(_COLOUR, densify=_GROWN, balance=_BALANCED), rate_of=CODE),
    f'{ABSTRACT}, no colour check': Row(labels_of(_CYCLE, densify=_GROWN, balance=_BALANCED), rate_of=CODE),
    f'{ABSTRACT}, not densified': Row(labels_of(_CYCLE, _COLOUR, balance=_BALANCED), rate_of=CODE),
    f'{ABSTRACT}, not re-balanced': Row(labels_of(_CYCLE, _COLOUR, densify=_GROWN), rate_of=CODE),
    f'{ABSTRACT}, with CompositeFilter': Row(
        labels_of(_CYCLE, _COLOUR, dict(type='CompositeFilter'), densify=_GROWN, balance=_BALANCED), rate_of=CODE),
    OURS: Row(recipe=WITH_WARP),
    f'{OURS}, verified': Row({'labeler.view.verifier': VERIFIER}, WITH_WARP),
    f'{OURS}, no larger pass': Row({'labeler.view.scales': (1., )}, WITH_WARP),  # the other pass is mirrored
    f'{OURS}, weighed evenly': Row({'labeler.balance': None}, WITH_WARP),
    f'{OURS}, not augmented': Row(recipe=WITH_WARP, augmented=False),
    ALONE: Row(),
    **{f'labels, with census {weight:g}': Row(mixed=partial(census, weight)) for weight in (0.3, 1., 3., 10.)},
    **{f'labels, with warp {weight:g}': Row(mixed=partial(losses_of, 'warp', weight)) for weight in (200., 5000.)},
    'labels, with warp 1000, fading': Row(mixed=partial(losses_of, 'warp', [(0., 1000.), (1., 0.)])),
    **{f'labels, with census and smoothness {weight:g}': Row(mixed=partial(census_and_smoothness, weight))
       for weight in (10., 30.)},
    **{f'labels, with smurf {weight:g}': Row(mixed=partial(losses_of, 'smurf', weight)) for weight in (10., 30.)},
}


def factors_of(name: str) -> List[float]:
    """The factors on the rate that a row is run with: all where it chooses, else 1."""
    return list(FACTORS) if ROWS[name].rate_of == name else [1.]


def config_of(name: str, base: str, values: Dict[str, Any], factor: float = 1.) -> Config:
    """The config of a row.

    Args:
        name: of the row.
        base: the config of a training on labels that it varies.
        values: more of them.
        factor: on the rate of learning.
    """
    row = ROWS[name]
    cfg = with_recipe(load_config(base, {**row.values, **values}), row.recipe)
    at_rate(cfg, factor)
    if not row.augmented:
        cfg.train_pipeline = [part for part in cfg.train_pipeline if part['type'] in _BARE]
    if row.mixed:
        losses = row.mixed()
        add_losses(cfg, losses)
        if any(loss.get('occlusion') for loss in losses):
            halve_batches(cfg)  # as many passes
    return cfg


def at_rate(cfg: Config, factor: float) -> Config:
    """The config itself, with a factor on the rate of learning."""
    cfg.optim_wrapper.optimizer.lr *= factor
    if isinstance(cfg.param_scheduler.eta_max, float):  # else it refers to the rate
        cfg.param_scheduler.eta_max *= factor
    return cfg

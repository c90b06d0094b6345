"""Every setting of a labeler's thresholds, judged in one pass over a pair."""
from __future__ import annotations

import itertools
from typing import Any, Callable, Dict, List, Mapping, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.labeling.flow.filters.pair_guards import PairGuard
from mmrefine.registry import FILTERS, LABELERS
from mmrefine.structures import PairContext

STEPS, SETTINGS = 16, 5000  # values of a threshold; of all thresholds together


def tunable_filters(labeler: Mapping[str, Any]) -> List[Tuple[int, Threshold]]:
    """Which filters of a labeler's config have a threshold to choose: their numbers in ``filters`` and what they
    declare.

    Raises:
        ConfigError: there is none.
    """
    configs = list(labeler.get('filters', ()))
    found = [(i, getattr(type(FILTERS.build(config)), 'threshold', None)) for i, config in enumerate(configs)]
    tuned = [(i, threshold) for i, threshold in found if isinstance(threshold, Threshold)]
    if not tuned:
        names = ', '.join(str(config['type']) for config in configs) or 'none'
        known = sorted(name for name, part in FILTERS.module_dict.items()
                       if isinstance(getattr(part, 'threshold', None), Threshold))
        raise ConfigError(f'labeler.filters has no filter with a threshold to calibrate, got {names}; add one of '
                          f'{", ".join(known)}')
    return tuned


class Sweep:
    """All settings of the filters of a labeler, and what each of them keeps.

    Attributes:
        settings: the thresholds of each setting by their key below the labeler's config, from the strictest to the
            loosest.
        before: the number of the setting that is the labeler's own.
    """

    def __init__(self, labeler: Mapping[str, Any]) -> None:
        described = LABELERS.build(dict(labeler)).describe()['filters']  # with the defaults
        tuned = tunable_filters(labeler)
        numbers = {number for number, _ in tuned}
        parts = [(i, FILTERS.build(config)) for i, config in enumerate(labeler['filters']) if i not in numbers]
        self.fixed = [part for _, part in parts if not isinstance(part, PairGuard)]
        steps = min(STEPS, int(SETTINGS**(1 / len(tuned))) - 1)
        self.tuned: List[List[Callable[[PairContext], Tensor]]] = []
        choices, own = [], []
        for number, threshold in tuned:
            config = labeler['filters'][number]
            mine = described[number][threshold.key]
            values = sorted({*threshold.values(steps), mine}, reverse=threshold.strictest > threshold.loosest)
            options = [(value, threshold.settings(value, described[number])) for value in values]
            built = [(value, changed, _built(dict(config, **changed))) for value, changed in options]
            usable = [(value, changed, part) for value, changed, part in built if part is not None]
            self.tuned.append([part for _, _, part in usable])
            choices.append([{f'filters.{number}.{key}': v for key, v in changed.items()} for _, changed, _ in usable])
            own.append([value for value, _, _ in usable].index(mine))
        self.settings = [{key: value for choice in chosen for key, value in choice.items()}
                         for chosen in itertools.product(*choices)]
        self.before = int(np.ravel_multi_index(own, [len(choice) for choice in choices]))

    def sums(self, ctx: PairContext, right: Tensor, pixels: Tensor, groups: Tensor,
             count: int) -> Tuple[np.ndarray, np.ndarray]:
        """For each setting the weight that is kept of the given pixels of one pair, and what of it is right.

        Args:
            ctx: the pair.
            right: bool, which pixels of it are right.
            pixels: numbers of the pixels to look at.
            groups: the group of each of them, from 0.
            count: how many groups there are.

        Returns:
            two arrays ``(settings, count)``: sums over the pixels of a group.
        """

        def of(part: Callable[[PairContext], Tensor]) -> Tensor:
            return part(ctx).flatten()[pixels].double()

        kept = torch.ones(1, len(pixels), dtype=torch.float64)
        for part in self.fixed:
            kept = kept * of(part)
        *others, last = [torch.stack([of(part) for part in parts]) for parts in self.tuned]
        for weights in others:
            kept = (kept[:, None] * weights).flatten(0, 1)
        hits = kept * right.flatten()[pixels]
        members = [groups == group for group in range(count)]
        weight, right_weight = (torch.stack([(part[:, some] @ last[:, some].T).flatten() for some in members], dim=1)
                                for part in (kept, hits))
        return weight.numpy(), right_weight.numpy()


def _built(config: Dict[str, Any]) -> Any:
    """The filter, or None if it refuses a value that its other settings do not go with."""
    try:
        return FILTERS.build(config)
    except ConfigError:
        return None

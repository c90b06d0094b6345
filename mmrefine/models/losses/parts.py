"""The losses of a batch whose pairs are from several parts of a mixed training."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

import torch
from torch import Tensor

from mmrefine.structures import FlowOutputs, FlowSample, FlowTargets, MixedPart

Score = Callable[[FlowOutputs, FlowTargets], Mapping[str, Tensor]]


def losses_by_part(losses: Score, figures: Score, outputs: FlowOutputs,
                   samples: Sequence[FlowSample]) -> Dict[str, Tensor]:
    """``sum_k c_k n_k / N loss(pairs of part k)`` for each loss, with the weight ``c_k`` of the part and its ``n_k`` of
    the ``N`` pairs.

    A loss is a mean over the weights of labels. One mean over all pairs would count a part by how dense its labels are,
    and a factor on its labels would change the other parts through the sum that it is divided by.

    Args:
        losses: what the losses say of some pairs.
        figures: what is logged of some pairs beside the losses.
        outputs: of the network, for all pairs.
        samples: of all pairs, each with its ``part``.

    Returns:
        the losses by name; ``<figure>_<part>`` of the parts in the batch, and ``share_<part>`` of the batch, in [0, 1],
        of all parts.
    """
    found: Dict[str, Tensor] = {}
    members = _members(samples)
    for part, index in members.items():
        share = len(index) / len(samples)
        some = outputs if share == 1 else outputs.of_pairs(index)
        sample = FlowTargets.of([samples[k] for k in index])
        for name, value in losses(some, sample).items():
            weighed = part.loss_weight * share * value
            found[name] = found[name] + weighed if name in found else weighed
        if sample.has_labels:
            found.update({f'{name}_{part.name}': value for name, value in figures(some, sample).items()})
    shares = {part.name: len(index) / len(samples) for part, index in members.items()}
    for name in samples[0].part.names:
        found[f'share_{name}'] = torch.tensor(shares.get(name, 0.))
    return found


def is_mixed(samples: Sequence[Any]) -> bool:
    """Whether samples are from the parts of a mixed training."""
    return bool(samples) and all('part' in sample for sample in samples)


def _members(samples: Sequence[FlowSample]) -> Dict[MixedPart, List[int]]:
    """The places of the pairs of each part; its weight is that of the step, the same for all of them."""
    members: Dict[MixedPart, List[int]] = {}
    for place, sample in enumerate(samples):
        members.setdefault(sample.part, []).append(place)
    return members

"""Contrastive flow loss: a feature should find its own end among all others."""
from __future__ import annotations

from typing import ClassVar, FrozenSet, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefine.geometry import pixel_grid
from mmrefine.geometry import sample as sample_at
from mmrefine.models.losses.chunked_sum import sum_over_chunks
from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs, FlowTargets


@MODELS.register_module()
class ContrastiveFlowLoss(nn.Module):
    """``sum_i w_i sum_k v_ik (log sum_{j in {k} + N_i} exp s_ij - s_ik) / max(sum_i w_i, 1)``, i in cells of frame 1.

    ``s_ij = a_i . b_j / tau`` compares the feature ``a_i`` of a cell of frame 1 with features ``b_j`` of frame 2.
    ``k`` is the right answer, where the label says that ``i`` ends, ``N_i`` are the negatives, and ``w_i`` is the mean
    weight of the label in the cell, 0 where the end lies outside the grid. A label acts on the encoder directly, not
    only through the iterations, so a network from random weights learns to match within hundreds of steps.

    ``mode='dense'``: all cells of frame 1, and all cells of frame 2 are negatives. The right answer is spread over the
    four cells around the end, ``v_ik`` being their bilinear shares.

    ``mode='sampled'`` (InfoNCE): ``positions`` cells of each image, drawn at random in each step from those that have
    weight and end inside. ``b_k`` is the feature at the end itself, read bilinearly, and the negatives are the ends of
    the other drawn cells.

    What is the paper's, CLIP-FLow (Zhang et al., 2022, arXiv 2210.14383, abstract): features of frame 1 are contrasted
    with features of frame 2 that were warped by the pseudo-label, beside the losses on flow. What is our choice, as the
    rest was never published: both formulas, where the negatives come from and which are left out, all numbers below,
    and the features, which are those that the network itself compares.

    Args:
        mode: ``'dense'`` or ``'sampled'``.
        positions: cells that are drawn of each image; all that are valid where there are fewer. Mode 'sampled' only.
        temperature: tau; the smaller, the more the best scores decide, and without ``normalize`` the smaller the values
            of the correlation volume stay. Default: 1 in mode 'dense', 0.1 in mode 'sampled'.
        normalize: compare features of length 1 (cosines; those shorter than 0.001 stay shorter); otherwise scores are
            divided by ``sqrt(C)``, as in RAFT's correlation volume. Default: only in mode 'sampled'.
        negatives: ``'image'``, or ``'batch'``, which adds the candidates of the other images in the batch (of this
            process).
        exclude_within: cells; what lies this near to the end is no negative, as it shows much the same. Default: 0 in
            mode 'dense', where nothing is left out, and 1 in mode 'sampled'.
        chunk: cells of each image whose scores are held at once; memory grows with ``chunk``, not with the square of
            the number of cells. It changes the result by rounding only.
        loss_weight: factor on the result.

    Raises:
        ValueError: a mode or kind of negatives that does not exist, or a number out of range.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels', 'features'})

    def __init__(self,
                 mode: str = 'dense',
                 positions: int = 1024,
                 temperature: Optional[float] = None,
                 normalize: Optional[bool] = None,
                 negatives: str = 'image',
                 exclude_within: Optional[float] = None,
                 chunk: int = 256,
                 loss_weight: float = 1.) -> None:
        super().__init__()
        for name, value, known in (('mode', mode, ('dense', 'sampled')), ('negatives', negatives, ('image', 'batch'))):
            if value not in known:
                raise ValueError(f'{name} must be {known[0]!r} or {known[1]!r}, got {value!r}')
        for name, count in (('positions', positions), ('chunk', chunk)):
            if count < 1:
                raise ValueError(f'{name} must be at least 1 cell, got {count}')
        sampled = mode == 'sampled'
        self.temperature = (0.1 if sampled else 1.) if temperature is None else temperature
        if not self.temperature > 0:
            raise ValueError(f'temperature must be positive, got {temperature}')
        self.exclude_within = float(sampled) if exclude_within is None else exclude_within
        if not self.exclude_within >= 0:
            raise ValueError(f'exclude_within must be 0 or more cells, got {exclude_within}')
        self.normalize = sampled if normalize is None else normalize
        self.mode, self.positions, self.negatives, self.chunk = mode, positions, negatives, chunk
        self.loss_weight = loss_weight

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """The loss; 0 with zero gradient where nothing has weight or everything ends outside.

        Mode 'sampled' draws from torch's global generator.

        Raises:
            ConfigError: no label.
            ValueError: outputs without features.
        """
        if outputs.features is None:
            raise ValueError('ContrastiveFlowLoss needs features, got outputs with features=None')
        # sums of exponentials want float32 at least
        feat1, feat2 = (feat.to(torch.promote_types(feat.dtype, torch.float32)) for feat in outputs.features)
        ends, share = _on_cells(outputs, sample, feat1)
        compare = self._sampled if self.mode == 'sampled' else _dense
        parts = compare(feat1, feat2, ends, share)
        queries, candidates = parts.queries, parts.candidates
        if self.normalize:
            # a feature of 0 has no direction; the bound keeps its gradient small
            queries, candidates = (F.normalize(part, dim=-1, eps=1e-3) for part in (queries, candidates))
        else:
            queries = queries / queries.shape[-1]**0.5
        right = parts.right
        if self.negatives == 'batch':
            images, count = candidates.shape[:2]
            right = right + count * torch.arange(images, device=right.device).view(-1, 1, 1)
            candidates = candidates.flatten(0, 1)

        def terms(queries: Tensor, candidates: Tensor, rows: slice) -> Tensor:
            scores = queries @ candidates.transpose(-1, -2)
            return _cross_entropy(scores, right[:, rows], parts.portion[:, rows], self._left_out(parts, rows))

        total = sum_over_chunks(terms, queries / self.temperature, candidates, self.chunk)
        return self.loss_weight * total / parts.portion.sum().clamp(min=1.)

    def _sampled(self, feat1: Tensor, feat2: Tensor, ends: Tensor, share: Tensor) -> '_Parts':
        keys = torch.rand(share.shape, device=share.device).masked_fill(share == 0, -1.)
        key, drawn = keys.topk(min(self.positions, keys.shape[1]), dim=1)
        known = key >= 0  # of an image with fewer valid cells the rest is filling
        ends = ends.gather(1, drawn[..., None].expand(-1, -1, 2))
        queries = feat1.flatten(2).gather(2, drawn[:, None].expand(-1, feat1.shape[1], -1)).transpose(1, 2)
        candidates = sample_at(feat2, ends.transpose(1, 2)[:, :, None], padding='border')[:, :, 0].transpose(1, 2)
        right = torch.arange(ends.shape[1], device=ends.device).view(1, -1, 1).expand(len(ends), -1, -1)
        return _Parts(queries, candidates, right, (share.gather(1, drawn) * known)[..., None], ends, ends, known)

    def _left_out(self, parts: '_Parts', rows: slice) -> Optional[Tensor]:
        """Which candidates are no negatives, bool ``(B, n, candidates)``; None: all are."""
        if parts.known is None and self.exclude_within == 0:
            return None
        # the matrix product that cdist would use otherwise is off by more than a border case allows
        apart = torch.cdist(parts.ends[:, rows], parts.places, compute_mode='donot_use_mm_for_euclid_dist')
        near = apart <= self.exclude_within
        if self.negatives == 'batch':
            own = torch.eye(len(near), dtype=torch.bool, device=near.device)[:, None, :, None]
            near = (near[:, :, None] & own).flatten(2)
        if parts.known is None:
            return near
        return near | ~(parts.known.flatten() if self.negatives == 'batch' else parts.known[:, None])


class _Parts(NamedTuple):
    """What is compared: N cells of frame 1 with K candidates of frame 2, of each of B images.

    ``queries`` ``(B, N, C)``; ``candidates`` ``(B, K, C)``; ``right`` ``(B, N, P)``, the candidates that are right, and
    ``portion``, their weights; ``ends`` ``(B, N, 2)`` and ``places`` ``(B, K, 2)``, (x, y) in cells; ``known``
    ``(B, K)``, which candidates exist, None if all do.
    """
    queries: Tensor
    candidates: Tensor
    right: Tensor
    portion: Tensor
    ends: Tensor
    places: Tensor
    known: Optional[Tensor]


def _on_cells(outputs: FlowOutputs, sample: FlowTargets, feat: Tensor) -> Tuple[Tensor, Tensor]:
    """Where each cell ends, ``(B, h w, 2)`` (x, y) in cells, and its weight ``(B, h w)``, 0 if that lies outside."""
    target, weight = (F.pad(part, outputs.padding) for part in sample.label())  # what was added has no weight
    target = target.masked_fill(weight == 0, 0.)
    height, width = feat.shape[-2:]
    cell = (target.shape[-2] // height, target.shape[-1] // width)
    share = F.avg_pool2d(weight, cell)
    flow = F.avg_pool2d(weight * target, cell) / share.clamp(min=1e-6)
    ends = _grid(height, width, feat) + (flow / flow.new_tensor([cell[1], cell[0]]).view(1, 2, 1, 1)).flatten(2).mT
    last = ends.new_tensor([width - 1, height - 1])
    outside = ((ends < 0) | (ends > last)).any(dim=2)
    share = share.flatten(1).to(feat.dtype).masked_fill(outside, 0.)
    share = share.masked_fill(ends.isnan().any(dim=2), float('nan'))  # a broken label has to be noticed
    return ends.clamp(min=ends.new_zeros(2), max=last), share


def _grid(height: int, width: int, like: Tensor) -> Tensor:
    """``(1, h w, 2)`` (x, y) of all cells."""
    return pixel_grid(height, width, like).flatten(2).mT


def _dense(feat1: Tensor, feat2: Tensor, ends: Tensor, share: Tensor) -> _Parts:
    height, width = feat1.shape[-2:]
    first = ends.floor()
    right, portion = [], []
    for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = (first + first.new_tensor(corner)).unbind(-1)
        right.append((y.clamp(max=height - 1) * width + x.clamp(max=width - 1)).long().clamp(0, height * width - 1))
        portion.append(share * (1 - (ends[..., 0] - x).abs()) * (1 - (ends[..., 1] - y).abs()))
    places = _grid(height, width, feat1).expand(len(feat1), -1, -1)
    return _Parts(feat1.flatten(2).mT, feat2.flatten(2).mT, torch.stack(right, -1), torch.stack(portion, -1), ends,
                  places, None)


def _cross_entropy(scores: Tensor, right: Tensor, portion: Tensor, left_out: Optional[Tensor]) -> Tensor:
    """``sum portion (log sum_{j in {right} + negatives} exp scores_j - scores_right)``; arguments: see _Parts."""
    found = scores.gather(2, right)
    if left_out is None:
        return (portion * (scores.logsumexp(dim=2, keepdim=True) - found)).sum()
    # not -inf: its gradient is nan where nothing is left
    others = scores.masked_fill(left_out, torch.finfo(scores.dtype).min).logsumexp(dim=2, keepdim=True)
    # the right answer itself competes always, and once
    total = torch.where(left_out.gather(2, right), torch.logaddexp(others.expand_as(found), found), others)
    return (portion * (total - found)).sum()

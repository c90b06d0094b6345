"""Sums over all pairs of two sets of features, in the memory of a part of them."""
from __future__ import annotations

from typing import Any, Callable, List, Tuple

import torch
from torch import Tensor

Terms = Callable[[Tensor, Tensor, slice], Tensor]


def sum_over_chunks(terms: Terms, queries: Tensor, candidates: Tensor, chunk: int) -> Tensor:
    """``sum_rows terms(queries[:, rows], candidates, rows)``, with no more than one chunk of rows held at a time.

    The gradient of each chunk is taken right after its value, so nothing is computed twice, and until the backward
    pass only gradients of the size of ``queries`` and ``candidates`` are kept. It cannot be differentiated twice.

    Args:
        terms: gives a scalar; differentiated by its two tensors only.
        queries: ``(B, N, C)``.
        candidates: of any shape.
        chunk: rows at a time, 1 or more.
    """
    if torch.is_grad_enabled() and (queries.requires_grad or candidates.requires_grad):
        return _SumOverChunks.apply(terms, queries, candidates, chunk)
    total = queries.new_zeros(())
    for rows in _chunks(queries, chunk):
        total = total + terms(queries[:, rows], candidates, rows)
    return total


def _chunks(queries: Tensor, chunk: int) -> List[slice]:
    return [slice(begin, begin + chunk) for begin in range(0, queries.shape[1], chunk)]


class _SumOverChunks(torch.autograd.Function):
    """See :func:`sum_over_chunks`."""

    @staticmethod
    def forward(ctx: Any, terms: Terms, queries: Tensor, candidates: Tensor, chunk: int) -> Tensor:
        total, of_queries, of_candidates = queries.new_zeros(()), [], torch.zeros_like(candidates)
        for rows in _chunks(queries, chunk):
            query, whole = queries[:, rows].detach().requires_grad_(), candidates.detach().requires_grad_()
            with torch.enable_grad():
                value = terms(query, whole, rows)
            of_query, of_whole = torch.autograd.grad(value, (query, whole))
            total += value.detach()
            of_queries.append(of_query)
            of_candidates += of_whole
        ctx.save_for_backward(torch.cat(of_queries, dim=1), of_candidates)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tuple[None, Tensor, Tensor, None]:
        of_queries, of_candidates = ctx.saved_tensors
        return None, gradient * of_queries, gradient * of_candidates, None

"""Time, memory and differences of one way of doing things on a GPU."""
from __future__ import annotations

import statistics
from typing import Any, Callable, Dict, List, Tuple

import torch
from torch import Tensor

from mmrefine.geometry import cycle_consistent

Flows = Tuple[Tensor, Tensor]


class Measured:
    """Times, memory and differences of one way of doing things."""

    def __init__(self) -> None:
        self.milliseconds: List[float] = []
        self.peak = 0
        self.equal: List[float] = []
        self.off: List[float] = []
        self.failed = False

    def run(self, call: Callable[[], Any], counts: bool) -> Any:
        """What ``call`` gives; None once it ran out of memory."""
        if self.failed:
            return None
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        start.record()
        try:
            answer = call()
        except torch.cuda.OutOfMemoryError:
            self.failed = True
            torch.cuda.empty_cache()
            return None
        end.record()
        torch.cuda.synchronize()
        if counts:
            self.milliseconds.append(start.elapsed_time(end))
            self.peak = max(self.peak, torch.cuda.max_memory_allocated() - before)
        return answer

    def compare(self, flows: Flows, plain: Flows) -> None:
        """Take in how far the flows of a pair, both ways, are from those of plain calls."""
        self.equal.append(float((masks(flows) == masks(plain)).double().mean()))
        off = torch.cat([(a.float() - b.float()).norm(dim=1).flatten() for a, b in zip(flows, plain)])
        self.off.append(float(off.sort().values[int(.99 * len(off))]))

    def row(self, rival: 'Measured') -> Dict[str, str]:
        """The columns of a table."""
        if self.failed or rival.failed:
            return {'ms': 'out of memory' if self.failed else f'{statistics.median(self.milliseconds):.1f}'}
        median = statistics.median(self.milliseconds)
        row = {'ms': f'{median:.1f}', 'times as fast': f'{statistics.median(rival.milliseconds) / median:.2f}',
               'peak memory, MiB': f'{self.peak / 2**20:.0f}'}
        if self.equal:
            row.update({'masks equal': f'{statistics.mean(self.equal):.2%}', 'off by, 99 %': f'{max(self.off):.1e} px'})
        return row


def masks(flows: Flows) -> Tensor:
    """Where the two ways of a pair agree, forward and backward."""
    forward, backward = (flow.float() for flow in flows)
    return torch.stack([cycle_consistent(forward, backward, .01, .5), cycle_consistent(backward, forward, .01, .5)])

"""What the processor can do."""
from __future__ import annotations

import functools
import time

import torch
import torch.nn.functional as F


def has_fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 is worth asking for on a device of this type, such as 'cpu' or 'cuda'.

    A CPU without the 512-bit vectors that PyTorch's convolutions of bfloat16 are written for takes several times as
    long as with float32, and a GPU that only emulates bfloat16 does, too; other accelerators are taken to be fast.
    """
    if device == 'cpu':
        return torch.backends.cpu.get_cpu_capability().startswith('AVX512')
    return device != 'cuda' or torch.cuda.is_bf16_supported(including_emulation=False)


def bfloat16_speedup(device: str) -> float:
    """How many times as fast a convolution like RAFT's is in bfloat16 on ``'cpu'`` or ``'cuda'``, forward and backward.

    The best of a few runs of each, in turn; takes about 0.2 s, once in a process for a number of threads.
    """
    return _measured_speedup(device, torch.get_num_threads())


@functools.lru_cache(maxsize=None)
def _measured_speedup(device: str, threads: int) -> float:
    """See above; ``threads`` are those of this process."""
    source = torch.Generator().manual_seed(0)  # training draws what it would draw without this
    frames, weight = (torch.rand(shape, generator=source).to(device) for shape in ((2, 128, 32, 56), (128, 128, 3, 3)))
    frames = frames.contiguous(memory_format=torch.channels_last)
    best = {torch.float32: float('inf'), torch.bfloat16: float('inf')}
    for turn in range(5):
        for dtype in best:
            first, second = (part.detach().to(dtype).requires_grad_() for part in (frames, weight))
            if device == 'cuda':
                torch.cuda.synchronize()
            begin = time.perf_counter()
            F.conv2d(first, second, padding=1).sum().backward()
            if device == 'cuda':
                torch.cuda.synchronize()
            if turn:  # the first one warms up
                best[dtype] = min(best[dtype], time.perf_counter() - begin)
    return best[torch.float32] / best[torch.bfloat16]

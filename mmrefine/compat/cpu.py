"""What the processor can do."""
from __future__ import annotations

import torch


def has_fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 is worth asking for on a device of this type, such as 'cpu' or 'cuda'.

    A CPU without the 512-bit vectors that PyTorch's convolutions of bfloat16 are written for takes several times as
    long as with float32; accelerators are taken to be fast.
    """
    return device != 'cpu' or torch.backends.cpu.get_cpu_capability().startswith('AVX512')

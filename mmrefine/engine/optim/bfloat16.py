"""Mixed precision that a CPU can run too."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from mmrefine.compat.cpu import has_fast_bfloat16
from mmrefine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's wrapper with the forward pass under bfloat16 autocast.

    MMEngine's own ``AmpOptimWrapper`` refuses to run without an accelerator. bfloat16 has float32's range, so no
    gradient scaler is needed.

    It is there to save time. Where it would cost time, on a CPU that has no fast way with bfloat16, all stays float32,
    and the log says so.
    """
    _announced = False

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast on the device of ``model``, around MMEngine's own context."""
        device = next(model.parameters()).device.type
        fast = has_fast_bfloat16(device)
        if not fast and not self._announced:
            self._announced = True
            print_log('Training in float32: this CPU would take several times as long under bfloat16', logger='current')
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16, enabled=fast):
            yield

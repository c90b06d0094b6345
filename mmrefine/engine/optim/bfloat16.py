"""Mixed precision that a CPU can run too."""
from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import torch
from mmengine.dist import broadcast_object_list
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from mmrefine.compat.cpu import bfloat16_speedup, has_fast_bfloat16
from mmrefine.errors import ConfigError
from mmrefine.registry import OPTIM_WRAPPERS

PRECISIONS = ('bfloat16', 'auto', 'float32')
WORTH_IT = 1.2  # times as fast, at least: rounding is no price for less


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's wrapper with the forward pass under bfloat16 autocast.

    MMEngine's own ``AmpOptimWrapper`` refuses to run without an accelerator. bfloat16 has float32's range, so no
    gradient scaler is needed.

    It is there to save time. Where it would cost time, on a CPU or GPU that has no fast way with bfloat16, all stays
    float32, and the log says so. The precision is chosen before the first step, kept in checkpoints, and a resumed run
    goes on with it.

    Args:
        precision: ``'bfloat16'`` wherever the hardware knows it; ``'auto'``: only where convolutions that are timed
            before the first step are at least 1.2 times as fast with it; ``'float32'``: nowhere.
        kwargs: MMEngine's.

    Raises:
        ConfigError: another ``precision``.
    """

    def __init__(self, *args: Any, precision: str = 'bfloat16', **kwargs: Any) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f'optim_wrapper.precision must be one of {", ".join(PRECISIONS)}, got {precision!r}')
        super().__init__(*args, **kwargs)
        self.precision = precision
        self._reduced: Optional[bool] = None  # not chosen yet
        self._begun: Optional[bool] = None  # of the run that is resumed

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast on the device of ``model``, around MMEngine's own context."""
        device = next(model.parameters()).device.type
        if self._reduced is None:
            choice = [self.choose(device)]
            broadcast_object_list(choice)  # of the first process
            self._reduced, reason = choice[0]
            print_log(f'Training in {_name(self._reduced)}: {reason}', logger='current')
            if self._begun not in (None, self._reduced):
                print_log(f'This run began in {_name(not self._reduced)} and goes on in {_name(self._reduced)}, so it '
                          'ends with other weights than without the stop', logger='current', level=logging.WARNING)
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16, enabled=self._reduced):
            yield

    def choose(self, device: str) -> Tuple[bool, str]:
        """Whether to train in bfloat16 on a kind of device, such as ``'cpu'``, and why."""
        name = 'CPU' if device == 'cpu' else 'GPU'
        if self.precision == 'float32':
            return False, 'as optim_wrapper.precision says'
        if not has_fast_bfloat16(device):
            advice = '' if device == 'cpu' else "; optim_wrapper.type='AmpOptimWrapper' trains in float16"
            return False, f'this {name} would take several times as long under bfloat16{advice}'
        if self.precision == 'bfloat16':
            return True, 'as optim_wrapper.precision says'
        if self._begun is not None:
            return self._begun, 'as it began'
        if device not in ('cpu', 'cuda'):
            return False, f"bfloat16 is not measured on {device}; optim_wrapper.precision='bfloat16' asks for it"
        times = bfloat16_speedup(device)
        return times >= WORTH_IT, f'convolutions are {times:.1f} times as fast in bfloat16 on this {name}'

    def state_dict(self) -> Dict[str, Any]:
        """MMEngine's, and the precision that was chosen."""
        found: Dict[str, Any] = super().state_dict()
        if self._reduced is not None:
            found['reduced_precision'] = self._reduced
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from such a state, under ``'auto'`` in its precision; one without it, of another wrapper, is of
        float32."""
        state = dict(state_dict)
        self._begun, self._reduced = bool(state.pop('reduced_precision', False)), None
        super().load_state_dict(state)


def _name(reduced: bool) -> str:
    return 'bfloat16' if reduced else 'float32'

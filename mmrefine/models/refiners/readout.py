"""From what a stock network returns to flows in pixels (F14)."""
from __future__ import annotations

import inspect
from typing import Any, List, Protocol, Tuple

from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.geometry import pixel_grid, sample

# Sub-networks in the order of who has the last word in FlowNet2 and FlowNet2-CSS.
_LAST_WORD = ('flownet_fusion', 'flownetS2', 'flownetS1')


class FlowReadout(Protocol):
    """Turns what ``estimator(inputs, mode='tensor')`` returns into flows of full size.

    ``divisor`` is what both sides of the frames must be a multiple of, and ``least`` the smallest side, px.
    """
    divisor: int
    least: int

    def __call__(self, output: Any, size: Tuple[int, int]) -> List[Tensor]:
        """``size``: (height, width) px of the frames. Returns flows ``(B, 2, H, W)`` px, coarse to fine."""
        ...


class IterateReadout:
    """RAFT, GMA and CRAFT return their iterates as full-size flows in px already.

    The frames become features of 1/8 size, whose correlation is halved three times: 64 px leave one cell.
    """
    divisor = 8
    least = 64

    def __call__(self, output: List[Tensor], size: Tuple[int, int]) -> List[Tensor]:
        """See :class:`FlowReadout`."""
        return [flow.float() for flow in output]


class PyramidReadout:
    """The pyramid families return a dict ``level6`` ... ``level0`` of small maps, divided by the decoder's flow scale.

    A level may hold several flows, the refined one last (IRR-PWC), and the dict may be the first of a tuple: the
    backward flow and occlusions follow it in IRR-PWC, a mask in MaskFlowNet-S. Vectors are in px of the full frame.

    Args:
        flow_div: px per unit of the network's answer.
    """
    divisor = 64
    least = 64

    def __init__(self, flow_div: float) -> None:
        self.flow_div = flow_div

    def __call__(self, output: Any, size: Tuple[int, int]) -> List[Tensor]:
        """See :class:`FlowReadout`."""
        levels = output[0] if isinstance(output, tuple) else output
        flows: List[Tensor] = []
        for level in sorted(levels, key=_level_number, reverse=True):
            answers = levels[level]
            for answer in answers if isinstance(answers, (list, tuple)) else [answers]:
                flows.append(upsample_cells(answer.float(), size) * self.flow_div)
        return flows


def readout_for(estimator: nn.Module) -> FlowReadout:
    """The readout of a stock network's family.

    Args:
        estimator: an mmflow flow estimator, or one that is built like it.

    Raises:
        ConfigError: a network with neither iterates nor a flow scale.
    """
    decoder = _last_decoder(estimator)
    if hasattr(decoder, 'iters'):
        return IterateReadout()
    if hasattr(decoder, 'flow_div'):
        return PyramidReadout(float(decoder.flow_div))
    raise ConfigError(
        f'model.estimator: {type(estimator).__name__} is of no known family: its decoder '
        f'({type(decoder).__name__}) has neither `iters` (RAFT, GMA, CRAFT) nor `flow_div` (pyramids); '
        'name a flow estimator of mmflow, or give yours a decoder with one of the two')


def takes_flow_init(estimator: nn.Module) -> bool:
    """Whether this network can start from a given flow (its decoder takes ``flow`` beside the features of RAFT)."""
    decoder = getattr(estimator, 'decoder', None)
    if decoder is None or not hasattr(decoder, 'iters'):
        return False
    return {'flow', 'h_feat', 'cxt_feat'} <= set(inspect.signature(decoder.forward).parameters)


def upsample_cells(cells: Tensor, size: Tuple[int, int]) -> Tensor:
    """A map of cells at full size: each value sits at the centre of the block of pixels that it stands for.

    That is how mmflow's pyramids down-sample their targets and up-sample their answer, so the published weights expect
    it; a resize that keeps the corner centres would move the answer by up to half a cell.

    Args:
        cells: ``(B, C, h, w)``, values stay as they are.
        size: ``(height, width)`` wanted, px.

    Returns:
        ``(B, C, height, width)``.
    """
    height, width = cells.shape[-2:]
    if (height, width) == tuple(size):
        return cells
    ratio = cells.new_tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)
    points = (pixel_grid(size[0], size[1], cells) + 0.5) * ratio - 0.5
    return sample(cells, points.expand(cells.shape[0], -1, -1, -1), padding='border')


def _level_number(level: str) -> int:
    return int(level[len('level'):])


def _last_decoder(estimator: nn.Module) -> Any:
    """The decoder whose answer the whole network returns."""
    for name in _LAST_WORD:
        if hasattr(estimator, name):
            return _last_decoder(getattr(estimator, name))
    return getattr(estimator, 'decoder', None)

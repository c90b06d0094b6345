"""Which features a flow network compares, and how to get hold of them."""
from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Optional

from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.models.refiners.readout import takes_flow_init

# for a message to those whose network has none
WHO_HAS_THEM = 'RAFT, GMA, FlowNetC, PWC-Net, IRR-PWC, LiteFlowNet, LiteFlowNet2 and MaskFlowNet have features'


class MatchingFeatures:
    """The features of single frames that a network compares, which mmflow does not return.

    RAFT and GMA compare one grid of features, at 1/8 of the size of the frames. The pyramids compare at several levels,
    of which ``level2`` is at 1/4 (in LiteFlowNet at 1/2) and each further one half as large. Of MaskFlowNet it is the
    first of its two networks, as the second sees a frame 2 that was warped already. ``there`` says whether the network
    has any; ``level`` is the level that is taken, None of a single grid.

    Args:
        network: a flow estimator of mmflow, or one that is built like it.
        level: of a pyramid, such as ``'level3'``. Default: the finest one that is compared.

    Raises:
        ConfigError: a level of a network that has no such level.
    """

    def __init__(self, network: nn.Module, level: Optional[str] = None) -> None:
        network = getattr(network, 'maskflownetS', network)
        self.encoder: Optional[nn.Module] = getattr(network, 'encoder', None)
        levels = _compared_levels(network)
        self.level = min(levels, default=None) if level is None else level
        self.there = bool(levels) or takes_flow_init(network)
        if level is not None and level not in levels:
            kind = type(network).__name__
            raise ConfigError(f'model.feature_level={level!r}: {kind} compares features of {", ".join(levels)}; name '
                              'one of these' if levels else
                              f'model.feature_level={level!r}: {kind} has no levels to choose from; leave it out')

    @contextlib.contextmanager
    def collected(self) -> Iterator[List[Tensor]]:
        """Collects them while the network runs: those of frame 1 and of frame 2, ``(B, C, h, w)`` each, in a list."""
        features: List[Tensor] = []

        def listen(module: nn.Module, inputs: Any, output: Any) -> None:
            features.append(output if self.level is None else output[self.level])

        assert self.encoder is not None
        handle = self.encoder.register_forward_hook(listen)
        try:
            yield features
        finally:
            handle.remove()


def _compared_levels(network: Any) -> List[str]:
    """Levels of the pyramid whose features are compared, in order; none of a network without a pyramid."""
    decoder: Any = getattr(network, 'decoder', None)
    blocks = getattr(decoder, 'corr_block', None)
    if hasattr(network, 'corr_level'):  # FlowNetC
        return [network.corr_level]
    if isinstance(blocks, nn.ModuleDict):  # IRR-PWC, MaskFlowNet: one block for each
        return sorted(blocks)
    return sorted(decoder.flow_levels) if hasattr(decoder, 'corr_cfg') and hasattr(decoder, 'flow_levels') else []

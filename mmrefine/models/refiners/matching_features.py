"""Which features a flow network compares, and how to get hold of them."""
from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Optional

from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.models.refiners.readout import takes_flow_init

# for a message to those whose network has none
WHO_HAS_THEM = 'RAFT, GMA, CRAFT, FlowNetC, PWC-Net, IRR-PWC, LiteFlowNet, LiteFlowNet2 and MaskFlowNet have features'
ENCODED, SMOOTHED = 'fnet', 'trans'  # of CRAFT


class MatchingFeatures:
    """The features of single frames that a network compares, which mmflow does not return.

    RAFT, GMA and CRAFT compare one grid of features, at 1/8 of the size of the frames; CRAFT smooths those of frame 2
    before. The pyramids compare at several levels, of which ``level2`` is at 1/4 (in LiteFlowNet at 1/2) and each
    further one half as large. Of MaskFlowNet it is the first of its two networks, as the second sees a frame 2 that was
    warped already. ``there`` says whether the network has any; ``feat`` says which are taken, None where there is no
    choice.

    Args:
        network: a flow estimator of mmflow, or one that is built like it.
        feat: of a pyramid a level, such as ``'level3'``, by default the finest one that is compared; of CRAFT
            ``'fnet'`` (the default) or ``'trans'``, with those of frame 2 smoothed.

    Raises:
        ConfigError: features that the network has not.
    """

    def __init__(self, network: nn.Module, feat: Optional[str] = None) -> None:
        network = getattr(network, 'maskflownetS', network)
        self.encoder: Optional[nn.Module] = getattr(network, 'encoder', None)
        self.smoothing: Optional[nn.Module] = getattr(network, 'f2_trans', None)
        choices = _compared_levels(network) if self.smoothing is None else [ENCODED, SMOOTHED]
        self.feat = choices[0] if feat is None and choices else feat
        self.there = bool(choices) or takes_flow_init(network)
        if feat is not None and feat not in choices:
            kind = type(network).__name__
            raise ConfigError(f'model.feat={feat!r}: {kind} compares features of {", ".join(choices)}; name one of '
                              'these' if choices else
                              f'model.feat={feat!r}: {kind} has no features to choose from; leave it out')

    @contextlib.contextmanager
    def collected(self) -> Iterator[List[Tensor]]:
        """Collects them while the network runs: those of frame 1 and of frame 2, ``(B, C, h, w)`` each, in a list."""
        features: List[Tensor] = []

        def listen(module: nn.Module, inputs: Any, output: Any) -> None:
            features.append(output[self.feat] if isinstance(output, dict) else output)

        def replace(module: nn.Module, inputs: Any, output: Tensor) -> None:
            features[1] = output

        assert self.encoder is not None
        handles = [self.encoder.register_forward_hook(listen)]
        if self.feat == SMOOTHED and self.smoothing is not None:
            handles.append(self.smoothing.register_forward_hook(replace))
        try:
            yield features
        finally:
            for handle in handles:
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

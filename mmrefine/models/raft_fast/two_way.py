"""RAFT, GMA and CRAFT both ways at once, each frame encoded once: the same flows as two calls of the network, in less
time."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mmrefine.models.networks.convex_upsampling import ConvexUpsamplingDecoder
from mmrefine.models.networks.craft import CRAFT, CRAFTDecoder, CrossFrameCorrelation
from mmrefine.models.raft_fast.correlation import Correlation, corr_bytes
from mmrefine.models.raft_fast.frame_memory import Features, FrameMemory
from mmrefine.models.raft_fast.iterations import iterate
from mmrefine.models.raft_fast.winograd import WinogradConvolutions
from mmrefine.structures.pairs import Names


@dataclass(frozen=True)
class TwoWaySettings:
    """How to iterate.

    Args:
        iters: iterations, at most.
        max_corr_bytes: for the correlation pyramids that are in memory at a time; see
            :class:`~mmrefine.models.raft_fast.correlation.Correlation` for what becomes of one that does not fit alone.
        exit_below: px; stop once no pair of the batch, in neither direction, moves by this much on average in an
            iteration.
    """
    iters: int
    max_corr_bytes: int
    exit_below: Optional[float] = None


def runs_two_way(network: nn.Module) -> bool:
    """Whether :func:`both_flows` gives what this network gives now: one of :func:`is_known`, and no norm learns from
    its batches."""
    norms = (module for module in network.modules() if isinstance(module, _NormBase))
    return is_known(network) and not any(norm.training and norm.track_running_stats for norm in norms)


def is_known(network: nn.Module) -> bool:
    """Whether this is mmflow's RAFT with its own decoder or GMA's, or a CRAFT, whatever the encoders.

    A class of another family is not, nor a subclass that changes the way of the features.
    """
    from mmflow.models.decoders.gma_decoder import GMADecoder
    from mmflow.models.decoders.raft_decoder import ConvGRU, CorrelationPyramid, RAFTDecoder
    from mmflow.models.flow_estimators.raft import RAFT
    from mmflow.models.utils.corr_lookup import CorrLookup
    decoder = getattr(network, 'decoder', None)
    if not isinstance(network, RAFT) or not isinstance(decoder, RAFTDecoder):
        return False
    craft = isinstance(decoder, CRAFTDecoder)
    features, correlation = (CRAFT, CrossFrameCorrelation) if craft else (RAFT, CorrelationPyramid)
    stock = (
        type(network)._forward is RAFT._forward and type(network).extract_feat is features.extract_feat
        and type(decoder).forward in (RAFTDecoder.forward, GMADecoder.forward)
        and type(decoder)._upsample in (RAFTDecoder._upsample, ConvexUpsamplingDecoder._upsample)
        and type(decoder.corr_block) is correlation
        and type(decoder.corr_lookup) is CorrLookup and type(decoder.gru) is ConvGRU)
    lookup = decoder.corr_lookup
    return stock and (lookup.mode, lookup.padding_mode, lookup.align_corners) == ('bilinear', 'zeros', True)


def pyramid_bytes(network: nn.Module, size: Tuple[int, int]) -> List[int]:
    """Bytes of the correlation pyramid that the network itself makes for a pair of frames, level by level, fine to
    coarse.

    Args:
        network: one of :func:`is_known`.
        size: (height, width) px of the padded frames.
    """
    decoder: Any = network.decoder
    cell = 2**(decoder.num_levels - 1)
    height, width = size[0] // cell, size[1] // cell
    return corr_bytes(height * width, (height, width), decoder.num_levels)


def peak_bytes(network: nn.Module, size: Tuple[int, int], pairs: int, max_corr_bytes: int) -> int:
    """Bytes of the correlation pyramids that are in memory at once for ``pairs`` pairs, each in one direction; see
    above."""
    levels = pyramid_bytes(network, size)
    if sum(levels) <= max_corr_bytes:  # as many at a time as fit
        return min(pairs, max_corr_bytes // sum(levels)) * sum(levels)
    if isinstance(network.decoder, CRAFTDecoder):
        return sum(levels)
    # one by one, without its fine levels
    return next(sum(levels[i:]) for i in range(len(levels) + 1) if sum(levels[i:]) <= max_corr_bytes)


def both_flows(network: nn.Module,
               frames1: Tensor,
               frames2: Tensor,
               start: Optional[Tensor],
               settings: TwoWaySettings,
               names: Optional[Names] = None,
               memory: Optional[FrameMemory] = None,
               size: Optional[Tuple[int, int]] = None) -> Tensor:
    """The last flows forward, then backward.

    Args:
        network: one that :func:`runs_two_way`.
        frames1: ``(B, 3, H, W)``, padded and normalised for the network.
        frames2: the same shape.
        start: ``(2 B, 2, h, w)`` cells to start from, forward then backward; None: rest.
        settings: how to iterate.
        names: of the frames in ``frames1`` and in ``frames2``; each name is encoded once.
        memory: also remembers named frames from call to call.
        size: (height, width) px of the frames before they were padded, for the memory.

    Returns:
        ``(2 B, 2, H, W)`` px.

    Raises:
        ValueError: names that do not fit the frames.
    """
    frames = torch.cat([frames1, frames2])
    if names is None:
        features = _encode(network, frames)
    else:
        memory = FrameMemory(0) if memory is None else memory
        features = memory.encode(lambda frame: _encode(network, frame), frames, [*names[0], *names[1]], size)
    matching, context = features[:2]
    # the other way, frame 2 is compared with frame 1
    other = (features[2] if len(features) > 2 else matching).roll(len(frames1), dims=0)
    return _in_groups(network, matching, other, context, start, settings, mirrored=True)


def one_way_flow(network: nn.Module, frames1: Tensor, frames2: Tensor, start: Optional[Tensor],
                 settings: TwoWaySettings) -> Tensor:
    """The last flow ``(B, 2, H, W)`` px from ``frames1`` to ``frames2``; arguments: see :func:`both_flows`."""
    net: Any = network
    matching1, context = net.encoder(frames1), net.context(channels_last_on_cpu(frames1))
    matching2 = as_second(network, net.encoder(frames2))
    return _in_groups(network, matching1, matching2, context, start, settings)


def _encode(network: Any, frames: Tensor) -> Features:
    """Features for matching and for context ``(B, C, h, w)`` of each frame; those of CRAFT as second frames, too."""
    matching, context = network.encoder(frames), network.context(channels_last_on_cpu(frames))
    second = as_second(network, matching)
    return (matching, context) if second is matching else (matching, context, second)


def channels_last_on_cpu(frames: Tensor) -> Tensor:
    """Frames for the encoder of the context, which a CPU convolves channels last without reordering; instance norm, in
    the encoder for matching, would turn them back each time."""
    layout = torch.channels_last if frames.device.type == 'cpu' else torch.contiguous_format
    return frames.contiguous(memory_format=layout)


def as_second(network: Any, matching: Tensor) -> Tensor:
    """Features ``(B, C, h, w)`` of second frames as they are compared; those that are given but for CRAFT."""
    found: Tensor = network.f2_trans(matching) if isinstance(network.decoder, CRAFTDecoder) else matching
    return found


def own_correlation(network: Any, matching: Tensor, other: Tensor) -> Callable[[Tensor], Tensor]:
    """The look-up of a network with a correlation that is no scalar product, with gradients where they are enabled."""
    pyramid = network.decoder.corr_block(matching, other)
    return lambda flow: network.decoder.corr_lookup(pyramid, flow)


def _in_groups(network: Any,
               matching: Tensor,
               other: Tensor,
               context: Tensor,
               start: Optional[Tensor],
               settings: TwoWaySettings,
               mirrored: bool = False) -> Tensor:
    """All at once if their pyramid fits; else as many at a time as fit; one by one where even one alone does not."""
    height, width = matching.shape[-2:]
    alone = sum(corr_bytes(height * width, (height, width), network.decoder.num_levels))
    fit = max(settings.max_corr_bytes // alone, 1)
    if fit >= len(matching):
        return _iterate(network, matching, other, context, start, settings, mirrored)
    parts = []
    for begin in range(0, len(matching), fit):
        of = slice(begin, begin + fit)
        begins = None if start is None else start[of]
        parts.append(_iterate(network, matching[of], other[of], context[of], begins, settings))
    return torch.cat(parts)


def _iterate(network: Any,
             matching: Tensor,
             other: Tensor,
             context: Tensor,
             start: Optional[Tensor],
             settings: TwoWaySettings,
             mirrored: bool = False) -> Tensor:
    """The flow ``(B, 2, H, W)`` px of the last iteration."""
    decoder = network.decoder
    corr: Callable[[Tensor], Tensor]
    if isinstance(decoder, CRAFTDecoder):
        corr = own_correlation(network, matching, other)
    else:
        with torch.autocast(matching.device.type, enabled=False):
            corr = Correlation(matching, other, decoder.num_levels, decoder.corr_lookup.r, settings.max_corr_bytes,
                               mirrored)
    with WinogradConvolutions():
        return iterate(network, corr, context, start, settings.iters, settings.exit_below)[-1]

"""Networks, and parts of networks, that mmflow does not have."""
from mmrefine.models.networks.convex_upsampling import ConvexUpsamplingDecoder
from mmrefine.models.networks.corrflow import CorrFlowEncoder
from mmrefine.models.networks.craft import CRAFT, CRAFTDecoder
from mmrefine.models.networks.official_raft import OfficialRAFTEncoder
from mmrefine.models.networks.pips import PIPs, PIPsOutput

__all__ = [
    'CRAFT', 'CRAFTDecoder', 'ConvexUpsamplingDecoder', 'CorrFlowEncoder', 'OfficialRAFTEncoder', 'PIPs', 'PIPsOutput'
]

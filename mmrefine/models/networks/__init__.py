"""Parts of flow networks that mmflow does not have."""
from mmrefine.models.networks.official_raft import OfficialRAFTEncoder

__all__ = ['OfficialRAFTEncoder']

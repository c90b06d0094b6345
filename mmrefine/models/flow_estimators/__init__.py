"""Parts of flow networks that mmflow does not have."""
from mmrefine.models.flow_estimators.official_raft import OfficialRAFTEncoder

__all__ = ['OfficialRAFTEncoder']

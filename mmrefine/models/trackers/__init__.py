"""What follows points through videos."""
from mmrefine.models.trackers.pips_chain import PIPsChain

__all__ = ['PIPsChain']

"""The parts that a network of correspondences learns with: what it sees of colours, and which colours it copies."""
from mmrefine.models.correspondence.bottlenecks import ChannelDropout, GreyInput
from mmrefine.models.correspondence.color_classes import ColorClasses
from mmrefine.models.correspondence.crop_warp import CropWarp
from mmrefine.models.correspondence.scheduled_sampling import ScheduledSampling

__all__ = ['ChannelDropout', 'ColorClasses', 'CropWarp', 'GreyInput', 'ScheduledSampling']

"""Published data sets, laid out as they are downloaded."""
from mmrefine.datasets.benchmarks.davis_clips import DavisClips
from mmrefine.datasets.benchmarks.flow_pairs import KittiPairs, SintelPairs, SpringPairs

__all__ = ['DavisClips', 'KittiPairs', 'SintelPairs', 'SpringPairs']

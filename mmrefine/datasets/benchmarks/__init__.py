"""Published data sets, laid out as they are downloaded."""
from mmrefine.datasets.benchmarks.badja_clips import BadjaClips
from mmrefine.datasets.benchmarks.crohd_clips import CroHDClips, CroHDFrames
from mmrefine.datasets.benchmarks.davis_clips import DavisClips
from mmrefine.datasets.benchmarks.flow_pairs import KittiPairs, SintelPairs, SpringPairs
from mmrefine.datasets.benchmarks.horse_clips import Horse30Clips, Horse30Frames
from mmrefine.datasets.benchmarks.jhmdb_clips import JhmdbClips
from mmrefine.datasets.benchmarks.kitti_raw import KittiRawPairs
from mmrefine.datasets.benchmarks.labelled_pairs import LabelledPairs
from mmrefine.datasets.benchmarks.listed_clips import KineticsClips, OxuvaClips
from mmrefine.datasets.benchmarks.tapvid_clips import TapVidClips, TapVidFrames

__all__ = [
    'BadjaClips', 'CroHDClips', 'CroHDFrames', 'DavisClips', 'Horse30Clips', 'Horse30Frames', 'JhmdbClips',
    'KineticsClips', 'KittiPairs', 'KittiRawPairs', 'LabelledPairs', 'OxuvaClips', 'SintelPairs', 'SpringPairs',
    'TapVidClips', 'TapVidFrames'
]

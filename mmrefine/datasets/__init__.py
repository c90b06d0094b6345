"""Frame pairs and clips from disk, and the order in which training draws them."""
from mmrefine.datasets import transforms  # noqa: F401  registers the transforms
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
from mmrefine.datasets.frame_clips import FrameClips
from mmrefine.datasets.frame_pairs import FramePairs
from mmrefine.datasets.held_out import split_pairs
from mmrefine.datasets.mixed_pairs import MixedPairs
from mmrefine.datasets.mmflow_pairs import MMFlowPairs
from mmrefine.datasets.pass_pairs import PassPairs
from mmrefine.datasets.samplers import DrawSampler, MixedSampler
from mmrefine.datasets.scenes import LazySources, VideoScenes

__all__ = [
    'BadjaClips', 'CroHDClips', 'CroHDFrames', 'DavisClips', 'DrawSampler', 'FrameClips', 'FramePairs', 'Horse30Clips',
    'Horse30Frames', 'JhmdbClips', 'KineticsClips', 'KittiPairs', 'KittiRawPairs', 'LabelledPairs', 'LazySources',
    'MMFlowPairs', 'MixedPairs', 'MixedSampler', 'OxuvaClips', 'PassPairs', 'SintelPairs', 'SpringPairs', 'TapVidClips',
    'TapVidFrames', 'VideoScenes', 'split_pairs'
]

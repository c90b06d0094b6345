"""What lies on disk: pictures, videos, flow files, labels; every file appears whole or not at all."""
from .atomic import atomic_write, save_checkpoint, write_bytes, write_failure, write_json
from .badja import Joints, read_badja
from .digest import digest_of, digest_of_state
from .flow_io import decode_kitti, encode_flo, encode_kitti, read_flow, write_flow
from .frame_check import CorruptFrame, FrameCheck, check_frames, name_ranges
from .id_masks import read_ids
from .images import read_image, read_mask, write_image
from .label_store import LabelStore
from .leaderboard import write_submission
from .store_check import verify_store
from .store_merge import merge_stores
from .video import FolderFrames, FrameSource, VideoFrames, list_scenes, open_frames

__all__ = [
    'CorruptFrame', 'FolderFrames', 'FrameCheck', 'FrameSource', 'Joints', 'LabelStore', 'VideoFrames', 'atomic_write',
    'check_frames', 'decode_kitti', 'digest_of', 'digest_of_state', 'encode_flo', 'encode_kitti', 'list_scenes', 'merge_stores',
    'name_ranges', 'open_frames', 'read_badja', 'read_flow', 'read_ids', 'read_image', 'read_mask', 'save_checkpoint',
    'verify_store', 'write_bytes', 'write_failure', 'write_flow', 'write_image', 'write_json', 'write_submission'
]

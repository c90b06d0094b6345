"""What lies on disk: pictures, videos, flow files, labels; every file appears whole or not at all."""
from mmrefine.fileio.annotations.badja import Joints, read_badja
from mmrefine.fileio.annotations.davis import object_colors, read_ids, write_ids, write_masks
from mmrefine.fileio.annotations.jhmdb import read_jhmdb_split, read_joint_positions, write_joint_positions
from mmrefine.fileio.annotations.tapvid import TapVidVideo, read_any_tracks, read_tapvid, write_tapvid
from mmrefine.fileio.atomic import atomic_write, save_checkpoint, write_bytes, write_failure, write_json
from mmrefine.fileio.codecs.tracks import read_tracks, write_tracks
from mmrefine.fileio.digest import digest_of, digest_of_state
from mmrefine.fileio.flow_io import decode_kitti, encode_flo, encode_kitti, read_flow, write_flow
from mmrefine.fileio.images import read_image, read_mask, write_image
from mmrefine.fileio.leaderboard_zip import write_submission
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.merge import merge_stores
from mmrefine.fileio.store.verification import verify_store
from mmrefine.fileio.video.frame_cache import FrameCache
from mmrefine.fileio.video.frame_check import CorruptFrame, FrameCheck, check_frames, name_ranges
from mmrefine.fileio.video.reader import FolderFrames, FrameSource, VideoFrames, open_frames
from mmrefine.fileio.video.reading import Reading
from mmrefine.fileio.video.scenes import find_scenes, list_scenes

__all__ = [
    'CorruptFrame', 'FolderFrames', 'FrameCache', 'FrameCheck', 'FrameSource', 'Joints', 'LabelStore', 'Reading',
    'TapVidVideo', 'VideoFrames', 'atomic_write', 'check_frames', 'decode_kitti', 'digest_of', 'digest_of_state',
    'encode_flo', 'encode_kitti', 'find_scenes', 'list_scenes', 'merge_stores', 'name_ranges', 'object_colors',
    'open_frames', 'read_any_tracks', 'read_badja', 'read_flow', 'read_ids', 'read_image', 'read_jhmdb_split',
    'read_joint_positions', 'read_mask', 'read_tapvid', 'read_tracks', 'save_checkpoint', 'verify_store',
    'write_bytes', 'write_failure', 'write_flow', 'write_ids', 'write_image', 'write_joint_positions', 'write_json',
    'write_masks', 'write_submission', 'write_tapvid', 'write_tracks'
]

"""The index of a video file, made by decoding it once: timestamps, key frames, damage."""
from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

import av
import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.grey_levels import Levels, frame_range, scene_levels
from mmrefine.fileio.video.stream import Decoded, Messages, Unreadable, VideoStream, is_deep

# indexes of the most recent files; a file that has changed is indexed again
_CACHED_INDEXES = 16
_CACHE: 'OrderedDict[Tuple[str, int, int, int], VideoIndex]' = OrderedDict()


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video file in order of presentation.

    Args:
        size: (height, width) of every frame after rotation, px.
        stamps: timestamp of each frame in units of the stream, rising; None if the file has no reliable ones.
        seconds: time of each frame, s from the first one.
        checksums: checksum of each frame; None for a frame that cannot be decoded at all.
        starts: timestamps of the key frames, rising.
        corrupt: number of each corrupt frame -> what is wrong with it, in a few words.
        rate: frames a second on average, as the file says; None if it does not.
        promised: number of frames that the file says it has; 0 if it does not.
        interlaced: whether any frame is interlaced (two fields of different moments).
        levels: the grey levels that become 0 and 255, for frames of 16 bits that use less than half of them.
        notes: what else to know of the file: the ends of sentences that begin with its name.
    """
    size: Tuple[int, int]
    stamps: Optional[List[int]]
    seconds: List[float]
    checksums: List[Optional[int]]
    starts: List[int]
    corrupt: Dict[int, str]
    rate: Optional[float]
    promised: int
    interlaced: bool
    levels: Optional[Levels] = None
    notes: Tuple[str, ...] = ()


def index_video(path: Path, step: Callable[[int], None] = lambda done: None) -> VideoIndex:
    """The index of a video file, which is decoded once; the index of an unchanged file is cached.

    Decoders conceal errors, so a damaged frame may come out as a mosaic without an exception. A frame is corrupt if
    FFmpeg flags it, fails to decode it or logs an error while decoding it; so are the frames that follow in decoding
    order up to the next key frame.

    Args:
        path: the file.
        step: called with the number of frames decoded so far.

    Raises:
        InputError: not a video, or one that is truncated, has fewer than two frames or frames of several sizes.
    """
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; check the path')
    state = os.stat(path)
    key = (os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns)
    if key not in _CACHE:
        _CACHE[key] = _Pass(path, step).index()
        while len(_CACHE) > _CACHED_INDEXES:
            _CACHE.popitem(last=False)
    return _CACHE[key]


def frame_name(number: int) -> str:
    """The name of a frame of a video in labels and flow files."""
    return f'frame_{number:06d}'


@dataclass
class _Packet:
    """One packet: timestamp of its frame if known, whether decoding can begin with it, and what is wrong with it."""
    shown: Optional[int]
    is_key: bool
    failure: Optional[str] = None


@dataclass
class _Pass:
    """The state of one pass over a file."""
    path: Path
    step: Callable[[int], None]
    packets: List[_Packet] = field(default_factory=list)
    stamps: List[Optional[int]] = field(default_factory=list)
    checksums: List[int] = field(default_factory=list)
    keys: List[bool] = field(default_factory=list)
    flagged: Dict[Optional[int], str] = field(default_factory=dict)  # timestamp -> why
    doubts: Dict[int, str] = field(default_factory=dict)  # output number -> why; the output may lag
    size: Tuple[int, int] = (0, 0)
    interlaced: bool = False
    ranges: List[Levels] = field(default_factory=list)  # of frames of 16 bits
    cut: Optional[str] = None

    def index(self) -> VideoIndex:
        with Messages() as messages:
            try:
                stream = VideoStream(self.path)
            except Unreadable as error:
                raise self._unusable(self._reason()) from error
            try:
                messages.take()  # messages about the header belong to no frame
                self._read(stream, messages)
                others = stream.others
                promised, rate = stream.stream.frames - self._left_out, stream.stream.average_rate
                base = float(stream.stream.time_base or 0)
            finally:
                stream.close()
        if self.cut or len(self.checksums) < 2:
            raise self._unusable(f'truncated: {self.cut}' if self.cut else '')
        checksums: Dict[int, Optional[int]]
        frames = self._in_order()
        if frames is None:  # frames are identified by number
            base, checksums, why = 1 / float(rate or 25), dict(enumerate(self.checksums)), self._damage_by_number()
        else:
            why = self._damage(set(frames), min(frames))
            checksums = {**dict.fromkeys(why), **frames}
        every = sorted(checksums)
        starts = sorted(packet.shown for packet in self.packets
                        if packet.is_key and packet.shown is not None and not packet.failure)
        seconds = [round((stamp - every[0]) * base, 6) for stamp in every]
        corrupt = {number: why[stamp] for number, stamp in enumerate(every) if stamp in why}
        return VideoIndex(self.size, None if frames is None else every, seconds, [checksums[stamp] for stamp in every],
                          starts, corrupt, None if rate is None else float(rate), promised, self.interlaced,
                          scene_levels(self.ranges, np.dtype(np.uint16)) if self.ranges else None,
                          tuple(self._notes(others, every[0])))

    def _notes(self, others: int, first: int) -> Iterator[str]:
        """What is not read of the file, whose first frame has the timestamp ``first``."""
        if others:
            yield f'has {others + 1} video streams, of which the first is read'
        early = sum(packet.shown is not None and packet.shown < first for packet in self.packets) - self._left_out
        if early > 0:
            yield (f'begins in the middle of a group of frames: the key frame before its first {early} '
                   f'frame{"s" * (early > 1)} is missing, so they are left out')

    def _read(self, stream: VideoStream, messages: Messages) -> None:
        self._left_out = 0
        last_is_whole, end = True, 0
        for packet in stream.packets():
            said = messages.take()
            if packet.size:
                last_is_whole = not packet.is_corrupt
                end = max(end, (packet.pts or 0) + (packet.duration or 0))
                self._left_out += packet.is_discard
                self.packets.append(_Packet(packet.dts if packet.pts is None else packet.pts, packet.is_keyframe))
            elif said or not last_is_whole:
                self.cut = self._shortage(stream, end, said or 'the last packet is incomplete')
            frames, failure = stream.decode(packet)
            failure = messages.take() or failure or said or ('an incomplete packet' if packet.is_corrupt else None)
            if failure and packet.size and not packet.is_discard:
                self.packets[-1].failure = failure
                self.doubts[len(self.checksums)] = failure
            for frame in frames:
                self._add(frame, stream)
            self.step(len(self.checksums))

    def _shortage(self, stream: VideoStream, end: int, said: str) -> Optional[str]:
        """``said``, the message about the end of the file, if the file states more frames or time than there was."""
        promised, duration = stream.stream.frames - self._left_out, stream.container.duration
        lasted = end * float(stream.stream.time_base or 0) * av.time_base
        start = stream.container.start_time or 0
        is_late = (duration or 0) + start > lasted + 0.01 * av.time_base
        return said if is_late or promised > len(self.packets) - self._left_out else None

    def _add(self, frame: av.VideoFrame, stream: VideoStream) -> None:
        turned = round(frame.rotation / 90) % 2
        size = (frame.width, frame.height) if turned else (frame.height, frame.width)
        if self.checksums and size != self.size:
            raise InputError(f'{self.path}: the picture size changes from {self.size[1]} x {self.size[0]} to {size[1]} '
                             f'x {size[0]} at frame {len(self.checksums)}; cut the video there')
        self.size = size
        self.stamps.append(frame.pts)
        self.checksums.append(Decoded(frame, frame).checksum())
        self.interlaced |= frame.interlaced_frame
        self.keys.append(frame.key_frame)
        if is_deep(frame):
            self.ranges += filter(None, [frame_range(frame.to_ndarray())])
        if frame.is_corrupt:
            self.flagged[frame.pts] = self.doubts[len(self.keys) - 1] = 'flagged as damaged by the decoder'

    def _in_order(self) -> Optional[Dict[int, int]]:
        """Checksum by timestamp; None if the timestamps are unreliable.

        Damage can make a decoder output a frame after one with a later timestamp; such a frame is dropped.
        """
        found: Dict[int, int] = {}
        latest: Optional[int] = None
        for stamp, checksum in zip(self.stamps, self.checksums):
            if stamp is not None and (latest is None or stamp > latest):
                found[stamp], latest = checksum, stamp
        return found if len(found) == len(self.stamps) or (self.doubts and None not in self.stamps) else None

    def _damage_by_number(self) -> Dict[int, str]:
        """Number of each damaged frame -> why, for frames without timestamps."""
        found: Dict[int, str] = {}
        for number, is_key in enumerate(self.keys):
            if number in self.doubts or (number - 1 in found and not is_key):
                found[number] = self.doubts.get(number, 'predicted from a damaged frame')
        return found

    def _damage(self, there: Set[int], first: int) -> Dict[int, str]:
        """Timestamp -> why, of frames that are damaged or predicted from damaged ones, from the first good frame on,
        and of packets that gave no frame."""
        found: Dict[int, str] = {}
        spreads = from_before = False
        key = first
        for packet in self.packets:  # in order of decoding
            stamp = packet.shown
            if stamp is None or stamp < first:
                continue
            if packet.is_key:
                spreads, from_before, key = False, spreads, stamp
            why = packet.failure or self.flagged.get(stamp)
            # frames shown before their key frame are also predicted from frames before it
            if why or spreads or (from_before and stamp < key):
                if stamp in there or packet.failure or spreads:
                    found[stamp] = why or 'predicted from a damaged frame'
            spreads = spreads or bool(why)
        return found

    def _reason(self) -> str:
        """Why FFmpeg cannot open the file, if that is known."""
        with open(self.path, 'rb') as file:
            head = file.read(8)
        if head[4:] == b'ftyp':  # mp4 and mov, whose index most cameras write at the end
            return 'truncated: its index is missing or cut off'
        return '' if head else 'the file is empty'

    def _unusable(self, found: str) -> InputError:
        count = len(self.checksums)
        short = count < 2 and not found
        found = found or ('too short' if count else 'damaged, or of an unknown kind')
        return InputError(f'{self.path}: the video cannot be used ({found}), {count} frame{"s" * (count != 1)} can be '
                          f'decoded; {"motion needs at least 2, " * short}copy it '
                          f'again{", or convert what is left of it (ffmpeg -i)" * (count > 1)}')

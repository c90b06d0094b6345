"""An open video file: its frames as FFmpeg decodes them, with their timestamps."""
from __future__ import annotations

import threading
import zlib
from collections import deque
from pathlib import Path
from typing import Any, Deque, Iterator, List, NamedTuple, Optional, Tuple

import av
import av.logging
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from mmrefine.errors import InputError
from mmrefine.fileio.grey_levels import Levels, to_8_bits

# AVColorSpace of a frame -> the matrix that converts it to RGB; unflagged frames are BT.601, as in FFmpeg
_MATRICES = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
             7: Colorspace.SMPTE240M}
if hasattr(Colorspace, 'BT2020'):  # newer than the others
    _MATRICES.update({9: Colorspace.BT2020, 10: Colorspace.BT2020})
_FULL_RANGE = 2
_DEEP = ('gray16le', 'gray16be', 'rgb48le', 'rgb48be', 'gbrp16le', 'gbrp16be')
# newer PyAV converts to RGB in threads by default, and these do not survive a fork
_ONE_THREAD = {'threads': 1} if 'threads' in (VideoReformatter.reformat.__doc__ or '') else {}


def is_deep(frame: av.VideoFrame) -> bool:
    """Whether the frame has 16 bits, in grey or RGB; cameras often use only some of them."""
    return frame.format.name in _DEEP


class Decoded(NamedTuple):
    """A frame out of the decoder.

    Args:
        raw: the frame as decoded.
        shown: the deinterlaced frame if that was requested; else the same as ``raw``.
    """
    raw: av.VideoFrame
    shown: av.VideoFrame

    def checksum(self) -> int:
        """CRC-32 of every fourth row of luma: enough to distinguish neighbouring frames, and fast."""
        plane = self.raw.planes[0]
        if plane.line_size < plane.width:  # stored bottom up, or several pixels per byte
            return zlib.crc32(self.raw.to_ndarray(format='rgb24').tobytes())
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:plane.height:4, :plane.width]
        return zlib.crc32(rows.tobytes())


class VideoStream:
    """The first video stream of a file, decoded in one thread: with several, damage is concealed differently each
    time. ``others`` is how many more video streams the file has.

    Raises:
        Unreadable: a file that FFmpeg cannot open.
        InputError: a file without video, or one for whose codec there is no decoder.
    """

    def __init__(self, path: Path) -> None:
        try:
            # "file:", as names may contain a colon; only local files are opened, whatever a playlist names
            self.container = av.open(f'file:{path}', container_options={'protocol_whitelist': 'file'})
        except av.FFmpegError as error:
            raise Unreadable from error
        streams = [one for one in self.container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            kinds = ', '.join(sorted({one.type for one in self.container.streams})) or 'nothing'
            raise InputError(f'{path}: holds no video stream, only {kinds}; name a video')
        self.stream, self.others = streams[0], len(streams) - 1
        if self.stream.codec_context is None:
            raise InputError(f'{path}: this FFmpeg has no decoder for its video; convert it (ffmpeg -i)')
        self.stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()

    def close(self) -> None:
        """Close the file; frames that were decoded stay valid."""
        self.container.close()

    def packets(self) -> Iterator[av.Packet]:
        """The packets from here on in decoding order; the last one is empty and flushes the decoder."""
        return self.container.demux(self.stream)

    @staticmethod
    def decode(packet: av.Packet) -> Tuple[List[av.VideoFrame], Optional[str]]:
        """The frames that a packet completes, in order of presentation, and the error if it cannot be decoded."""
        try:
            return packet.decode(), None
        except (av.FFmpegError, EOFError) as error:
            return [], getattr(error, 'strerror', None) or str(error)

    def seek(self, timestamp: int) -> None:
        """Continue at a key frame near ``timestamp``, usually the last one before it."""
        self.container.seek(timestamp, stream=self.stream, backward=True)

    def frames(self, deinterlace: bool, after_seek: bool) -> Iterator[Decoded]:
        """The frames from here on in order of presentation; frames that cannot be decoded are left out.

        Args:
            deinterlace: deinterlace the frames that are flagged as interlaced (with yadif, which uses the previous
                and the next frame).
            after_seek: begin with a key packet, and, if ``deinterlace``, leave out the first frame, whose previous
                frame is unknown.
        """
        raw = self._decoded(after_seek)
        if not deinterlace:
            return (Decoded(frame, frame) for frame in raw)
        shown = self._deinterlaced(raw)
        if after_seek:
            next(shown, None)
        return shown

    def rgb(self, frame: av.VideoFrame, levels: Optional[Levels] = None) -> np.ndarray:
        """``(H, W, 3)`` uint8 RGB, upright; range and colour matrix as flagged in the frame.

        Args:
            frame: as decoded or deinterlaced.
            levels: the grey levels that become 0 and 255; default: those of its format.
        """
        turns = round(frame.rotation / 90)
        if levels is not None and is_deep(frame):
            grey = to_8_bits(frame.to_ndarray(), levels)
            return np.ascontiguousarray(np.rot90(grey if grey.ndim == 3 else grey[..., None].repeat(3, axis=2), turns))
        matrix = _MATRICES.get(frame.colorspace)
        picture = self._reformatter.reformat(
            frame, format='rgb24', src_colorspace=matrix, dst_colorspace=None if matrix is None else Colorspace.DEFAULT,
            src_color_range=_FULL_RANGE if frame.color_range == _FULL_RANGE else None,
            interpolation=Interpolation.BICUBIC, **_ONE_THREAD)
        pixels = picture.to_ndarray() if levels is None else to_8_bits(picture.to_ndarray(), levels)
        return np.ascontiguousarray(np.rot90(pixels, turns))

    def _decoded(self, after_seek: bool) -> Iterator[av.VideoFrame]:
        for packet in self.packets():
            after_seek = after_seek and not packet.is_keyframe
            if not after_seek:
                yield from self.decode(packet)[0]

    def _deinterlaced(self, frames: Iterator[av.VideoFrame]) -> Iterator[Decoded]:
        graph = Graph()
        if hasattr(graph, 'threads'):  # newer PyAV only
            graph.threads = 1
        graph.link_nodes(graph.add_buffer(template=self.stream), graph.add('yadif', 'mode=send_frame:deint=interlaced'),
                         graph.add('buffersink')).configure()
        pushed: Deque[av.VideoFrame] = deque()
        for frame in frames:
            pushed.append(frame)
            graph.push(frame)
            yield from self._pulled(graph, pushed)
        graph.push(None)
        yield from self._pulled(graph, pushed)

    @staticmethod
    def _pulled(graph: Graph, pushed: Deque[av.VideoFrame]) -> Iterator[Decoded]:
        while pushed:
            try:
                shown = graph.vpull()
            except (BlockingIOError, EOFError):
                return
            yield Decoded(pushed.popleft(), shown)


class Unreadable(Exception):
    """FFmpeg cannot open a file."""


class Messages:
    """The errors that FFmpeg logs in this thread within a ``with`` block. Log levels are global in FFmpeg; the last
    block that ends restores them."""
    _lock = threading.Lock()
    _users = 0
    _before: Tuple[Optional[int], bool] = (None, True)

    def __enter__(self) -> 'Messages':
        with Messages._lock:
            if Messages._users == 0:
                Messages._before = av.logging.get_level(), av.logging.get_skip_repeated()
                av.logging.set_level(av.logging.ERROR)
                av.logging.set_skip_repeated(False)  # two frames may have the same damage
            Messages._users += 1
        self._capture = av.logging.Capture()
        self._logs = self._capture.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._capture.__exit__(*error)
        with Messages._lock:
            Messages._users -= 1
            if Messages._users == 0:
                level, skip_repeated = Messages._before
                av.logging.set_level(level)
                av.logging.set_skip_repeated(skip_repeated)

    def take(self) -> Optional[str]:
        """The first message since the last call."""
        first = self._logs[0][2].strip() if self._logs else None
        self._logs.clear()
        return first

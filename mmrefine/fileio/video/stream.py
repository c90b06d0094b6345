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

# AVColorSpace of a frame -> the matrix that turns it into RGB; what is not flagged is BT.601, as FFmpeg takes it
_MATRICES = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
             7: Colorspace.SMPTE240M}
if hasattr(Colorspace, 'BT2020'):  # younger than the others
    _MATRICES.update({9: Colorspace.BT2020, 10: Colorspace.BT2020})
_FULL_RANGE = 2
# where PyAV lets the conversion to RGB have threads, which do not survive a fork
_ONE_THREAD = {'threads': 1} if 'threads' in (VideoReformatter.reformat.__doc__ or '') else {}


class Decoded(NamedTuple):
    """A frame out of the decoder.

    Args:
        raw: as it was decoded.
        shown: deinterlaced, where that is asked for; else the same.
    """
    raw: av.VideoFrame
    shown: av.VideoFrame

    def checksum(self) -> int:
        """Of every fourth row of brightness: tells neighbouring frames apart at a fraction of the price."""
        plane = self.raw.planes[0]
        if plane.line_size < plane.width:  # stored upside down, or several pixels in a byte
            return zlib.crc32(self.raw.to_ndarray(format='rgb24').tobytes())
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:plane.height:4, :plane.width]
        return zlib.crc32(rows.tobytes())


class VideoStream:
    """The first video stream of a file. One thread decodes, as several would conceal damage now this way and now that.

    Raises:
        Unreadable: a file that FFmpeg cannot open.
        InputError: one without video, or of a codec that it cannot decode.
    """

    def __init__(self, path: Path) -> None:
        try:
            # "file:" as a name may have a colon; nothing else is opened, whatever a playlist in the file asks for
            self.container = av.open(f'file:{path}', container_options={'protocol_whitelist': 'file'})
        except av.FFmpegError as error:
            raise Unreadable from error
        streams = [one for one in self.container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            kinds = ', '.join(sorted({one.type for one in self.container.streams})) or 'nothing'
            raise InputError(f'{path}: holds no video stream, only {kinds}; name a video')
        self.stream = streams[0]
        if self.stream.codec_context is None:
            raise InputError(f'{path}: this FFmpeg has no decoder for its video; convert it (ffmpeg -i)')
        self.stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()

    def close(self) -> None:
        """Close the file; frames that were decoded stay valid."""
        self.container.close()

    def packets(self) -> Iterator[av.Packet]:
        """The packets from here on in order of decoding; the last one is empty and makes the decoder give what it
        holds."""
        return self.container.demux(self.stream)

    @staticmethod
    def decode(packet: av.Packet) -> Tuple[List[av.VideoFrame], Optional[str]]:
        """The frames that a packet completes, in order of presentation, and why it cannot be decoded."""
        try:
            return packet.decode(), None
        except (av.FFmpegError, EOFError) as error:
            return [], getattr(error, 'strerror', None) or str(error)

    def seek(self, timestamp: int) -> None:
        """Go on at a key frame near ``timestamp``, most often the last one before it."""
        self.container.seek(timestamp, stream=self.stream, backward=True)

    def frames(self, deinterlace: bool, after_seek: bool) -> Iterator[Decoded]:
        """The frames from here on in order of presentation; what cannot be decoded is left out.

        Args:
            deinterlace: fill in the missing lines of frames that are flagged as interlaced (yadif, which looks at the
                frame before and the frame after).
            after_seek: begin with a key packet, and, if ``deinterlace``, leave out the first frame, whose neighbour is
                unknown.
        """
        raw = self._decoded(after_seek)
        if not deinterlace:
            return (Decoded(frame, frame) for frame in raw)
        shown = self._deinterlaced(raw)
        if after_seek:
            next(shown, None)
        return shown

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """``(H, W, 3)`` uint8 RGB, upright; brightness range and colour matrix as the frame is flagged."""
        matrix = _MATRICES.get(frame.colorspace)
        picture = self._reformatter.reformat(
            frame, format='rgb24', src_colorspace=matrix, dst_colorspace=None if matrix is None else Colorspace.DEFAULT,
            src_color_range=_FULL_RANGE if frame.color_range == _FULL_RANGE else None,
            interpolation=Interpolation.BICUBIC, **_ONE_THREAD)
        return np.ascontiguousarray(np.rot90(picture.to_ndarray(), round(frame.rotation / 90)))

    def _decoded(self, after_seek: bool) -> Iterator[av.VideoFrame]:
        for packet in self.packets():
            after_seek = after_seek and not packet.is_keyframe
            if not after_seek:
                yield from self.decode(packet)[0]

    def _deinterlaced(self, frames: Iterator[av.VideoFrame]) -> Iterator[Decoded]:
        graph = Graph()
        if hasattr(graph, 'threads'):  # younger than the rest of PyAV that is used here
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
    """What FFmpeg complains about in this thread while a ``with`` lasts. Levels are global in FFmpeg; they are as
    before when all are left."""
    _lock = threading.Lock()
    _users = 0
    _before: Tuple[Optional[int], bool] = (None, True)

    def __enter__(self) -> 'Messages':
        with Messages._lock:
            if Messages._users == 0:
                Messages._before = av.logging.get_level(), av.logging.get_skip_repeated()
                av.logging.set_level(av.logging.ERROR)
                av.logging.set_skip_repeated(False)  # two frames may be damaged in the same way
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

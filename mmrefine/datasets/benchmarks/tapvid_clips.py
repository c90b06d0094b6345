"""TAP-Vid: videos with the points that trackers are asked for, and their frames to learn from."""
from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple, Union

import numpy as np

from mmrefine.datasets.benchmarks.track_clips import Sizes, TrackClips, TrueTracks
from mmrefine.datasets.frame_clips import FrameClips
from mmrefine.datasets.scenes import Opener, SceneNames, choose_scenes
from mmrefine.errors import InputError
from mmrefine.fileio.annotations.tapvid import TapVidVideo, read_tapvid
from mmrefine.fileio.digest import digest_of_chunks
from mmrefine.fileio.video.frames import FrameSource
from mmrefine.fileio.video.reading import ChosenFrames, Reading
from mmrefine.registry import DATASETS
from mmrefine.structures import draw_queries, evaluated_frames
from mmrefine.structures.track_protocols import QUERY_MODES, QUERY_STRIDE
from mmrefine.values import as_choice, as_count

NEAR = 1.  # px beyond the edge, from where a query is moved to it


@DATASETS.register_module()
class TapVidClips(TrackClips):
    """The videos of TAP-Vid (Doersch et al., NeurIPS 2022) with queries, as they are officially drawn.

    A sample has a track for each query (:func:`~mmrefine.structures.draw_queries`), ``queries``, and ``query_mode``
    among its meta fields, so that trackers and :class:`~mmrefine.evaluation.TapVidMetric` know what is asked for. Its
    ``weight`` is 1 where a point is judged and visible. Positions are fractions of the frame whatever its size, so the
    raster of 256x256 px that scores are given on is the official one with any ``resize``.

    All videos are kept in memory, as much as the file has.

    Args:
        data_root: a pickle of videos, such as ``tapvid_davis.pkl``; an ``.npz`` of one; or a folder of these.
        query_mode: ``'first'`` or ``'strided'``.
        scenes: 'all', the name of a video, or a list of names.
        query_stride: frames from one query to the next in the mode ``'strided'``.
        resize: (height, width) of the frames, px, see :class:`TrackClips`; ``((256, 256), (384, 512))`` is what some
            report of PIPs: frames that were made small, and large again.

    Attributes:
        points_left_out: points that are seen in no frame.

    Raises:
        ConfigError: unknown videos, another mode, or a number out of range.
        InputError: a file that is missing, damaged or another one, has no frames, or asks for a point outside of its
            frame.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 query_mode: str = 'first',
                 scenes: SceneNames = 'all',
                 query_stride: int = QUERY_STRIDE,
                 resize: Sizes = None) -> None:
        super().__init__(resize)
        self.query_mode = as_choice('TapVidClips.query_mode', query_mode, QUERY_MODES)
        as_count('TapVidClips.query_stride', query_stride)
        root, self.points_left_out = Path(data_root), 0
        self._videos = videos_of(root)
        for name in choose_scenes(root, list(self._videos), scenes, None):
            found = self._videos[name]
            self.points_left_out += found.left_out
            tracks = _asked_for(root, name, found, self.query_mode, query_stride)
            if tracks is None:
                self.left_out += 1
                continue
            self.clips.append(dict(key=name, scene=name, numbers=tuple(range(tracks.points.shape[1])), truth=root,
                                   tracks=tracks))
        self._check_found(root, 'a point that is seen')

    def _load(self, clip: Dict[str, Any]) -> Tuple[List[np.ndarray], TrueTracks]:
        video = self._videos[clip['scene']].video
        assert video is not None  # videos_of has seen to it
        return list(video), clip['tracks']

    def _more(self, clip: Dict[str, Any]) -> Dict[str, Any]:
        return dict(query_mode=self.query_mode)


@DATASETS.register_module()
class TapVidFrames(FrameClips):
    """Clips of the videos of TAP-Vid without their points, to be labelled and learned from.

    Args:
        data_root: as :class:`TapVidClips` has it.
        kwargs: as :class:`FrameClips` has them; ``reading=dict(resize=…)`` resizes the frames.

    Raises:
        InputError: as of :class:`TapVidClips`, or a video that is shorter than a clip.
    """

    def __init__(self, data_root: Union[str, Path], **kwargs: Any) -> None:
        super().__init__(data_root, **kwargs)

    def _find_scenes(self) -> Mapping[str, Opener]:
        return {name: partial(_open, self.data_root, name, self.reading) for name in videos_of(self.data_root)}


class ArrayFrames(FrameSource):
    """The frames of a video that is in memory.

    Args:
        path: of the file that it is from.
        video: uint8 ``(T, H, W, 3)`` RGB.

    Raises:
        InputError: fewer than two frames.
    """

    def __init__(self, path: Path, video: np.ndarray) -> None:
        super().__init__(path)
        if len(video) < 2:
            raise InputError(f'{path}: has {len(video)} frame, and motion needs at least 2')
        self.video, self.size = video, (int(video.shape[1]), int(video.shape[2]))

    def __len__(self) -> int:
        return len(self.video)

    def name(self, index: int) -> str:
        """The number of the frame in five digits."""
        return f'{index:05d}'

    def digest(self) -> str:
        """Hash of the pixels of all frames."""
        return digest_of_chunks([str(self.video.shape).encode(), *(frame.tobytes() for frame in self.video)])

    def _load(self, index: int) -> np.ndarray:
        return np.array(self.video[index])


def videos_of(root: Path) -> Mapping[str, TapVidVideo]:
    """The videos with frames of a file or folder, sorted by name; files are read once, and the last root is kept.

    Raises:
        InputError: as of :class:`TapVidClips`.
    """
    files = sorted(path for path in root.iterdir() if path.suffix in ('.npz', '.pkl')) if root.is_dir() else [root]
    if not files:
        raise InputError(f'{root}: holds no .npz or .pkl of TAP-Vid; name such a file, or their folder')
    for file in files:
        if not file.is_file():
            raise InputError(f'{file}: there is no such file; tapvid_davis.zip of TAP-Vid holds tapvid_davis.pkl')
    return _read(tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@lru_cache(maxsize=1)
def _read(files: Tuple[Tuple[Path, int, int], ...]) -> Mapping[str, TapVidVideo]:
    found: Dict[str, TapVidVideo] = {}
    for path, _, _ in files:
        for name, one in read_tapvid(path, (2, 2)).items():  # the size is that of the video, if there is one
            if one.video is None:
                raise InputError(f'{path}: video {name!r} has points and no frames; take a file that has "video", too')
            if name in found:
                raise InputError(f'{path}: video {name!r} is in another file of the folder, too; leave one out')
            found[name] = one
    return dict(sorted(found.items()))


def _open(root: Path, name: str, reading: Reading) -> FrameSource:
    """The frames of a video that are read."""
    video = videos_of(root)[name].video
    assert video is not None
    source = ArrayFrames(root / name, video)
    return ChosenFrames(source, reading.numbers(len(source)), reading.resize) if reading.values() else source


def _asked_for(root: Path, name: str, found: TapVidVideo, mode: str, stride: int) -> Any:
    """The tracks of a video by query; None if there are none."""
    points, visible = found.tracks.points.double().numpy(), found.tracks.visible.numpy() > 0.5
    if not points.size:
        return None
    queries, drawn = draw_queries(points, visible, mode, stride)
    if not len(queries):
        return None
    edge = np.array(found.tracks.size) - 0.5
    beyond = np.maximum(-0.5 - queries[:, 1:], queries[:, 1:] - edge).max(axis=1)
    if beyond.max() > NEAR:
        t, y, x = queries[int(beyond.argmax())]
        raise InputError(f'{root}: video {name!r} asks in frame {t:g} for the point x {x:g}, y {y:g}, which is outside '
                         f'of its {found.tracks.size[0]}x{found.tracks.size[1]} px (height x width); correct the '
                         'file, or leave the video out of scenes')
    queries[:, 1:] = np.clip(queries[:, 1:], -0.5, edge)
    judged = evaluated_frames(queries, points.shape[1], mode)
    return TrueTracks(np.where(visible[drawn][..., None], points[drawn], 0.), visible[drawn], judged & visible[drawn],
                      queries)

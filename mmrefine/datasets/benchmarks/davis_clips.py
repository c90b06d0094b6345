"""Whole videos with their annotations: the masks of DAVIS and the joints of BADJA."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import torch

from mmrefine.datasets.benchmarks.whole_videos import WholeVideos
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.annotations.badja import read_badja
from mmrefine.fileio.annotations.davis import read_ids
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import list_folder, list_images
from mmrefine.geometry import VOID
from mmrefine.registry import DATASETS
from mmrefine.structures import ClipSample


@DATASETS.register_module()
class DavisClips(WholeVideos):
    """The videos of DAVIS-2016 and 2017 with their masks.

    Frames are ``<data_root>/JPEGImages/480p/<video>/00000.jpg``, masks ``Annotations/480p/<video>/00000.png``. An item
    is a video: ``inputs`` uint8 ``(T, 3, H, W)`` RGB and ``data_samples``, a :class:`~mmrefine.structures.ClipSample`
    with ``masks``, and with ``points`` and ``visible`` where there are joints.

    Args:
        data_root: the folder that holds ``JPEGImages`` and ``Annotations``.
        videos: 'all', or a list of names.
        image_set: file of names below ``ImageSets``, such as '2017/val'; instead of ``videos``. 'all' or None: no file.
        badja: folder of joints ``<video>.json`` (BADJA); videos without a file have none.
        resolution: name of the folders of frames and masks, such as '480p'.
        one_object: all objects are one, as in DAVIS-2016; with ``image_set='2016/val'`` so that the masks of 2017,
            where the objects have ids of their own, are scored as those of 2016.

    Attributes:
        videos: the names in use, in order.

    Raises:
        ConfigError: unknown videos, or both ``videos`` and ``image_set``.
        InputError: no such folder; when an item is read, frames and annotations that do not belong together.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 videos: Union[str, Sequence[str]] = 'all',
                 image_set: Optional[str] = None,
                 badja: Optional[Union[str, Path]] = None,
                 resolution: str = '480p',
                 one_object: bool = False) -> None:
        root = Path(data_root)
        self.one_object = one_object
        self.frames, self.annotations = root / 'JPEGImages' / resolution, root / 'Annotations' / resolution
        self.badja = None if badja is None else Path(badja)
        if self.badja is not None and not self.badja.is_dir():
            raise InputError(f'{self.badja}: there is no such folder of joints; correct badja or leave it out')
        if image_set not in (None, 'all'):
            if videos != 'all':
                raise ConfigError(f'DavisClips takes videos={videos!r} or image_set={image_set!r}, not both; leave one '
                                  'out')
            videos = _names(root / 'ImageSets' / f'{image_set}.txt')
        found = [path.name for path in list_folder(self.frames) if path.is_dir()]
        self.videos = self._chosen(videos, found, self.frames, ', it holds', 'data_root, videos or image_set')

    def __getitem__(self, index: int) -> Dict[str, Any]:
        """The whole video.

        Raises:
            InputError: fewer than 3 frames, frames without annotation, files of several sizes, or that cannot be read,
                or a first mask without an object.
        """
        name = self.videos[index]
        files, drawn = (list_images(folder / name) for folder in (self.frames, self.annotations))
        _check_names(files, drawn, self.frames / name, self.annotations / name)
        frames, masks = (self._read_all(paths, read, 'download the archive again')
                         for paths, read in ((files, read_image), (drawn, read_ids)))
        if frames.shape[:3] != masks.shape:
            raise InputError(f'{self.annotations / name}: the annotations are {masks.shape[1]}x{masks.shape[2]} '
                             f'(height x width), the frames {frames.shape[1]}x{frames.shape[2]}; take both of one '
                             'resolution')
        if not ((masks[0] > 0) & (masks[0] != VOID)).any():
            raise InputError(f'{drawn[0]}: shows no object, so there is nothing to follow; leave the video out')
        if self.one_object:
            masks[(masks > 0) & (masks != VOID)] = 1
        names = tuple(path.stem for path in files)
        sample = ClipSample(metainfo=dict(scene=name, size=masks.shape[1:], names=names), masks=torch.from_numpy(masks))
        clicked = None if self.badja is None else self.badja / f'{name}.json'
        if clicked is not None and clicked.is_file():
            _add_joints(sample, clicked, names)
        return dict(inputs=torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()), data_samples=sample)


def _check_names(files: Sequence[Path], drawn: Sequence[Path], frames: Path, annotations: Path) -> None:
    """Refuse frames without annotation, annotations without frame, and fewer than 3 frames."""
    ways = (('frame', files, frames, 'annotation', drawn, annotations),
            ('annotation', drawn, annotations, 'frame', files, frames))
    for what, some, folder, other, others, place in ways:
        lone = sorted({path.stem for path in some} - {path.stem for path in others})
        if lone:
            more = f' ({len(lone)} of {len(some)} have none)' if len(lone) > 1 else ''
            raise InputError(f'{folder}: {what} {lone[0]} has no {other} of its name in {place}{more}; download the '
                             'archive again')
    if len(files) < 3 or len(files) != len(drawn):
        raise InputError(f'{frames}: needs 3 or more frames, each with one annotation in {annotations}, found '
                         f'{len(files)} and {len(drawn)}; download the archive again')


def _add_joints(sample: ClipSample, path: Path, names: Sequence[str]) -> None:
    """Joints by the name of their frame; in the other frames none is visible."""
    found = read_badja(path, sample.size)
    count = len(next(iter(found.values())).visible)
    points, visible = np.zeros((len(names), count, 2)), np.zeros((len(names), count), bool)
    for t, name in enumerate(names):
        if name in found:
            points[t], visible[t] = found[name]
    sample.points, sample.visible = torch.from_numpy(points), torch.from_numpy(visible)


def _names(path: Path) -> List[str]:
    """The videos in a list."""
    try:
        words = path.read_text(encoding='utf-8').split()
    except OSError as error:
        raise InputError(f'{path}: cannot be opened ({error.strerror}); correct data_root or image_set') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is not text ({error}), so no list of videos; download ImageSets again') from error
    # the list of 2016 also comes as one of frames, each with its mask: /JPEGImages/480p/<video>/00000.jpg …
    return list(dict.fromkeys(Path(word).parent.name if '/' in word else word for word in words))

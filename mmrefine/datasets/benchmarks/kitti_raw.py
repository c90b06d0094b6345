"""The raw drives of KITTI as frame pairs without labels, without the frames of its benchmarks."""
from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

from mmengine.logging import print_log

from mmrefine.datasets.frame_pairs import FramePairs
from mmrefine.datasets.scenes import Opener
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.fileio.images import read_input
from mmrefine.fileio.video.frames import PictureSeries, list_folder, list_images
from mmrefine.fileio.video.numbering import find_jumps
from mmrefine.fileio.video.reading import gaps_among
from mmrefine.fileio.video.scenes import Roots, paths_of
from mmrefine.registry import DATASETS
from mmrefine.values import as_count

_DRIVE = re.compile(r'(\d{4}_\d\d_\d\d_drive_\d{4})_sync')
_CAMERAS = ('02', '03')  # those of the colour pictures
_LIST = Path(__file__).with_name('kitti_raw_benchmark_pairs.txt')


@DATASETS.register_module()
class KittiRawPairs(FramePairs):
    """The frame pairs of KITTI's raw drives (synced and rectified), which have no ground truth.

    Frames are ``<data_root>/2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png``; the scene is
    '2011_09_26_drive_0001_sync/image_02'. The benchmarks of KITTI were cut out of such drives. So that nothing is
    learned from what is judged, these frames are left out, with ``margin`` frames on either side:

    - the pairs of KITTI 2015 training, KITTI 2012 training and KITTI 2012 testing that UnFlow's authors found in the
      raw drives (``kitti_raw_benchmark_pairs.txt`` beside this file);
    - the frames that are, byte for byte, among the pictures of ``testing``. No list of the testing frames of KITTI 2015
      exists, so name the folder if you have it; the log has how many were found. Pictures that were encoded anew are
      not recognised.

    No pair reaches across frames that are missing or left out.

    Args:
        data_root: the folder that holds the folders of the days (2011_09_26, …).
        cameras: '02' (left colour camera, that of the flow benchmarks), '03' (right), or both.
        margin: frames to leave out before and after each benchmark pair, and each frame of ``testing``; UnFlow's 10 are
            a second.
        testing: folder of pictures, or several, to leave out with their neighbours, such as
            ``data/kitti2015/testing/image_2``. None or []: the log says that the testing frames of KITTI 2015 were not
            looked for.
        kwargs: see :class:`FramePairs`; without ``truth_root``.

    Attributes:
        left_out: number of frames that are left out.

    Raises:
        ConfigError: another camera, or a margin below 0.
        InputError: a missing folder, no drives or frames in it, no pictures in ``testing``.
    """

    def __init__(self,
                 data_root: Union[str, Path],
                 cameras: Union[str, Sequence[str]] = '02',
                 margin: int = 10,
                 testing: Optional[Roots] = None,
                 **kwargs: Any) -> None:
        self.cameras = [cameras] if isinstance(cameras, str) else list(cameras)
        if not self.cameras or not set(self.cameras) <= set(_CAMERAS):
            raise ConfigError(f"KittiRawPairs.cameras must be '02' or '03', or a list of these, got {cameras!r}")
        self.margin = as_count('KittiRawPairs.margin', margin, 0)
        self.testing = paths_of(testing) if testing else []
        self.left_out = 0
        super().__init__(data_root, **kwargs)

    def gaps(self, scene: str) -> List[int]:
        """Rising numbers of the frames before which frames are missing or left out."""
        if scene not in self._gaps:
            files = self._pictures_of(scene)
            jumps = find_jumps([int(file.stem) for file in files])
            self._gaps[scene] = gaps_among(self.reading.numbers(len(files)), jumps)
        return self._gaps[scene]

    def _find_scenes(self) -> Mapping[str, Opener]:
        found = self._pictures()
        away = self._testing_frames(found)
        for drive, first in benchmark_pairs():
            away.setdefault(drive, set()).update(range(first - self.margin, first + self.margin + 2))
        whole = set(benchmark_drives())
        scenes: Dict[str, Opener] = {}
        for (drive, camera), files in found.items():
            kept = () if drive in whole else tuple(
                file for file in files if int(file.stem) not in away.get(drive, ()))
            self.left_out += len(files) - len(kept)
            if len(kept) > 1:
                name = f'{drive}_sync/image_{camera}'
                scenes[name] = PictureSeries(kept[0].parent, name, kept)
        count = sum(map(len, found.values()))
        if not scenes:
            raise InputError(f'{self.data_root}: none of its {count} frames is left without those of the benchmarks '
                             f'and {self.margin} neighbours; add other drives, or lower margin')
        print_log(f'KittiRawPairs: {self.left_out} of {count} frames are left out, as they are in the benchmarks of '
                  f'KITTI or within {self.margin} frames of one that is', 'current')
        return scenes

    def _pictures(self) -> Dict[Tuple[str, str], List[Path]]:
        """(drive, camera) -> its frames, in order."""
        days = [path for path in list_folder(self.data_root) if path.is_dir()]
        drives = [path for day in days for path in list_folder(day) if _DRIVE.fullmatch(path.name)]
        found = {}
        for path in drives:
            for camera in self.cameras:
                folder = path / f'image_{camera}' / 'data'
                files = [file for file in list_images(folder) if file.stem.isdecimal()] if folder.is_dir() else []
                if files:
                    found[path.name[:-len('_sync')], camera] = files
        if not found:
            cameras = ' or '.join(f'image_{camera}' for camera in self.cameras)
            raise InputError(f'{self.data_root}: holds no frames such as 2011_09_26/2011_09_26_drive_0001_sync/'
                             f'image_{self.cameras[0]}/data/0000000000.png ({len(drives)} synced drives, {cameras}); '
                             'data_root is the folder that holds the days')
        return found

    def _testing_frames(self, found: Mapping[Tuple[str, str], Sequence[Path]]) -> Dict[str, Set[int]]:
        """Drive -> numbers of the frames that are pictures of ``testing``, and of their neighbours."""
        if not self.testing:
            print_log('KittiRawPairs: the testing frames of KITTI 2015 were not looked for, as no list of them exists; '
                      'name their folder to leave out those that are in the raw drives '
                      "(testing='data/kitti2015/testing/image_2')", 'current', logging.WARNING)
            return {}
        pictures = [file for folder in self.testing for file in list_images(folder)]
        if not pictures:
            raise InputError(f'{", ".join(map(str, self.testing))}: holds no pictures; KittiRawPairs.testing is the '
                             'folder of the testing frames, such as data/kitti2015/testing/image_2')
        sizes = {file.stat().st_size for file in pictures}
        digests = {digest_of_bytes(read_input(file)) for file in pictures}
        away: Dict[str, Set[int]] = {}
        matches = 0
        for (drive, _), files in found.items():
            for file in files:
                # files of another size are others, which saves reading most of them
                if file.stat().st_size in sizes and digest_of_bytes(read_input(file)) in digests:
                    matches += 1
                    number = int(file.stem)
                    away.setdefault(drive, set()).update(range(number - self.margin, number + self.margin + 1))
        print_log(f'KittiRawPairs: of the {len(pictures)} pictures of {", ".join(map(str, self.testing))}, {matches} '
                  'are frames of the drives', 'current')
        return away


def benchmark_pairs() -> List[Tuple[str, int]]:
    """The known benchmark pairs in the raw drives: drive, such as '2011_09_26_drive_0005', and number of frame 1."""
    return [(drive, int(number)) for drive, numbers in _entries() for number in numbers if number != 'all']


def benchmark_drives() -> List[str]:
    """The drives that are left out as a whole, as they have benchmark pairs whose numbers are unknown."""
    return [drive for drive, numbers in _entries() if 'all' in numbers]


def _entries() -> Iterator[Tuple[str, List[str]]]:
    for line in _LIST.read_text(encoding='ascii').splitlines():
        if line and not line.startswith('#'):
            drive, *numbers = line.split()
            yield drive, numbers

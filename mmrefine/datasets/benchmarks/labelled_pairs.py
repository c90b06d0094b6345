"""Frame pairs with ground truth in a folder whose layout is recognised."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from mmrefine.datasets.picture_pairs import PicturePairs, picture_pair
from mmrefine.errors import InputError
from mmrefine.fileio.video.frames import list_folder, list_images
from mmrefine.fileio.video.numbering import find_gaps
from mmrefine.registry import DATASETS

_CHAIRS = 'FlyingChairs'
_FRAME1, _FRAME2, _MOTION = '_img1.ppm', '_img2.ppm', '_flow.flo'
# what FramePairs takes, in this order
_TRUTH_SUFFIXES = ('.flo', '.png')


@dataclass(frozen=True)
class _Layout:
    """Folders of frames beside one of ground truth.

    Args:
        name: in words.
        base: the folder that holds them, below the root; that folder itself may be the root, too.
        frames: folders of frames.
        truth: folder of their truth.
        joined: whether all folders of frames are used, or only the first that is there.
    """
    name: str
    base: str
    frames: Tuple[str, ...]
    truth: str
    joined: bool = False

    def bases(self, root: Path) -> List[Path]:
        """Where to look for the folders."""
        return [root / self.base, root] if self.base else [root]

    def frame_folders(self, base: Path) -> List[Path]:
        """The folders of frames that are there."""
        found = [base / name for name in self.frames if (base / name).is_dir()]
        return found if self.joined else found[:1]

    def text(self) -> str:
        """What belongs to it."""
        below = f'{self.base}/' if self.base else ''
        return f'{self.name} ({below}{" or ".join(self.frames)}, and {below}{self.truth})'


_KITTI_TRUTH = 'flow_occ'
_LAYOUTS = (
    _Layout('KITTI 2015', 'training', ('image_2', ), _KITTI_TRUTH),
    _Layout('KITTI 2012', 'training', ('colored_0', 'image_0'), _KITTI_TRUTH),
    _Layout('Sintel', 'training', ('final', 'clean'), 'flow', joined=True),
    _Layout('rendered clips', '', ('frames', ), 'flow'),
)
UNDERSTOOD = ', '.join(
    [*(layout.text() for layout in _LAYOUTS), f'{_CHAIRS} (*{_FRAME1}, *{_FRAME2} and *{_MOTION}, in it or in data)'])


@DATASETS.register_module()
class LabelledPairs(PicturePairs):
    """The frame pairs with ground truth of a folder, whose layout is recognised by what it holds.

    - KITTI 2015 and 2012: the pairs of ``training/flow_occ``, of 2012 in colour if those frames are there.
    - Sintel: the pairs of ``training/flow``, in each of the passes final and clean that is there.
    - FlyingChairs: all pairs, in the folder or in ``data`` below it, whatever its split says.
    - What ``tools/render.py`` writes: ``flow/<scene>/<name>.flo`` (or ``.png``, KITTI's) is the motion from
      ``frames/<scene>/<name>`` to the next frame of the scene.

    A pair without ground truth is left out.

    Args:
        data_root: the folder; of KITTI and Sintel ``training`` itself will do.
        pipeline, seed: see :class:`~mmrefine.datasets.picture_pairs.PicturePairs`.

    Attributes:
        layout: its name, such as ``'KITTI 2015'``.
        data_root: the folder.
        pairs: one dict per item, see :class:`~mmrefine.datasets.picture_pairs.PicturePairs`.

    Raises:
        InputError: no such folder, none of these layouts, no ground truth, or truth of frames that are not there.
    """

    def __init__(self, data_root: Union[str, Path], pipeline: Sequence[Any] = (), seed: int = 0) -> None:
        self.data_root = Path(data_root)
        if not self.data_root.is_dir():
            what = 'is a file' if self.data_root.exists() else 'does not exist'
            raise InputError(f'{self.data_root}: the folder of labelled frame pairs {what}; check the path')
        self.layout, pairs = _recognise(self.data_root)
        super().__init__(pairs, pipeline, seed)


def _recognise(root: Path) -> Tuple[str, List[Dict[str, Any]]]:
    """The name of the layout, and its pairs."""
    no_truth: Optional[InputError] = None
    for layout in _LAYOUTS:
        for base in layout.bases(root):
            folders = layout.frame_folders(base)
            if not folders:
                continue
            truths = _truths(base / layout.truth, layout) if (base / layout.truth).is_dir() else []
            if truths:
                pairs = [pair for frames in folders for pair in _pairs(root, frames, base / layout.truth, truths)]
                return layout.name, pairs
            no_truth = no_truth or _lacks_truth(root, layout.name, folders[0], base / layout.truth)
    for base in (root / 'data', root):
        names = [path.name for path in list_folder(base)] if base.is_dir() else []
        truths = [base / name for name in names if name.endswith(_MOTION)]
        if truths:
            return _CHAIRS, [_chairs_pair(root, truth, set(names)) for truth in truths]
        if any(name.endswith(_FRAME1) for name in names):
            no_truth = no_truth or _lacks_truth(root, _CHAIRS, base / f'*{_FRAME1}', base / f'*{_MOTION}')
    if no_truth is not None:
        raise no_truth
    names = [path.name for path in list_folder(root)]
    held = f'holds {", ".join(names[:4])}{", …" if len(names) > 4 else ""}' if names else 'is empty'
    raise InputError(f'{root}: {held}, which is none of the layouts of frame pairs with ground truth: {UNDERSTOOD}; '
                     'name the folder that holds these')


def _lacks_truth(root: Path, name: str, frames: Path, truth: Path) -> InputError:
    return InputError(f'{root}: holds frames in the layout of {name} ({frames}), and no ground truth, which would be '
                      f'{truth}; put it there, or name a folder that has some')


def _truths(folder: Path, layout: _Layout) -> List[Path]:
    """The files of truth in a folder and below it, one for each frame."""
    if layout.truth == _KITTI_TRUTH:
        return [path for path in list_folder(folder) if path.name.endswith('_10.png')]
    found: Dict[Path, Path] = {}
    for suffix in _TRUTH_SUFFIXES:
        for path in sorted(folder.rglob(f'*{suffix}')):
            found.setdefault(path.with_suffix(''), path)
    return [found[place] for place in sorted(found)]


def _pairs(root: Path, frames: Path, folder: Path, truths: Sequence[Path]) -> Iterator[Dict[str, Any]]:
    """The pairs that truth is the motion of; frames lie in folders of the same names as truth."""
    by_folder: Dict[Path, List[Path]] = {}
    for truth in truths:
        by_folder.setdefault(truth.parent, []).append(truth)
    for parent, some in by_folder.items():
        place = frames / parent.relative_to(folder)
        files = {file.stem: file for file in (list_images(place) if place.is_dir() else [])}
        follows = _followers(list(files), folder.name == _KITTI_TRUTH)
        for truth in some:
            second = follows.get(truth.stem)
            if truth.stem not in files or second is None:
                which = f'that follows {truth.stem}' if truth.stem in files else truth.stem
                raise InputError(f'{truth}: there is no frame {which} in {place}; put the missing frames there, or '
                                 'delete this file of ground truth')
            yield picture_pair(place.relative_to(root).as_posix(), files[truth.stem], files[second], truth)


def _followers(names: Sequence[str], of_kitti: bool) -> Dict[str, str]:
    """The next frame of each one that has a next; of KITTI's many scenes in a folder the second frame of each pair."""
    if of_kitti:
        known = set(names)
        return {name: f'{name[:-2]}11' for name in names if name.endswith('_10') and f'{name[:-2]}11' in known}
    gaps = find_gaps(names)
    return {one: two for at, (one, two) in enumerate(zip(names, names[1:]), start=1) if at not in gaps}


def _chairs_pair(root: Path, truth: Path, names: set) -> Dict[str, Any]:
    stem = truth.name[:-len(_MOTION)]
    for suffix in (_FRAME1, _FRAME2):
        if stem + suffix not in names:
            raise InputError(f'{truth}: there is no frame {truth.parent / (stem + suffix)}; put it there, or delete '
                             'this file of ground truth')
    scene = truth.parent.relative_to(root).as_posix()
    return picture_pair(root.name if scene == '.' else scene, truth.parent / (stem + _FRAME1),
                        truth.parent / (stem + _FRAME2), truth)

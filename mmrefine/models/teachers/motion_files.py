"""Which file of a folder holds the motion from one frame to another, in the layouts that programs write."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from mmrefine.errors import InputError
from mmrefine.fileio.flow_npz import MOTION_SUFFIXES
from mmrefine.fileio.records import read_record
from mmrefine.values import as_count

# subfolders of motion forwards and backwards in time, as mmrefine flow names them
FORWARD, BACKWARD = 'flow', 'backward'
# what mmrefine flow says of them
RECORD = 'flow.json'


class MotionFiles:
    """The files of a folder by name, without suffix and relative to it.

    The motion from frame a to frame b of a scene is looked for as ``<scene>/<a>__<b>``, and that between neighbours
    also by the frame where it begins: ``<scene>/flow/<a>`` or ``<scene>/<a>`` forwards in time,
    ``<scene>/backward/<a>`` backwards. The folder of the scene may be left out where there is only one. Which frames
    are neighbours depends on the stride: :meth:`stride`. Beside flow of another format, a PNG of the same name that is
    not KITTI's is a picture of that flow, and left out.

    Args:
        root: the folder.

    Raises:
        InputError: no such folder, no flow in it, or two files of flow of one name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        paths = [path for path in sorted(root.rglob('*')) if path.suffix.lower() in MOTION_SUFFIXES and path.is_file()]
        named: Dict[str, List[Path]] = {}
        for path in paths:
            named.setdefault(path.relative_to(root).with_suffix('').as_posix(), []).append(path)
        self.paths: Dict[str, Path] = {name: _only(some) for name, some in named.items()}
        if not self.paths:
            raise InputError(f'{root}: holds no flow ({", ".join(MOTION_SUFFIXES)}); StoredMotion.root is a label '
                             'store, a folder that mmrefine flow has written, or one of files <scene>/<frame>.flo or '
                             '<scene>/<frame1>__<frame2>.flo')

    def stride(self, scene: str, alone: bool) -> int:
        """How many frames apart neighbours are in the files that are named by the frame where the motion begins.

        It is the stride that ``mmrefine flow`` was run with, and 1 for files of any other program.

        Args:
            scene: of the files.
            alone: whether there is no other scene.

        Raises:
            InputError: the record of ``mmrefine flow`` is damaged.
            ConfigError: it has another stride than a number of frames.
        """
        for folder in (self.root / scene, self.root)[:2 if alone else 1]:
            record = read_record(folder / RECORD, 'a record of mmrefine flow', dict(reading=dict), 'make it again')
            if record is not None:
                return as_count(f'{folder / RECORD}: stride', record['reading'].get('stride', 1))
        return 1

    @property
    def has_backward(self) -> bool:
        """Whether any file is of motion backwards in time, by its name."""
        return any(self._is_backward(name) for name in self.paths)

    def _is_backward(self, name: str) -> bool:
        folder, _, last = name.rpartition('/')
        if folder.rpartition('/')[2] == BACKWARD:
            return True
        # a name may hold the mark itself
        marks = (at for at in range(len(last)) if last.startswith('__', at))
        swapped = (f'{last[at + 2:]}__{last[:at]}' for at in marks)
        return any((f'{folder}/{one}' if folder else one) in self.paths for one in swapped)

    def names(self, scene: str, first: str, second: str, step: int, alone: bool) -> Iterator[str]:
        """Where the motion from a frame to another is looked for, in order.

        Args:
            scene: of both.
            first: name of the frame where the motion begins.
            second: of the one where it ends.
            step: number of the second less that of the first; 0: not known, or counted in another stride than that of
                files that are named by one frame.
            alone: whether there is no other scene.
        """
        by_frame = {1: (f'{FORWARD}/{first}', first), -1: (f'{BACKWARD}/{first}', )}.get(step, ())
        for name in (f'{first}__{second}', *by_frame):
            yield f'{scene}/{name}'
            if alone:
                yield name

    def find(self, asked: Tuple[str, str, str], step: int = 0, alone: bool = False) -> str:
        """The name of the file of the motion between ``asked`` = (scene, first frame, second frame); '' if there is
        none."""
        return next((name for name in self.names(*asked, step, alone) if name in self.paths), '')


def _only(paths: List[Path]) -> Path:
    """The one of several files of one name that holds flow."""
    flows = paths if len(paths) == 1 else [path for path in paths if path.suffix.lower() != '.png' or _is_deep(path)]
    if len(flows) == 1:
        return flows[0]
    raise InputError(f'{paths[0].with_suffix("")}: is there as {" and as ".join(path.suffix for path in paths)}, and '
                     'only one of them can be the motion; move the other one out of the folder')


def _is_deep(path: Path) -> bool:
    """Whether a PNG may be KITTI's: three channels of 16 bits."""
    with open(path, 'rb') as file:
        return file.read(26)[24:] == b'\x10\x02'

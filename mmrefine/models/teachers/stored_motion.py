"""A teacher that reads motion which somebody else has estimated."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from mmrefine.errors import ConfigError, InputError, TeacherError
from mmrefine.fileio.digest import digest_of, digest_of_files
from mmrefine.fileio.flow_npz import read_motion_file
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.layout import MANIFEST
from mmrefine.models.teachers.motion_files import MotionFiles
from mmrefine.models.teachers.stateless import StatelessSource
from mmrefine.registry import TEACHERS
from mmrefine.structures import LabelSource
from mmrefine.structures.pairs import FAR, Names


@TEACHERS.register_module()
class StoredMotion(StatelessSource):
    """Motion in files, the same in all rounds. Implements ``TeacherSource``.

    Args:
        root: a complete label store of flow, a folder that ``mmrefine flow`` has written, or a folder of flow files as
            :class:`~mmrefine.models.teachers.motion_files.MotionFiles` finds them, in any format that
            :func:`~mmrefine.fileio.flow_npz.read_motion_file` reads; of each pair forwards, and backwards or not at all
            backwards.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._teacher: Optional[StoredTeacher] = None

    @property
    def name(self) -> str:
        """What people call it."""
        return f'the motion in the folder {Path(self.root).resolve().name}'

    def frozen(self, student: nn.Module) -> 'StoredTeacher':
        """The motion in the files.

        Raises:
            InputError: no such folder, or no flow in it.
        """
        if self._teacher is None:
            self._teacher = StoredTeacher(Path(self.root))
        return self._teacher


class StoredTeacher:
    """Gives the stored motion of a pair by the names of its frames. Implements ``FlowEstimator`` and ``Teacher``.

    Motion that is not known is 1e5 px long, far outside every frame; so is all motion backwards where the folder has
    none (``one_way``), which cannot be verified by a round trip.

    Args:
        root: see :class:`StoredMotion`.

    Raises:
        InputError: no such folder, or no flow in it.
        LabelStoreError: a label store that is damaged.
    """
    accepts_flow_init = False
    as_they_are = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = LabelStore.open(root) if (root / MANIFEST).exists() else None
        self.files = MotionFiles(root) if self.store is None else None
        self.one_way = self.files is not None and not self.files.has_backward
        # which file holds the motion between two frames; known once the frames are
        self._found: Dict[Tuple[str, str], str] = {}

    def digest(self) -> str:
        """Identifies the contents of the files."""
        if self.files is None:
            assert self.store is not None
            return digest_of(self.store.manifest['files'])
        return digest_of_files((key, path) for key, path in self.files.paths.items())

    def describe(self) -> Dict[str, Any]:
        """What decides over the answers beside the files."""
        return dict(network=type(self).__name__)

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """Nothing that counts: the motion of the pairs."""
        return 0

    def check_source(self, source: LabelSource) -> None:
        """Find and read the files of all pairs, before the first label is made.

        Raises:
            InputError: files that are missing, damaged, of another size than the frames, or without any motion; says
                how many and which is the first.
        """
        scenes = {unit.scene for unit in source.units}
        alone = len(scenes) == 1
        stride = getattr(getattr(source, 'reading', None), 'stride', 1)
        others = {scene for scene in scenes if self.files and self.files.stride(scene, alone) != stride}
        faults: List[str] = []
        for unit in source.units:
            (first, second), step = unit.names, unit.frames[-1] - unit.frames[0]
            if unit.scene in others:
                step = 0  # neighbours there are others than here
            ways = [(first, second, step), (second, first, -step)][:1 if self.one_way else 2]
            faults += [fault for fault in (
                self._fault(unit.scene, *way, alone, source.size(unit.scene)) for way in ways) if fault]
        if faults:
            more = f' (and {len(faults) - 1} more like it)' if len(faults) > 1 else ''
            raise InputError(f'{faults[0]}{more}; store the motion of each pair that is to be labelled, of the size of '
                             'its frames, forwards and, unless it is to be believed without a round trip, backwards')

    def _fault(self, scene: str, first: str, second: str, step: int, alone: bool, size: Tuple[int, int]) -> str:
        """What is wrong with the motion between two frames; '' if nothing is."""
        asked, key = (scene, first, second), f'{scene}/{first}__{second}'
        if self.files is not None:
            found = self._found[f'{scene}/{first}', f'{scene}/{second}'] = self.files.find(asked, step, alone)
            if not found:
                other = '' if step else (', and not by a single frame, as such files are of neighbours with the stride '
                                         f'{self.files.stride(scene, alone)}')
                return (f'{self.root}: has no motion of {key}, looked for by the names '
                        f'{", ".join(self.files.names(*asked, step, alone))} with any suffix of flow{other}')
        try:
            flow, known = self._motion(f'{scene}/{first}', f'{scene}/{second}')
        except InputError as error:
            return str(error).partition('; ')[0]
        if flow.shape[:2] != tuple(size):
            return (f'{self.root}: the motion of {key} is {flow.shape[0]}x{flow.shape[1]} px, and its frames are '
                    f'{size[0]}x{size[1]} px')
        return '' if known.any() else f'{self.root}: the motion of {key} is unknown, such as nan, in all of its pixels'

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """Always refused: motion is found by the names of frames, which come with :meth:`estimate_both`.

        Raises:
            TeacherError: says what to ask instead.
        """
        raise self._not_as_it_is()

    def estimate_both(self,
                      frames1: Tensor,
                      frames2: Tensor,
                      flow_init_fw: Optional[Tensor] = None,
                      flow_init_bw: Optional[Tensor] = None,
                      names: Optional[Names] = None,
                      iters: Optional[int] = None) -> Tuple[Tensor, Tensor]:
        """The stored motion in both directions, each ``(B, 2, H, W)`` px.

        Args:
            frames1: ``(B, 3, H, W)``.
            frames2: the same shape.
            flow_init_fw: not used.
            flow_init_bw: not used.
            names: of the frames, ``scene/frame``.
            iters: must not be given.

        Raises:
            ConfigError: iterations.
            TeacherError: frames without names, or of another size than the motion.
            InputError: no motion is stored for the pair, or its file is damaged.
        """
        if iters is not None:
            raise ConfigError(f'labeler.view.iters={iters}: stored motion does not iterate; leave it out')
        if names is None:
            raise self._not_as_it_is()
        pairs = [(str(one), str(two)) for one, two in zip(*names)]
        forward = self._stacked([self._read(one, two, frames1) for one, two in pairs], frames1)
        return forward, self._stacked([self._read(two, one, frames1) for one, two in pairs], frames1)

    def _stacked(self, flows: List[np.ndarray], frames: Tensor) -> Tensor:
        for flow in flows:
            if flow.shape[:2] != tuple(frames.shape[-2:]):
                raise self._not_as_it_is()
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(frames.device)

    def _read(self, one: str, two: str, frames: Tensor) -> np.ndarray:
        """``(H, W, 2)`` px."""
        if self.one_way and self._found.get((two, one)) and not self._found.get((one, two)):
            return np.full((*frames.shape[-2:], 2), FAR, np.float32)
        flow, known = self._motion(one, two)
        return np.where(known[..., None], flow, np.float32(FAR))

    def _motion(self, one: str, two: str) -> Tuple[np.ndarray, np.ndarray]:
        """``(H, W, 2)`` px, and where it is known."""
        scene, _, first = one.rpartition('/')
        second = two.rpartition('/')[2]
        key = f'{one}__{second}'
        if self.files is None:
            assert self.store is not None
            if not self.store.has(key):
                raise self._missing(key)
            label = self.store.read(key)
            return label.flow.permute(1, 2, 0).numpy(), label.weight[0].numpy() > 0
        name = self._found.get((one, two)) or self.files.find((scene, first, second))
        if not name:
            raise self._missing(key)
        return read_motion_file(self.files.paths[name])

    def _missing(self, key: str) -> InputError:
        return InputError(f'{self.root}: has no motion of {key}; store the motion of each pair that is to be labelled '
                          'in both directions')

    def _not_as_it_is(self) -> TeacherError:
        return TeacherError(f'{self.root}: stored motion fits its frames only as they are, and the view of the labeler '
                            'shows others (another size, mirrored, or a third frame); set '
                            "labeler.view=dict(type='CascadeView', scales=(1., )), labeler.balance=None if that is "
                            'Novelty, which compares passes, and leave out filters that need a third frame')

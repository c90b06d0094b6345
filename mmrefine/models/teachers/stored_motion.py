"""A teacher that reads motion which somebody else has estimated."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from mmrefine.errors import ConfigError, InputError, TeacherError
from mmrefine.fileio.digest import digest_of, digest_of_files
from mmrefine.fileio.flow_io import FLOW_SUFFIXES, read_flow
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.layout import MANIFEST
from mmrefine.models.teachers.stateless import StatelessSource
from mmrefine.registry import TEACHERS
from mmrefine.structures.pairs import Names

FAR = 1e5  # px; unknown motion leaves every frame, so no filter that looks inside keeps it, and no store can hold it


@TEACHERS.register_module()
class StoredMotion(StatelessSource):
    """Motion in files, the same in all rounds. Implements ``TeacherSource``.

    Args:
        root: a complete label store of flow, or a folder of flow files ``<scene>/<frame1>__<frame2><suffix>`` in any
            format that :func:`~mmrefine.fileio.read_flow` reads; of each pair in both directions.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._teacher: Optional[StoredTeacher] = None

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

    Motion that is not known is 1e5 px long, far outside every frame.

    Args:
        root: see :class:`StoredMotion`.

    Raises:
        InputError: no such folder, or no flow in it.
        LabelStoreError: a label store that is damaged.
    """
    accepts_flow_init = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = LabelStore.open(root) if (root / MANIFEST).exists() else None
        self.files: Dict[str, Path] = {}
        if self.store is None:
            paths = [path for path in sorted(root.rglob('*')) if path.suffix.lower() in FLOW_SUFFIXES
                     and path.is_file()]
            self.files = {path.relative_to(root).with_suffix('').as_posix(): path for path in paths}
            if not self.files:
                raise InputError(f'{root}: holds no flow ({", ".join(FLOW_SUFFIXES)}); StoredMotion.root is a label '
                                 'store, or a folder of files <scene>/<frame1>__<frame2>.flo')

    def digest(self) -> str:
        """Identifies the contents of the files."""
        if self.store is not None:
            return digest_of(self.store.manifest['files'])
        return digest_of_files((key, path) for key, path in self.files.items())

    def describe(self) -> Dict[str, Any]:
        """What decides over the answers beside the files."""
        return dict(network=type(self).__name__)

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """Nothing that counts: the motion of the pairs."""
        return 0

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
        forward = self._stacked([self._read(one, two) for one, two in pairs], frames1)
        return forward, self._stacked([self._read(two, one) for one, two in pairs], frames1)

    def _stacked(self, flows: List[np.ndarray], frames: Tensor) -> Tensor:
        for flow in flows:
            if flow.shape[:2] != tuple(frames.shape[-2:]):
                raise self._not_as_it_is()
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(frames.device)

    def _read(self, one: str, two: str) -> np.ndarray:
        """``(H, W, 2)`` px."""
        key = f'{one}__{two.rpartition("/")[2]}'
        if self.store is not None:
            if not self.store.has(key):
                raise self._missing(key)
            label = self.store.read(key)
            flow, known = label.flow.permute(1, 2, 0).numpy(), label.weight[0].numpy() > 0
        else:
            if key not in self.files:
                raise self._missing(key)
            flow, known = read_flow(self.files[key])
        return np.where(known[..., None], flow, np.float32(FAR))

    def _missing(self, key: str) -> InputError:
        return InputError(f'{self.root}: has no motion of {key}; store the motion of each pair that is to be labelled '
                          'in both directions')

    def _not_as_it_is(self) -> TeacherError:
        return TeacherError(f'{self.root}: stored motion fits its frames only as they are, and the view of the labeler '
                            'shows others (another size, mirrored, or a third frame); set '
                            "labeler.view=dict(type='CascadeView', scales=(1., )), and leave out filters that need a "
                            'third frame')

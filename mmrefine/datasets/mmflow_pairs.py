"""The frame pairs of any data set of mmflow, with the pipelines of this package."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from torch.utils.data import Dataset

from mmrefine.datasets.frame_pairs import build_pipeline
from mmrefine.errors import ConfigError
from mmrefine.fileio.images import read_image
from mmrefine.registry import DATASETS


@DATASETS.register_module()
class MMFlowPairs(Dataset):
    """The frame pairs that a data set of mmflow lists, read and augmented by the transforms of this package.

    mmflow finds the files; its own pipelines give samples of another kind, and their randomness does not depend on the
    number of the draw. ``ds[i]`` is draw i of pair i; ``ds[(i, draw)]`` is pair i under the randomness of (seed, draw)
    and nothing else. The pipeline gets frame1, frame2 ``(H, W, 3)`` uint8 RGB, key, scene, index, truth, size and rng.

    Args:
        dataset: config of the data set, such as ``dict(type='mmflow.FlyingThings3D', data_root=…)``; any of MMEngine
            will do whose data infos have ``img1_path``, ``img2_path`` and, where there is truth, ``flow_fw_path``. Its
            pipeline is not used.
        pipeline: transforms (configs or callables), applied in order.
        seed: of the augmentations.

    Attributes:
        pairs: one dict per item: ``key`` 'folder/frame1__frame2', ``scene`` (the folder of frame 1), ``truth`` (path or
            None), ``files`` (of both frames).

    Raises:
        ConfigError: a data set of another kind, or without items.
    """

    def __init__(self, dataset: Mapping[str, Any], pipeline: Sequence[Any] = (), seed: int = 0) -> None:
        kind = dataset.get('type')
        try:
            listed = DATASETS.build(dict(dataset, pipeline=[]))
        except Exception as error:  # mmflow asserts, or fails somewhere, where its folders are not as it expects them
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise ConfigError(f'MMFlowPairs.dataset: {kind} cannot be built ({reason}); check its data_root and '
                              'keys') from error
        if not hasattr(listed, 'get_data_info') or not len(listed):
            raise ConfigError(f'MMFlowPairs.dataset must be a data set of mmflow that has items, got {kind} of '
                              f'{len(listed)}; correct its data_root and type')
        self.seed, self.pipeline = seed, build_pipeline(pipeline)
        self.pairs: List[Dict[str, Any]] = [self._pair(kind, listed.get_data_info(k)) for k in range(len(listed))]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, item: Union[int, Tuple[int, int]]) -> Any:
        """Pair ``i`` or ``(i, draw)`` after the pipeline.

        Raises:
            InputError: a frame that cannot be read.
        """
        index, draw = item if isinstance(item, tuple) else (item, int(range(len(self))[item]))
        pair = self.pairs[index]
        frame1, frame2 = (read_image(file) for file in pair['files'])
        results: Any = dict(
            pair, index=index, frame1=frame1, frame2=frame2, size=tuple(frame1.shape[:2]),
            rng=np.random.default_rng((self.seed, draw)))
        for transform in self.pipeline:
            results = transform(results)
        return results

    def frame_files(self) -> List[Tuple[Path, str]]:
        """The files of the frames, once each; the second entry is ``''``, as each file is one frame."""
        return [(file, '') for file in dict.fromkeys(file for pair in self.pairs for file in pair['files'])]

    @staticmethod
    def _pair(kind: Any, info: Mapping[str, Any]) -> Dict[str, Any]:
        if 'img1_path' not in info or 'img2_path' not in info:
            raise ConfigError(f'MMFlowPairs.dataset: the items of {kind} have {", ".join(sorted(info))}, and those of '
                              'frame pairs have img1_path and img2_path; take a data set of mmflow')
        first, second = Path(info['img1_path']), Path(info['img2_path'])
        truth: Optional[str] = info.get('flow_fw_path')
        scene = first.parent.name
        return dict(key=f'{scene}/{first.stem}__{second.stem}', scene=scene, files=(first, second),
                    truth=None if truth is None else Path(truth))

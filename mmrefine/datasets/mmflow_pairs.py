"""The frame pairs of any data set of mmflow, with the pipelines of this package."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from mmrefine.datasets.picture_pairs import PicturePairs, picture_pair
from mmrefine.errors import ConfigError
from mmrefine.registry import DATASETS


@DATASETS.register_module()
class MMFlowPairs(PicturePairs):
    """The frame pairs that a data set of mmflow lists, read and augmented by the transforms of this package.

    mmflow finds the files; its own pipelines give samples of another kind, and their randomness does not depend on the
    number of the draw.

    Args:
        dataset: config of the data set, such as ``dict(type='mmflow.FlyingThings3D', data_root=…)``; any of MMEngine
            will do whose data infos have ``img1_path``, ``img2_path`` and, where there is truth, ``flow_fw_path``. Its
            pipeline is not used.
        pipeline, seed: see :class:`~mmrefine.datasets.picture_pairs.PicturePairs`.

    Attributes:
        pairs: one dict per item, see the same; the ``scene`` is the folder of frame 1.

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
        super().__init__([self._pair(kind, listed.get_data_info(k)) for k in range(len(listed))], pipeline, seed)

    @staticmethod
    def _pair(kind: Any, info: Mapping[str, Any]) -> Dict[str, Any]:
        if 'img1_path' not in info or 'img2_path' not in info:
            raise ConfigError(f'MMFlowPairs.dataset: the items of {kind} have {", ".join(sorted(info))}, and those of '
                              'frame pairs have img1_path and img2_path; take a data set of mmflow')
        first, second = Path(info['img1_path']), Path(info['img2_path'])
        truth: Optional[str] = info.get('flow_fw_path')
        return picture_pair(first.parent.name, first, second, None if truth is None else Path(truth))

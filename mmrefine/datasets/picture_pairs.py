"""Frame pairs that are two files each."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np
from torch.utils.data import Dataset

from mmrefine.datasets.frame_pairs import build_pipeline
from mmrefine.fileio.images import read_image


class PicturePairs(Dataset):
    """Base of the data sets whose pairs are listed file by file, with or without ground truth.

    ``ds[i]`` is draw i of pair i; ``ds[(i, draw)]`` is pair i under the randomness of (seed, draw) and nothing else.
    The pipeline gets frame1, frame2 ``(H, W, 3)`` uint8 RGB, key, scene, index, truth, size and rng.

    Args:
        pairs: one dict per item: ``key`` 'folder/frame1__frame2', ``scene``, ``truth`` (path or None), ``files`` (of
            both frames).
        pipeline: transforms (configs or callables), applied in order.
        seed: of the augmentations.

    Attributes:
        pairs: as given.
    """

    def __init__(self, pairs: Sequence[Dict[str, Any]], pipeline: Sequence[Any] = (), seed: int = 0) -> None:
        self.pairs = list(pairs)
        self.seed, self.pipeline = seed, build_pipeline(pipeline)

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


def picture_pair(scene: str, first: Path, second: Path, truth: Union[Path, None]) -> Dict[str, Any]:
    """The record of a pair, see :class:`PicturePairs`."""
    return dict(key=f'{scene}/{first.stem}__{second.stem}', scene=scene, files=(first, second), truth=truth)

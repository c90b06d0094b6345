"""Passes over pairs whose motion is known, for a verifier to learn from."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.pass_files import list_passes, read_passes
from mmrefine.registry import DATASETS
from mmrefine.values import as_count


@DATASETS.register_module()
class PassPairs:
    """The passes that ``tools/collect_passes.py`` has stored below a folder, each a file.

    ``ds[i]`` is draw i of file i; ``ds[(i, draw)]`` is file i under the randomness of (seed, draw): where it is
    cropped, and whether it is turned round. An item is a dict of tensors: ``inputs`` ``(2, 3, H, W)`` uint8 RGB,
    ``passes`` ``(P, 2, 2, H, W)`` px, there and back, ``traits`` ``(P, 2)``, ``truth`` ``(2, 2, H, W)`` px and
    ``known`` ``(2, H, W)``, see :class:`~mmrefine.fileio.pass_files.StoredPasses`.

    Args:
        data_root: the folder; or several.
        crop_size: (height, width) px; None: whole frames, as they are.
        seed: of the crops.

    Raises:
        ConfigError: a crop that is no pair of numbers above 0.
        InputError: no files.
    """

    def __init__(self, data_root: Union[str, Sequence[str]], crop_size: Optional[Sequence[int]] = None,
                 seed: int = 0) -> None:
        roots = [data_root] if isinstance(data_root, (str, Path)) else list(data_root)
        self.files = [path for root in roots for path in list_passes(root)]
        if crop_size is not None and len(crop_size) != 2:
            raise ConfigError(f'PassPairs.crop_size must be (height, width) px or None, got {crop_size!r}')
        self.crop = None if crop_size is None else tuple(as_count('PassPairs.crop_size', side) for side in crop_size)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, item: Union[int, Tuple[int, int]]) -> Dict[str, torch.Tensor]:
        """File ``i`` or ``(i, draw)``.

        Raises:
            InputError: a file that cannot be read, or frames smaller than the crop.
        """
        index, draw = item if isinstance(item, tuple) else (item, int(range(len(self))[item]))
        stored = read_passes(self.files[index])
        arrays = dict(inputs=stored.frames.transpose(0, 3, 1, 2), passes=stored.passes.astype(np.float32),
                      truth=stored.truth.astype(np.float32), known=stored.known)
        if self.crop is not None:
            arrays = self._cropped(arrays, self.crop, np.random.default_rng((self.seed, draw)), index)
        found = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        return dict(found, traits=torch.from_numpy(stored.traits.astype(np.float32)))

    def _cropped(self, arrays: Dict[str, Any], crop: Sequence[int], rng: np.random.Generator,
                 index: int) -> Dict[str, Any]:
        size = arrays['inputs'].shape[-2:]
        if any(side < wanted for side, wanted in zip(size, crop)):
            raise InputError(f'{self.files[index]}: has frames of {size[0]}x{size[1]} px, smaller than '
                             f'crop_size={tuple(crop)}; lower crop_size, or leave the file out')
        top, left = (int(rng.integers(side - wanted, endpoint=True)) for side, wanted in zip(size, crop))
        across, down = (slice(None, None, int(rng.choice((-1, 1)))) for _ in range(2))
        for name, array in arrays.items():
            arrays[name] = array[..., top:top + crop[0], left:left + crop[1]][..., down, across]
        turned = np.array([across.step, down.step], np.float32).reshape(2, 1, 1)
        for name in ('passes', 'truth'):
            arrays[name] = arrays[name] * turned
        return arrays

"""The order of the training draws."""
from __future__ import annotations

from typing import Iterator, Optional, Sized, Tuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmrefine.errors import ConfigError
from mmrefine.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler):
    """Numbered draws: ``(index, draw)``, where the draw alone decides the index and, in the dataset, the augmentation.

    Draws are counted over all ranks and never restart; each pass over the data has its own permutation. Rank r of n
    takes the draws start + r, start + r + n, ...: the same draws whatever n and the number of workers. Every new
    iterator begins at ``start``.

    Args:
        dataset: what is drawn from; only its length counts.
        seed: of the permutations; None takes one that all ranks share.
        shuffle: False walks through the data in order.
        start: the first draw, see :meth:`set_start`.
        num_draws: the sampler ends before the draw of this number; None: it never ends. ``start`` counts towards it.

    Raises:
        ConfigError: an empty dataset, or a negative start or num_draws.
    """

    def __init__(self,
                 dataset: Sized,
                 seed: Optional[int] = None,
                 shuffle: bool = True,
                 start: int = 0,
                 num_draws: Optional[int] = None) -> None:
        self.size = len(dataset)
        if self.size == 0:
            raise ConfigError('DrawSampler: the dataset is empty, there is nothing to draw')
        if num_draws is not None and num_draws < 0:
            raise ConfigError(f'DrawSampler.num_draws must be None or at least 0, got {num_draws!r}')
        self.seed = sync_random_seed() if seed is None else seed
        self.shuffle = shuffle
        self.num_draws = num_draws
        self.rank, self.world_size = get_dist_info()
        self.set_start(start)

    def set_start(self, draw: int) -> None:
        """Let the next iterator begin at this draw, counted over all ranks: iterations done x batch size x ranks."""
        if draw < 0:
            raise ConfigError(f'DrawSampler.start must be at least 0, got {draw!r}')
        self.start = draw

    def __iter__(self) -> Iterator[Tuple[int, int]]:
        epoch, order = -1, np.arange(self.size)
        draw = self.start + self.rank
        while self.num_draws is None or draw < self.num_draws:
            if self.shuffle and draw // self.size != epoch:
                epoch = draw // self.size
                # the 1 separates this random stream from the (seed, draw) of the augmentations
                order = np.random.default_rng((self.seed, epoch, 1)).permutation(self.size)
            yield int(order[draw % self.size]), draw
            draw += self.world_size

    def __len__(self) -> int:
        """Draws left to this rank; of an endless sampler, this rank's share of one pass over the data."""
        left = self.size if self.num_draws is None else max(self.num_draws - self.start, 0)
        return len(range(self.rank, left, self.world_size))

"""The order of the training draws."""
from __future__ import annotations

import itertools
from typing import Any, Iterator, List, Mapping, Optional, Sized, Tuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmrefine.errors import ConfigError
from mmrefine.registry import DATA_SAMPLERS
from mmrefine.schedule import Course, Shares
from mmrefine.values import as_count


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

    def __iter__(self) -> Iterator[Tuple[Any, ...]]:
        order = _Order(self.size, self.seed, self.shuffle)
        for draw in self._draws():
            yield order.index(draw), draw

    def _draws(self) -> Iterator[int]:
        """The numbers of the draws of this rank."""
        for draw in itertools.count(self.start + self.rank, self.world_size):
            if self.num_draws is not None and draw >= self.num_draws:
                return
            yield draw

    def __len__(self) -> int:
        """Draws left to this rank; of an endless sampler, this rank's share of one pass over the data."""
        left = self.size if self.num_draws is None else max(self.num_draws - self.start, 0)
        return len(range(self.rank, left, self.world_size))


@DATA_SAMPLERS.register_module()
class MixedSampler(DrawSampler):
    """Draws from the parts of a data set by share, and not by chance: ``(index, draw, progress)``.

    Each batch, counted over all ranks, gets from each part what its share has added up to so far and is still owed to
    it: of batches of 4 with shares of 0.9 and 0.1, two of five hold one pair of the second part. With two parts no
    batch leaves a part more than half a pair off its share of the whole training. A batch lists its parts in order, so
    that each rank gets its share of each.

    Draw n of a part is the same, with the same augmentation, whatever the shares and the other parts are: that of
    :class:`DrawSampler` on the part alone.

    Args:
        dataset: with ``part_sizes``, the length of each part by name, in the order of the items
            (:class:`~mmrefine.datasets.MixedPairs`).
        shares: of the parts, by name: numbers, or knots ``[(progress, share), …]`` between which they change linearly,
            where progress is the share of the steps that is done (see :class:`~mmrefine.schedule.Shares`).
        seed: of the permutations; None takes one that all ranks share.
        shuffle: False walks through each part in order.
        start: the first draw, see :meth:`DrawSampler.set_start`.
        num_draws: the sampler ends before the draw of this number; None: it never ends.

    Raises:
        ConfigError: a data set without parts, or shares that are invalid.
    """

    def __init__(self,
                 dataset: Sized,
                 shares: Mapping[str, Course],
                 seed: Optional[int] = None,
                 shuffle: bool = True,
                 start: int = 0,
                 num_draws: Optional[int] = None) -> None:
        super().__init__(dataset, seed, shuffle, start, num_draws)
        sizes: Optional[Mapping[str, int]] = getattr(dataset, 'part_sizes', None)
        if sizes is None:
            raise ConfigError(f'MixedSampler draws from the parts of a data set, and {type(dataset).__name__} has '
                              'none; take MixedPairs, or DrawSampler')
        self.sizes, self.shares = dict(sizes), Shares('MixedSampler.shares', shares, list(sizes))
        self.batch = 1
        self.steps: Optional[int] = None

    def set_course(self, batch: int, steps: int) -> None:
        """Say how the draws are used.

        Args:
            batch: draws of a step, over all ranks.
            steps: of the whole training.
        """
        self.batch, self.steps = as_count('MixedSampler.batch', batch), as_count('MixedSampler.steps', steps)

    def __iter__(self) -> Iterator[Tuple[Any, ...]]:
        orders = [_Order(size, self.seed, self.shuffle) for size in self.sizes.values()]
        offsets = [0, *itertools.accumulate(self.sizes.values())]
        batches = enumerate(self._batches())
        at, (parts, drawn) = next(batches)
        for draw in self._draws():
            step, place = divmod(draw, self.batch)
            while at < step:  # one by one, as each batch depends on those before it
                at, (parts, drawn) = next(batches)
            part = parts[place]
            number = drawn[part] + parts[:place].count(part)
            yield offsets[part] + orders[part].index(number), number, self._progress(step)

    def _progress(self, step: int) -> Optional[float]:
        return None if self.steps is None else min(step / self.steps, 1.)

    def _batches(self) -> Iterator[Tuple[List[int], List[int]]]:
        """The parts of the draws of each batch, in rising order, and how often each part was drawn before; from the
        first batch of the training on."""
        drawn = [0] * len(self.sizes)
        owed = [0.] * len(self.sizes)
        for step in itertools.count():
            owed = [one + self.batch * share for one, share in zip(owed, self.shares.at(self._progress(step)))]
            parts: List[int] = []
            for _ in range(self.batch):
                part = max(range(len(owed)), key=owed.__getitem__)
                owed[part] -= 1
                parts.append(part)
            yield sorted(parts), drawn
            drawn = [one + parts.count(part) for part, one in enumerate(drawn)]


class _Order:
    """Which item each draw of a data set takes: a permutation for each pass over it.

    Args:
        size: items.
        seed: of the permutations.
        shuffle: False: the order of the data set.
    """

    def __init__(self, size: int, seed: int, shuffle: bool) -> None:
        self.size, self.seed, self.shuffle = size, seed, shuffle
        self._epoch, self._order = -1, np.arange(size)

    def index(self, draw: int) -> int:
        """The item of a draw."""
        epoch, place = divmod(draw, self.size)
        if self.shuffle and epoch != self._epoch:
            # the 1 separates this random stream from the (seed, draw) of the augmentations
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, epoch, 1)).permutation(self.size)
        return int(self._order[place])

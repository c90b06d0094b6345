"""Random geometric augmentation of a frame pair or a clip: scale and stretch, crop, flip."""
from __future__ import annotations

from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.datasets.transforms.frames import frames_of
from mmrefine.datasets.transforms.moves import move_pair
from mmrefine.errors import ConfigError, InputError
from mmrefine.registry import TRANSFORMS
from mmrefine.values import as_range, as_share, as_size

# RandomCrop(density=True) chooses among this many windows
_CANDIDATES = 8


@TRANSFORMS.register_module()
class RandomScaleStretch(BaseTransform):
    """Resize all frames by ``2^U(scale)``, at times stretched, as RAFT's augmentation does.

    The result is never smaller than ``crop_size``, even when the pair is otherwise left as it is, so that a crop always
    fits.

    Required keys: frame1 and frame2, or frames; rng. Changed keys: these, flow, weight, tracks, size.

    Args:
        scale: (lowest, highest) power of two; (-0.2, 0.6) is RAFT's for Sintel, (-0.2, 0.4) for KITTI.
        stretch: each axis on its own is scaled by a further ``2^U(-stretch, stretch)``.
        stretch_prob: probability of the stretch, in [0, 1].
        prob: probability that the pair is resized by the draw, in [0, 1].
        crop_size: ``(height, width)`` px that a later crop needs; None if none follows.
    """

    def __init__(self,
                 scale: Tuple[float, float] = (-0.2, 0.6),
                 stretch: float = 0.2,
                 stretch_prob: float = 0.8,
                 prob: float = 0.8,
                 crop_size: Optional[Sequence[int]] = None) -> None:
        self.scale = as_range('RandomScaleStretch.scale', scale)
        if not 0 <= stretch < 8:
            raise ConfigError(f'RandomScaleStretch.stretch must be a power of two in [0, 8), got {stretch!r}')
        self.stretch = stretch
        self.stretch_prob = as_share('RandomScaleStretch.stretch_prob', stretch_prob)
        self.prob = as_share('RandomScaleStretch.prob', prob)
        self.crop_size = (2, 2) if crop_size is None else as_size('RandomScaleStretch.crop_size', crop_size)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw a size and move the pair there."""
        rng: np.random.Generator = results['rng']
        powers = np.full(2, rng.uniform(*self.scale))
        stretches = rng.uniform(-self.stretch, self.stretch, size=2)
        if rng.random() < self.stretch_prob:
            powers += stretches
        if rng.random() >= self.prob:
            powers[:] = 0
        height, width = (
            max(int(round(length * 2.**power)), least)
            for length, power, least in zip(frames_of(results)[0].shape, powers, self.crop_size))
        return move_pair(results, size=(height, width))


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut the same window out of all frames.

    Required keys: frame1 and frame2, or frames; rng; smallest_size with ``fit``. Changed keys: the frames, flow,
    weight, tracks, size.

    Args:
        size: ``(height, width)`` px.
        density: draw this many windows (True: 8) and choose one by the label weight in it; for sparse labels. False or
            1 is a plain random window. If none of the windows has weight, the first is taken.
        pick: ``'proportional'``: each window has a chance proportional to its weight; ``'best'``: the heaviest, the
            first of equals.
        floor: share of the crops, in [0, 1], that choose any of the windows regardless of weight; above 0, every window
            of the frame comes up at least ``floor`` times as often as in a plain random crop.
        fit: limit the crop to the smallest frame of the data set, so that every crop fits and all have the same
            size.

    Raises:
        ConfigError: an invalid value.
        InputError: the frame is smaller than the crop.
    """

    def __init__(self,
                 size: Sequence[int],
                 density: Union[bool, int] = False,
                 fit: bool = False,
                 pick: str = 'proportional',
                 floor: float = 0.) -> None:
        self.size = as_size('RandomCrop.size', size)
        if not isinstance(density, int) or (density < 1 and density is not False):
            raise ConfigError('RandomCrop.density must be True, False or a number of windows, at least 1, got '
                              f'{density!r}')
        if pick not in ('proportional', 'best'):
            raise ConfigError(f"RandomCrop.pick must be 'proportional' or 'best', got {pick!r}")
        self.windows = (_CANDIDATES if density else 1) if isinstance(density, bool) else density
        self.fit = fit
        self.pick = pick
        self.floor = as_share('RandomCrop.floor', floor)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw a window and crop to it."""
        rng: np.random.Generator = results['rng']
        height, width = frames_of(results)[0].shape[:2]
        tall, wide = self._window(results)
        if height < tall or width < wide:
            raise InputError(
                f'{results.get("key", "frame pair")}: the frames are {height}x{width} (height x width) and '
                f'RandomCrop.size is {self.size[0]}x{self.size[1]}; use a smaller crop, set fit=True, or scale up '
                f'first with RandomScaleStretch(crop_size={self.size})')
        count = self.windows if 'weight' in results else 1
        tops = rng.integers(0, height - tall, size=count, endpoint=True)
        lefts = rng.integers(0, width - wide, size=count, endpoint=True)
        chosen = 0
        if count > 1:
            totals = np.array([
                results['weight'][top:top + tall, left:left + wide].sum(dtype=np.float64)
                for top, left in zip(tops, lefts)
            ])
            if totals.sum() > 0:
                chosen = int(rng.choice(count, p=self._chances(totals)))
        return move_pair(results, window=(int(tops[chosen]), int(lefts[chosen]), tall, wide))

    def _chances(self, totals: np.ndarray) -> np.ndarray:
        """Probabilities of windows with the summed weights ``totals``, which are not all 0."""
        if self.pick == 'best':
            chances = (np.arange(len(totals)) == totals.argmax()).astype(np.float64)
        else:
            chances = totals / totals.sum()
        return self.floor / len(totals) + (1 - self.floor) * chances

    def _window(self, results: Dict[str, Any]) -> Tuple[int, int]:
        """Height and width of the crop, px."""
        if not self.fit:
            return self.size
        smallest = results['smallest_size']()
        return min(self.size[0], smallest[0]), min(self.size[1], smallest[1])


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror all frames, left-right and top-bottom each with its own chance.

    Required keys: frame1 and frame2, or frames; rng. Changed keys: these, flow, weight, tracks.

    Args:
        horizontal: chance of left-right, in [0, 1]; 0.5 is RAFT's for Sintel, 0 for KITTI.
        vertical: chance of top-bottom, in [0, 1]; 0.1 is RAFT's.
    """

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.1) -> None:
        self.horizontal = as_share('RandomFlip.horizontal', horizontal)
        self.vertical = as_share('RandomFlip.vertical', vertical)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw both mirrors and apply them."""
        draws = results['rng'].random(2)
        return move_pair(results, mirror_x=bool(draws[0] < self.horizontal), mirror_y=bool(draws[1] < self.vertical))

"""Numbers that change while a training goes on, and the shares that are made of them."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmrefine.errors import ConfigError
from mmrefine.values import as_number, as_share, brief, is_number

Course = Union[float, Sequence[Tuple[float, float]]]


class Schedule:
    """A number over a training: the same throughout, or linear between knots and constant outside of them.

    Args:
        key: the config key, for messages.
        course: a number of at least 0, or knots ``[(progress, number), …]`` with rising progress, the share of the
            training that is done, in [0, 1].

    Raises:
        ConfigError: anything else.
    """

    def __init__(self, key: str, course: Course) -> None:
        self.key = key
        knots: Any = [(0., course)] if is_number(course) else course
        is_list = isinstance(knots, (list, tuple)) and bool(knots)
        if not is_list or not all(isinstance(knot, (list, tuple)) and len(knot) == 2 for knot in knots):
            raise ConfigError(f'{key} must be a number, or knots such as [(0., 0.5), (1., 0.1)], each the share of the '
                              f'training that is done and the number from there on, got {brief(course)}')
        self.progress = [as_share(f'{key}, progress of a knot,', knot[0]) for knot in knots]
        self.values = [as_number(key, knot[1]) for knot in knots]
        if any(two <= one for one, two in zip(self.progress, self.progress[1:])):
            raise ConfigError(f'{key} must have knots with rising progress, got {brief(course)}')

    def __repr__(self) -> str:
        return f'{self.values[0]:g}' if len(self.values) == 1 else repr(list(zip(self.progress, self.values)))

    @property
    def is_constant(self) -> bool:
        """Whether it is the same number throughout."""
        return len(set(self.values)) == 1

    def at(self, progress: Optional[float]) -> float:
        """The number where this share of the training is done.

        Raises:
            ConfigError: it changes, and nobody knows the progress (None).
        """
        if progress is None:
            if not self.is_constant:
                raise ConfigError(f'{self.key} changes over the training, and only SelfTrainingLoop with MixedSampler '
                                  'says how far that is; set these, or give one number')
            return self.values[0]
        return float(np.interp(progress, self.progress, self.values))


class Shares:
    """The shares of named parts, which sum to 1 at any time.

    Args:
        key: the config key, for messages.
        courses: what :class:`Schedule` takes, by part. All parts are named, and only the proportions count; or one is
            left out, and takes what the others leave of 1.
        parts: all of them, in order.

    Raises:
        ConfigError: an unknown part, more than one left out, a negative share, or shares that sum to 0, or, with one
            left out, to more than 1, at any time.
    """

    def __init__(self, key: str, courses: Mapping[str, Course], parts: Sequence[str]) -> None:
        for name in courses:
            if name not in parts:
                raise ConfigError(f'{key} names {name!r}, which is no part of the data set; it has {", ".join(parts)}')
        self.parts = list(parts)
        self._courses: Dict[str, Schedule] = {
            name: Schedule(f'{key}.{name}', courses[name]) for name in parts if name in courses}
        left_out = [name for name in parts if name not in courses]
        if len(left_out) > 1:
            raise ConfigError(f'{key} leaves out {" and ".join(left_out)}; name all parts but at most one, which takes '
                              'the rest')
        self._rest = left_out[0] if left_out else None
        # linear in between, so these are the extremes
        for progress in sorted({knot for course in self._courses.values() for knot in course.progress}):
            total = sum(course.at(progress) for course in self._courses.values())
            if self._rest is None and not total > 0:
                raise ConfigError(f'{key} must not sum to 0, and they do where {progress:g} of the training is done')
            if self._rest is not None and total > 1 + 1e-9:
                raise ConfigError(f'{key} must sum to at most 1, as {self._rest} takes the rest, got {total:g} where '
                                  f'{progress:g} of the training is done')

    def at(self, progress: Optional[float]) -> List[float]:
        """The share of each part, in order, where this share of the training is done."""
        found = {name: course.at(progress) for name, course in self._courses.items()}
        total = sum(found.values())
        if self._rest is not None:
            found[self._rest], total = max(0., 1. - total), max(1., total)
        return [found[name] / total for name in self.parts]

"""What the names of pictures say about their order: which of them count up together, and where numbers are missing."""
from __future__ import annotations

import re
import statistics
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

# a date with a time of day, a decimal number with at least three places, or a whole number
_NUMBER = re.compile(r'(?<!\d)(?P<date>\d{4}([-_.]?)\d\d\2\d\d)[-_T. at]+(?P<time>\d\d([-_.]?)\d\d\4\d\d)(?!\d)'
                     r'|\d+\.\d{3,}(?!\d)|\d+')
# a number right after such a word counts cameras, not frames
_CAMERA = re.compile(r'(?:cam|camera|view|lens|eye|sensor)[-_ ]?$', re.IGNORECASE)
# steps are regular if at least this share of them is equal; a gap is at least so many times the usual step
_REGULAR, _REGULAR_GAP, _IRREGULAR_GAP = 0.5, 1.5, 3.


class Series(NamedTuple):
    """Pictures whose names differ in one number.

    Args:
        name: what their names share, such as ``left`` of ``left_0001``; '' if the number is all there is.
        files: in order.
    """
    name: str
    files: List[Path]


def split_series(files: Sequence[Path]) -> Tuple[List[Series], List[Path]]:
    """The series among pictures, each of at least two, and the pictures that belong to none of them.

    The last number that differs between names that are equal otherwise counts the frames: ``left_0001`` and
    ``left_0002`` are of one series, ``right_0001`` is of another, and so are ``000000_10`` and ``000001_10``. A number
    right after a word such as ``cam`` counts cameras if another one counts frames. Where no two names differ in one
    number only, all pictures are one series.

    Args:
        files: in natural order.
    """
    groups, left = _groups(files, cameras=True)
    if not groups:
        groups, left = _groups(files, cameras=False)
    if not groups:
        return ([Series('', list(files))] if files else []), []
    short = {key: f'{key[0]}{key[1]}'.strip('_-. ') for key in groups}
    if len(set(short.values())) < len(short):
        short = {key: f'{key[0]}#{key[1]}' for key in groups}
    place = {file: at for at, file in enumerate(files)}
    ordered = sorted(groups, key=lambda key: place[groups[key][0]])
    return [Series(short[key], groups[key]) for key in ordered], left


def find_gaps(names: Sequence[str]) -> List[int]:
    """The places in a series of names, from 1, before which numbers are missing.

    The usual step is the median of all, so frames numbered 0, 5, 10 have no gap; one more than 1.5 times as long is a
    gap, and one more than 3 times where the steps vary, as those of times do.

    Args:
        names: of all frames of a scene, in order. Where they differ in more than one number, no gap is found.
    """
    if len(names) < 3:
        return []
    for place in range(1, 1 + len(_numbers(names[0]))):
        steps = _steps(names, place)
        if steps:
            usual = statistics.median_low(steps)
            equal = sum(abs(step - usual) <= 1e-6 * usual for step in steps)
            factor = _REGULAR_GAP if equal >= _REGULAR * len(steps) else _IRREGULAR_GAP
            return [at for at, step in enumerate(steps, start=1) if step > factor * usual]
    return []


def find_jumps(numbers: Sequence[int]) -> List[int]:
    """The places, from 1, before which a number is not the one after its predecessor; for names whose numbers are known
    to count every frame, where :func:`find_gaps` would have to guess the step."""
    return [at for at, (one, two) in enumerate(zip(numbers, numbers[1:]), start=1) if two != one + 1]


def _groups(files: Sequence[Path], cameras: bool) -> Tuple[Dict[Tuple[str, str], List[Path]], List[Path]]:
    """Files by what is around the number that counts them, and the files that nothing counts.

    Args:
        cameras: a number right after a word such as ``cam`` does not count frames.
    """
    groups: Dict[Tuple[str, str], List[Path]] = {}
    left = list(files)
    for place in range(1, 1 + max((len(_numbers(file.stem)) for file in files), default=0)):
        found: Dict[Tuple[str, str], List[Path]] = {}
        for file in left:
            numbers = _numbers(file.stem)
            if len(numbers) >= place:
                start, end = numbers[-place].span()
                if not cameras or not _CAMERA.search(file.stem[:start]):
                    found.setdefault((file.stem[:start], file.stem[end:]), []).append(file)
        several = {key: group for key, group in found.items() if len({file.stem for file in group}) > 1}
        groups.update(several)
        taken = {file for group in several.values() for file in group}
        left = [file for file in left if file not in taken]
    return groups, left


def _steps(names: Sequence[str], place: int) -> List[float]:
    """The differences of the numbers at a place from the end; [] unless all else is equal and they rise."""
    values, frame = [], None
    for name in names:
        numbers = _numbers(name)
        if len(numbers) < place:
            return []
        number = numbers[-place]
        if frame not in (None, (name[:number.start()], name[number.end():])):
            return []
        frame = name[:number.start()], name[number.end():]
        values.append(_value(number))
    steps = [later - earlier for earlier, later in zip(values, values[1:])]
    return steps if min(steps) > 0 else []


def _numbers(name: str) -> List['re.Match[str]']:
    return list(_NUMBER.finditer(name))


def _value(number: 're.Match[str]') -> float:
    """The number, of a date and time in s."""
    if number['date'] is not None:
        digits = re.sub(r'\D', '', number['date'] + number['time'])
        try:
            return datetime.strptime(digits, '%Y%m%d%H%M%S').replace(tzinfo=timezone.utc).timestamp()
        except ValueError:  # it only looks like a date
            return float(digits)
    return float(number[0])

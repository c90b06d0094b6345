"""Keypoints in single pictures: JSON in the manner of COCO, or the pickle of sequences that Refine made of it."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, NoReturn, Sequence, Tuple, Union

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.badja import Joints
from mmrefine.fileio.array_pickle import PickledArray, load_pickle
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.images import read_input
from mmrefine.fileio.records import parse_json

MOST_PICKLE_STEPS = 10**7
_REMEDY = 'download the annotations again, or name another file'


def read_keypoints(paths: Union[PathLike, Sequence[PathLike]]) -> Dict[str, Joints]:
    """The keypoints of pictures by the name that the files give them, such as ``'labeled-data/Sample1/0012.png'``.

    A ``.json`` has ``images`` (``id``, ``file_name``) and ``annotations`` (``image_id``, ``keypoints``: x, y, v of each
    keypoint, v above 0 where it is given), as the files of mmpose. A ``.pkl`` has lists of samples (``img_path``,
    ``keypoints``, ``keypoints_visible``) by video, as ``seq_annotation.pkl`` of Refine; it is read without running it.

    Args:
        paths: a file, several, or a folder whose ``.json`` are read. A picture in several of them, such as in several
            splits, counts as in the first.

    Returns:
        the same number of keypoints for each picture, px (x, y).

    Raises:
        InputError: no such file, or one of another structure; names what is missing, and where.
    """
    files = [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]
    if len(files) == 1 and files[0].is_dir():
        folder = files[0]
        files = sorted(folder.glob('*.json'))
        if not files:
            raise InputError(f'{folder}: holds no .json of keypoints; name the folder of the annotations, or a file')
    found: Dict[str, Joints] = {}
    for path in files:
        one = _read_pickle(path) if path.suffix == '.pkl' else _read_json(path)
        first = next(iter({**found, **one}.values()))
        for name, joints in one.items():
            if len(joints.visible) != len(first.visible):
                _refuse(path, f'{name} has {len(joints.visible)} keypoints where others have {len(first.visible)}')
        found = {**one, **found}
    return found


def _read_json(path: Path) -> Dict[str, Joints]:
    try:
        record = parse_json(read_input(path))
    except ValueError as error:
        raise InputError(f'{path}: is not valid JSON ({error}); {_REMEDY}') from error
    images, annotations = (_list_of(path, record, part) for part in ('images', 'annotations'))
    names: Dict[Any, str] = {}
    for i, image in enumerate(images):
        names[_part(path, image, f'images, entry {i}', 'id', (int, str))] = _part(
            path, image, f'images, entry {i}', 'file_name', (str, ))
    found: Dict[str, Joints] = {}
    for i, annotation in enumerate(annotations):
        where = f'annotations, entry {i}'
        number = _part(path, annotation, where, 'image_id', (int, str))
        if number not in names:
            _refuse(path, f'{where} is of image {number!r}, which is not among its {len(names)} images')
        if names[number] in found:
            _refuse(path, f'{where} is the second one of {names[number]}')
        values = _part(path, annotation, where, 'keypoints', (list, ))
        found[names[number]] = _joints(path, f'{where} ({names[number]})', values, len(values) // 3)
    if not found:
        _refuse(path, 'it has no annotations')
    return found


def _read_pickle(path: Path) -> Dict[str, Joints]:
    try:
        with open(path, 'rb') as stream:
            record = load_pickle(stream, MOST_PICKLE_STEPS)
    except OSError as error:
        raise InputError(f'{path}: cannot be opened ({error.strerror}); check the path') from error
    except ValueError as error:
        raise InputError(f'{path}: cannot be read as sequences of keypoints ({error}); {_REMEDY}') from error
    if not isinstance(record, dict) or not record:
        _refuse(path, 'it must be a dict of videos')
    found: Dict[str, Joints] = {}
    for video, samples in record.items():
        if not isinstance(samples, list):
            _refuse(path, f'video {video!r} is not a list of samples')
        for i, sample in enumerate(samples):
            where = f'video {video!r}, sample {i}'
            name = _part(path, sample, where, 'img_path', (str, ))
            points, visible = (_part(path, sample, where, part, (PickledArray, )).read()
                               for part in ('keypoints', 'keypoints_visible'))
            count = visible.size
            if points.size != 2 * count or points.shape[-1] != 2:
                _refuse(path, f'{where} has keypoints {points.shape} and keypoints_visible {visible.shape}, which must '
                              'be (1, N, 2) and (1, N)')
            values = np.concatenate([points.reshape(count, 2), visible.reshape(count, 1)], axis=1)
            found[name.lstrip('/')] = _joints(path, where, values, count)
    if not found:
        _refuse(path, 'it has no samples')
    return found


def _joints(path: Path, where: str, values: Any, count: int) -> Joints:
    """Keypoints of x, y and v each."""
    try:
        table = np.asarray(values, np.float64).reshape(count, 3)
    except (OverflowError, TypeError, ValueError):
        _refuse(path, f'the keypoints of {where} must be numbers, x, y and v of each')
    visible = table[:, 2] > 0
    if not count or not np.isfinite(table[visible]).all():
        _refuse(path, f'the keypoints of {where} are ' + ('not numbers where they are given' if count else 'missing'))
    return Joints(np.where(visible[:, None], table[:, :2], 0.), visible)


def _list_of(path: Path, record: Any, part: str) -> List[Any]:
    if not isinstance(record, dict) or not isinstance(record.get(part), list):
        found = 'it is not an object' if not isinstance(record, dict) else (
            f'its "{part}" is ' + ('not a list' if part in record else 'missing'))
        _refuse(path, found)
    return list(record[part])


def _part(path: Path, entry: Any, where: str, part: str, kinds: Tuple[type, ...]) -> Any:
    if not isinstance(entry, Mapping):
        _refuse(path, f'{where} is not an object')
    if part not in entry or not isinstance(entry[part], kinds):
        _refuse(path, f'"{part}" of {where} is {"invalid" if part in entry else "missing"}')
    return entry[part]


def _refuse(path: Path, fault: str) -> NoReturn:
    raise InputError(f'{path}: is invalid as keypoints of pictures: {fault}; {_REMEDY}')

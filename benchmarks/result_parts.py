"""The comparison of benchmarks/same_results.py: two folders of results, part by part, to the bit.

It reads the files as any other software would and imports nothing of the package, which may differ between the two.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np
import torch

# keys of report.json, at any depth, whose values may differ: how it was made, lists of files, sentences
NOT_COMPARED = {'settings', 'versions', 'timings', 'command', 'pictures', 'overlays', 'wheel', 'reason', 'sentence'}


class Part(NamedTuple):
    """What came of the comparison of one thing.

    Args:
        name: of the thing.
        size: what was compared, such as '30 labels'.
        differs: how it differs and what is missing; empty if it does not.
        added: what only the second folder has; empty if nothing.
    """
    name: str
    size: str
    differs: str = ''
    added: str = ''

    def line(self) -> str:
        """One line for the terminal."""
        found = [f'{what}: {text}' for what, text in (('differs', self.differs), ('added', self.added)) if text]
        return f'{self.name:32}{"; ".join(found) or f"equal ({self.size})"}'


def print_parts(parts: Sequence[Part], allow_new: bool = False) -> int:
    """Print a line for each part; 1 if any differs, else 0. With ``allow_new`` additions do not count."""
    for part in parts:
        print(part.line())
    failed = sum(bool(part.differs or (part.added and not allow_new)) for part in parts)
    print(f'{failed} of {len(parts)} parts differ' if failed else f'all {len(parts)} parts are equal')
    return 1 if failed else 0


def compare_results(base: Path, head: Path) -> List[Part]:
    """Every part of two folders of results: label stores wherever they are, and the student in ``student``."""
    stores = sorted({path.parent.relative_to(root) for root in (base, head) for path in root.rglob('fingerprint.json')})
    parts = []
    for store in stores:
        parts.append(compare_labels(f'{store} labels', base / store, head / store))
        parts.append(compare_values(f'{store} statistics', _statistics(base / store), _statistics(head / store)))
    for name in ('teacher.pth', 'refined.pth'):
        parts.append(compare_states(name, *(_state(root / 'student' / name) for root in (base, head))))
    reports = (_report(root / 'student' / 'report.json') for root in (base, head))
    return parts + [compare_values('report.json', *reports)]


def compare_labels(name: str, base: Path, head: Path) -> Part:
    """Two label stores: their keys, and flow and weight of each label as they are decoded."""
    wanted, found = _pairs(base), _pairs(head)
    common = [key for key in wanted if key in found]
    pixels = dict(flow=0, weight=0)
    largest: Dict[str, Dict[str, float]] = dict(flow={}, weight={})
    for key in common:
        for what, one, other in zip(pixels, read_label(base, key), read_label(head, key)):
            off = np.abs(one - other).max(axis=-1) if one.shape == other.shape else np.full(other.shape[:2], np.inf)
            if off.any():
                pixels[what] += int(np.count_nonzero(off))
                largest[what][key] = float(off.max())
    changed = [f'{what} of {pixels[what]} pixels in {len(off)} labels, {_most(off)}{" px" if what == "flow" else ""}'
               for what, off in largest.items() if off]
    return _part(name, f'{len(common)} labels', wanted, found, changed)


def compare_values(name: str, base: Any, head: Any) -> Part:
    """Two objects of JSON, each figure to the last digit."""
    wanted, found = dict(_leaves(base)), dict(_leaves(head))
    off = {key: _distance(value, found[key]) for key, value in wanted.items()
           if key in found and json.dumps(value) != json.dumps(found[key])}
    worst = max(off, key=lambda key: off[key], default='')
    changed = [f'{len(off)} values, most in {worst}: {wanted[worst]!r} became {found[worst]!r}'] if off else []
    return _part(name, f'{len(wanted)} values', wanted, found, changed)


def compare_states(name: str, base: Dict[str, torch.Tensor], head: Dict[str, torch.Tensor]) -> Part:
    """Two state dicts, each tensor to the bit."""
    off = {}
    for key in (key for key in base if key in head):
        one, other = base[key], head[key]
        if one.dtype != other.dtype or one.shape != other.shape:
            off[key] = float('inf')
        elif one.numpy().tobytes() != other.numpy().tobytes():
            off[key] = float((one.double() - other.double()).abs().max())
    return _part(name, f'{len(base)} tensors', base, head, [f'{len(off)} tensors, {_most(off)}'] if off else [])


def read_label(store: Path, key: str) -> Tuple[np.ndarray, np.ndarray]:
    """Flow ``(H, W, 2)`` px, 0 where it is not valid, and weight ``(H, W, 1)`` in [0, 1], both float32."""
    packed = _image(store / f'{key}.png')
    valid = packed[..., :1] > 0  # OpenCV reads BGR
    weight = valid.astype(np.float32)
    if (store / f'{key}.weight.png').exists():
        weight *= _image(store / f'{key}.weight.png')[..., None] / np.float32(255)
    return (packed[..., 2:0:-1].astype(np.float32) - 2**15) / 64 * valid, weight


def _image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f'{path}: is missing or not an image')
    return image


def _json(path: Path) -> Any:
    """The contents of a file; an empty object if there is none."""
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}


def _pairs(store: Path) -> Dict[str, Any]:
    """The statistics of each label of a complete store by its key; empty if it is not complete."""
    return _json(store / 'manifest.json').get('pairs', {})


def _statistics(store: Path) -> Dict[str, Any]:
    """What a store says of its labels, and what they were made from but for the version."""
    fingerprint = _json(store / 'fingerprint.json')
    calibration = _json(store.with_name(f'{store.name}_calibration.json'))
    fingerprint.pop('version', None)
    calibration.pop('fingerprint', None)
    quality = _json(store / 'quality.json').get('labels')
    return dict(fingerprint=fingerprint, calibration=calibration, quality=quality, pairs=_pairs(store))


def _state(path: Path) -> Dict[str, torch.Tensor]:
    return torch.load(path, map_location='cpu', weights_only=True)['state_dict'] if path.exists() else {}


def _report(path: Path) -> Any:
    """A report without what may differ."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: '(not compared)' if key in NOT_COMPARED else cleaned(one) for key, one in value.items()}
        return [cleaned(one) for one in value] if isinstance(value, list) else value

    return cleaned(_json(path))


def _leaves(value: Any, path: str = '') -> Iterator[Tuple[str, Any]]:
    """Dotted key and value of all that holds no other values; of a list also its length: a longer one differs."""
    if isinstance(value, list):
        yield f'{path}.length', len(value)
    if isinstance(value, (dict, list)) and value:
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(one, f'{path}.{key}' if path else str(key))
    elif not isinstance(value, list):
        yield path, value


def _distance(one: Any, other: Any) -> float:
    """The difference relative to the larger value; infinite unless both are numbers."""
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in (one, other)):
        return float('inf')
    return abs(one - other) / max(abs(one), abs(other), 1e-12)


def _most(off: Dict[str, float]) -> str:
    worst = max(off, key=lambda key: off[key])
    return f'most in {worst}: {off[worst]:.6g}'


def _part(name: str, size: str, wanted: Dict[str, Any], found: Dict[str, Any], changed: List[str]) -> Part:
    missing = _listed([key for key in wanted if key not in found])
    added = _listed([key for key in found if key not in wanted])
    return Part(name, size, '; '.join(([f'missing {missing}'] if missing else []) + changed), added)


def _listed(keys: List[str]) -> str:
    """The number of keys and the first of them; empty if there is none."""
    return f'{len(keys)} ({", ".join(keys[:3])}{", …" if len(keys) > 3 else ""})' if keys else ''

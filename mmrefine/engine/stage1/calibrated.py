"""Calibrated thresholds for a data set: which frames, and the result kept beside the labels."""
from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process

from mmrefine.engine.runtime.processes import together
from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.fileio.atomic import write_errors, write_json
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.records import parse_json
from mmrefine.labeling import Calibration, calibrate, check_promise, tunable_filters
from mmrefine.models import FrozenTeacher
from mmrefine.structures import as_frames
from mmrefine.values import as_count

# what a config may say; the rest of calibrate() is the engine's business
DEFAULTS: Dict[str, Any] = {
    name: inspect.signature(calibrate).parameters[name].default
    for name in ('precision', 'within', 'relative', 'warps', 'pace', 'seed')
}
DEFAULTS['frames'] = 16


def check_calibration(settings: Mapping[str, Any], name: str = 'calibrate') -> None:
    """Refuse what :func:`calibrate_labeler` could not do.

    Args:
        settings: ``precision``, ``within``, ``relative``, ``warps``, ``pace`` and ``seed`` as
            :func:`~mmrefine.labeling.calibration.search` takes them, and ``frames``, the number of pairs to take; all
            may be left out.
        name: of the dict in the config, for the message.

    Raises:
        ConfigError: a key that does not exist, or a value that is invalid.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise ConfigError(f'{name} has no key {", ".join(map(repr, unknown))}; it has {", ".join(DEFAULTS)}')
    whole = {**DEFAULTS, **settings}
    check_promise(whole['precision'], whole['within'], whole['relative'], whole['warps'], whole['pace'], name)
    as_count(f'{name}.frames', whole['frames'], 2)
    as_count(f'{name}.seed', whole['seed'], 0)


def calibrate_labeler(teacher: FrozenTeacher,
                      labeler: Mapping[str, Any],
                      dataset: Any,
                      settings: Mapping[str, Any],
                      path: Path,
                      fingerprint: Mapping[str, str],
                      device: str = 'cpu',
                      log: Callable[[str], None] = print) -> Calibration:
    """Thresholds for the labels of ``dataset``, found on pairs that are spread evenly over it.

    See :func:`~mmrefine.labeling.calibration.search`. One process computes, and all get the same. The result is written
    to ``path`` with what decided over it; what lies there already is taken if the same teacher, labeler, frames and
    settings made it, so that a run that was killed goes on with the same thresholds, to the last bit.

    Args:
        teacher: frozen.
        labeler: config of the labeler.
        dataset: frame pairs without a pipeline.
        settings: see :func:`check_calibration`.
        path: of the JSON file.
        fingerprint: of the labels that ``labeler`` would make, of :func:`~mmrefine.engine.label_fingerprint`.
        device: where the teacher lives.
        log: called with lines of text.

    Raises:
        ConfigError: settings that are invalid, or no filter can be tuned.
        InputError: too few or too small frames.
        LabelStoreError: the file cannot be written.
        TeacherError: the motion cannot be used.
        NoLabelsError: no thresholds keep anything worth counting.
    """
    check_calibration(settings)
    tunable_filters(labeler)
    whole = {**DEFAULTS, **settings}

    def compute() -> Dict[str, Any]:
        made_for = dict(fingerprint, settings=digest_of(whole))
        known = _read(path, made_for)
        if known is not None:
            log(f'Calibration: the thresholds of {path}: {_short(known)}')
            return known.to_dict()
        pairs = _Pairs(dataset, whole['frames'])
        log(f'Calibration: known warps of {len(pairs)} frames')
        asked = {key: value for key, value in whole.items() if key != 'frames'}
        found = calibrate(teacher, labeler, pairs, **asked, device=device)
        with write_errors(path, LabelStoreError):
            write_json(path, dict(found.to_dict(), fingerprint=made_for))
        log('Calibration:\n' + '\n'.join(found.lines()))
        log(f'Calibration: {_short(found)}')
        return found.to_dict()

    computed: List[Optional[Dict[str, Any]]] = [together(lambda: compute() if is_main_process() else None)]
    broadcast_object_list(computed)
    assert computed[0] is not None  # rank 0 has it, or all have raised
    return Calibration.from_dict(computed[0])


def _short(found: Calibration) -> str:
    return ', '.join(f'{key}={value:g}' for key, value in found.thresholds.items())


def _read(path: Path, fingerprint: Mapping[str, str]) -> Optional[Calibration]:
    """What lies at ``path`` if it was made for the same, else None: it is made again then."""
    try:
        record = parse_json(path.read_bytes())
        return Calibration.from_dict(record) if record.get('fingerprint') == fingerprint else None
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return None


class _Pairs(Sequence[Any]):
    """Pairs ``(3, H, W)`` RGB in [0, 1] on the CPU, spread evenly over a data set, read when asked for."""

    def __init__(self, dataset: Any, count: int) -> None:
        units = list(dataset.units)
        there = len(units)
        self.dataset, self.units = dataset, units
        self.chosen = sorted({int(i) for i in np.linspace(0, there - 1, min(count, there))})

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, number: Any) -> Any:
        unit = self.units[self.chosen[number]]
        return tuple(as_frames([self.dataset.frame(unit.scene, frame)])[0] for frame in unit.frames)

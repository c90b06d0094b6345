"""The checkpoint that a run goes on from: the newest one that is whole."""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional

from mmrefine.compat.checkpoints import load_checkpoint_file, state_dict_of
from mmrefine.engine.runtime.state_fault import state_fault
from mmrefine.errors import CheckpointError
from mmrefine.fileio.atomic import write_bytes, write_errors

LAST_CHECKPOINT = 'last_checkpoint'  # the file in the work dir where MMEngine looks what to resume from
_NAME = re.compile(r'(?:iter|epoch)_(\d{1,18})\.pth')
_PARTS: Mapping[str, Mapping[str, type]] = {
    'meta': dict(epoch=int, iter=int),
    'message_hub': dict(log_scalars=dict, runtime_info=dict, resumed_keys=dict),
}


def resume_fault(checkpoint: Mapping[str, Any], wanted: Optional[Mapping[str, Any]] = None) -> Optional[str]:
    """Why a run cannot go on from the contents of a checkpoint file; None if nothing shows.

    Args:
        checkpoint: of :func:`~mmrefine.compat.checkpoints.load_checkpoint_file`.
        wanted: examples of further parts, by name: see :func:`~mmrefine.engine.runtime.state_fault.state_fault`.
    """
    for name, inner in _PARTS.items():
        found = checkpoint.get(name)
        if not isinstance(found, dict):
            return f'it has no {name!r}, so it is not a checkpoint of a training' if found is None else (
                f'its {name!r} is not a dict')
        for key, kind in inner.items():
            if not isinstance(found.get(key), kind) or (kind is int and not 0 <= found[key] < 2**62):
                return f'its {name!r} has no valid {key!r}'
    if 'config' in checkpoint['meta']:  # MMEngine would run it as Python
        return "its 'meta' holds a 'config', which MMEngine does not write and would run as code"
    for name, example in (wanted or {}).items():
        fault = state_fault(checkpoint[name], example, name) if name in checkpoint else f'it has no {name!r}'
        if fault:
            return fault
    try:
        state_dict_of(dict(checkpoint), 'it')
    except CheckpointError as error:
        return str(error)
    return None


def find_resume_point(work_dir: Path, wanted: Optional[Mapping[str, Any]] = None,
                      log: Callable[[str], None] = print) -> Optional[Path]:
    """The newest checkpoint in a work dir that a run can go on from, which ``last_checkpoint`` names afterwards; None
    if no training has saved one.

    Args:
        work_dir: of the run.
        wanted: see :func:`resume_fault`.
        log: called with a line where the last one is damaged.

    Raises:
        CheckpointError: there are checkpoints, but none of them is whole.
    """
    note = work_dir / LAST_CHECKPOINT
    if not note.is_file():
        return None
    faults: List[str] = []
    for path in _candidates(work_dir, named_checkpoint(note)):
        try:
            fault = resume_fault(load_checkpoint_file(path), wanted)
            if fault is None:
                if faults:
                    log(f'{faults[0]}; going on from {path.name} instead')
                if faults or named_checkpoint(note) is None:
                    with write_errors(note, CheckpointError):
                        write_bytes(note, os.fsencode(path))
                return path
            faults.append(f'{path}: the run cannot go on from it, {fault}')
        except CheckpointError as error:
            faults.append(str(error))
    found = faults[0] if faults else f'{note}: the checkpoint that it names is gone, and there is no other'
    raise CheckpointError(f'{found}; bring a checkpoint back from a copy, or delete {note} to train again from the '
                          'beginning: the labels are kept')


def named_checkpoint(note: Path) -> Optional[Path]:
    """The checkpoint that ``last_checkpoint`` names: the file in the same folder, which may have been moved or copied
    since then, else the one at the path; None if it names none that exists.
    """
    try:
        named = Path(os.fsdecode(note.read_bytes().strip()))
        return next((path for path in (note.with_name(named.name), named) if path != note and path.is_file()), None)
    except (OSError, ValueError):
        return None


def _candidates(work_dir: Path, named: Optional[Path]) -> List[Path]:
    """The checkpoint that is named, then the others from the newest to the oldest."""
    numbers = {path: _NAME.fullmatch(path.name) for path in work_dir.glob('*.pth') if path != named}
    others = sorted(((int(number[1]), path) for path, number in numbers.items() if number), reverse=True)
    return [*([] if named is None else [named]), *(path for _, path in others)]

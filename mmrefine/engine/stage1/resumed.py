"""Are the labels that a resumed run finds those that it learned from?"""
from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, Optional

from mmrefine.engine.runtime.resume_point import LAST_CHECKPOINT
from mmrefine.engine.stage1.run import digest_of_units
from mmrefine.errors import CheckpointError, LabelStoreError, StaleLabelsError
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.models.teachers.group import BETWEEN, networks_of
from mmrefine.registry import DATASETS
from mmrefine.structures import TeacherSource, members_of, name_units


def check_same_labels(root: Path, work_dir: Path, learned_from: Optional[str], dataset: Dict[str, Any],
                      teachers: TeacherSource) -> None:
    """Refuse labels of another teacher, and those of other pairs: the guard would judge by what was learned.

    Args:
        root: folder of the labels.
        work_dir: of the run.
        learned_from: the digest of the teacher whose labels the run learned from, if it is known.
        dataset: config of what is labelled.
        teachers: of the run as it is resumed.

    Raises:
        LabelStoreError: the labels are gone or damaged.
        StaleLabelsError: they are others, or the run is resumed with another network as its teacher.
    """
    note = work_dir / LAST_CHECKPOINT
    remedy = (f'bring its files back from a copy, or delete {root} and {note}: the same command then makes the '
              'labels again and trains from the beginning')
    try:
        store = LabelStore.open(root)
    except LabelStoreError as error:
        raise LabelStoreError(f'{str(error).rpartition("; ")[0]}, and the run that is resumed needs these labels; '
                              f'{remedy}') from error
    found = store.fingerprint.get('teacher')
    if learned_from is not None and found != learned_from:
        raise StaleLabelsError(f'{root}: the labels were made by teacher {found}, but the run that is resumed '
                               f'learned from labels of teacher {learned_from}; {remedy}')
    if learned_from is not None:
        _check_same_teachers(root, learned_from, teachers)
    source = DATASETS.build(dict(dataset, pipeline=[]))
    if store.fingerprint.get('pairs') not in (None, digest_of_units(source.units)):
        raise StaleLabelsError(f'{root}: the run that is resumed learned from other {name_units(source.units)} than '
                               'those that are to be learned from now (scenes, held_out, least_held, step, or the '
                               f'version of mmrefine differ); set these as they were, or delete {root} and {note}: '
                               'the same command then makes the labels again and trains from the beginning')


def _check_same_teachers(root: Path, learned_from: str, teachers: Any) -> None:
    """Refuse other networks, and others beside the student, than those whose labels were learned from."""
    members = members_of(teachers)
    known = learned_from.split(BETWEEN) if len(members) > 1 else [learned_from]
    other = '' if len(known) == len(members) else f'a list of {len(members)}'
    for one in networks_of(teachers):
        with contextlib.suppress(CheckpointError):  # its file may be gone by now: the labels are there
            if one.network().digest() not in known:
                other = f'{getattr(one, "name", type(one).__name__)}, teacher {one.network().digest()}'
    if other:
        raise StaleLabelsError(f'{root}: the run that is resumed learned from labels of teacher {learned_from}, and '
                               f'PseudoLabelHook.teacher is {other}; resume with the teacher that the run began with, '
                               'or start again in a new work dir')

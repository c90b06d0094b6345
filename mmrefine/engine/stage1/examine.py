"""Ask the teacher that made the labels of tracks again, to show also what did not become a label."""
from __future__ import annotations

from typing import Any, Callable, Optional

from torch import Tensor, nn

from mmrefine.errors import MMRefineError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.registry import LABELERS
from mmrefine.structures import LabelUnit, TeacherSource


def label_examiner(store: LabelStore, labeler: Any, teachers: TeacherSource,
                   original: nn.Module) -> Optional[Callable[[LabelUnit, Tensor], Any]]:
    """A function of a unit and its frames ``(T, 3, H, W)`` in [0, 1] that gives what the labeler says of its tracks.

    Args:
        store: of the labels.
        labeler: config of the labeler of the run.
        teachers: of the run.
        original: the network that the run began with.

    Returns:
        None where the labels are not known to be of this teacher and this labeler (such as those of a later round),
        where the labeler does not say it, or where it was shown frames between those of a clip; see
        :meth:`~mmrefine.labeling.TrackLabeler.examine`.
    """
    try:
        part = LABELERS.build(labeler)
        if not hasattr(part, 'examine') or getattr(part.view, 'needs_between', False):
            return None
        teacher: Any = teachers.frozen(original)
        made_by = dict(teacher=teacher.digest(), labeler=digest_of(part.describe()))
    except MMRefineError:  # the network, the points or the files that taught are gone
        return None
    if any(store.fingerprint.get(name) != digest for name, digest in made_by.items()):
        return None
    return lambda unit, frames: part.examine(teacher, unit, frames)

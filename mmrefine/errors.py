"""The errors that a caller may want to handle.

::

    MMRefineError
    |-- ConfigError        a config says something invalid
    |-- InputError         a frame, video or folder that cannot be used
    |-- CheckpointError    a checkpoint that is missing, broken or of another model
    |-- LabelStoreError    a label store that cannot be read or written
    |   `-- StaleLabelsError   ... because other settings made it
    |-- TeacherError       the teacher's output cannot be trusted (nan, wrong size)
    `-- NoLabelsError      nothing survived the checks, so there is nothing to learn from

Every message is one or two sentences: where, what was found, what was expected, what to do.
"""
from __future__ import annotations


class MMRefineError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigError(MMRefineError, ValueError):
    """A config key that does not exist, or an invalid value."""


class InputError(MMRefineError):
    """A frame, video, ground-truth file or folder that cannot be used."""


class CheckpointError(MMRefineError):
    """A checkpoint that is missing, broken, unsafe or of another model."""


class LabelStoreError(MMRefineError):
    """A label store that cannot be read or written."""


class StaleLabelsError(LabelStoreError):
    """Labels on disk were made by another teacher, labeler or frame list."""


class TeacherError(MMRefineError):
    """The teacher's output cannot be trusted."""


class NoLabelsError(MMRefineError):
    """No label survived the checks, so there is nothing to learn from."""

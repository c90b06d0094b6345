"""What sources of teachers share that have nothing to remember."""
from __future__ import annotations

from typing import Any, Dict, Mapping

from torch import nn


class StatelessSource:
    """A ``TeacherSource`` without ``frozen``: it follows no training, and checkpoints keep nothing of it."""

    def start(self, student: nn.Module) -> None:
        """Training begins with this student."""

    def update(self, student: nn.Module, step: int) -> None:
        """Optimiser step ``step`` (from 1) has changed the student."""

    def state_dict(self) -> Dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""

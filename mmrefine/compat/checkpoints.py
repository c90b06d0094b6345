from __future__ import annotations


def allow_checkpoint_classes() -> None:
    pass

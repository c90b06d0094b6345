"""The libraries under test are imported here once, where what they warn about at import is not held against a test."""
from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Callable

import pytest

import mmrefine  # noqa: F401

with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    import mmengine.runner  # noqa: F401
    import mmflow.models  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture()
def fresh_python() -> Callable[..., 'subprocess.CompletedProcess[str]']:
    """Run a few lines (or a script with arguments) in a new interpreter that sees this repository first."""

    def run(*arguments: str, path: str = '') -> 'subprocess.CompletedProcess[str]':
        search = os.pathsep.join(part for part in (path, str(ROOT)) if part)
        environment = {**os.environ, 'PYTHONPATH': search, 'OMP_NUM_THREADS': '1'}
        return subprocess.run([sys.executable, *arguments], env=environment, text=True,
                              capture_output=True, timeout=120, check=False)

    return run

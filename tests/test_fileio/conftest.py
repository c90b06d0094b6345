"""Videos that the tests of this folder share."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers, whatever import mode pytest runs in

from helpers_fileio import write_video  # noqa: E402


@pytest.fixture(scope='session', params=['.mp4', '.avi'])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 40 frames in each of two containers."""
    return write_video(tmp_path_factory.mktemp('clip') / f'clip{request.param}')

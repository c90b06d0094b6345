"""Videos that the tests of this folder share."""
from __future__ import annotations

from pathlib import Path

import pytest
from helpers_fileio import write_video


@pytest.fixture(scope='session', params=['.mp4', '.avi'])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 40 frames in each of two containers."""
    return write_video(tmp_path_factory.mktemp('clip') / f'clip{request.param}')

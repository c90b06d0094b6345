"""Little frame folders whose pixels say where they come from."""
import warnings
from pathlib import Path

import numpy as np
import pytest

from mmrefine.fileio import write_image

with warnings.catch_warnings():
    # what libraries say at their import on a newer torch is not held against a test
    warnings.simplefilter('ignore')
    import mmengine.runner  # noqa: F401

SIZE = (6, 8)


def noisy_frame(scene: int, number: int, size=SIZE) -> np.ndarray:
    """A noisy frame whose first pixel is (scene, number, 7)."""
    pixels = np.random.default_rng((scene, number)).integers(0, 256, size=(*size, 3), dtype=np.uint8)
    pixels[0, 0] = scene, number, 7
    return pixels


@pytest.fixture(scope='session')
def frame():
    """The function that draws the frames of ``clips``: of a scene's and a frame's number."""
    return noisy_frame


@pytest.fixture
def clips(tmp_path) -> Path:
    """Scenes 'bee' (3 frames), 'ant' (2) and 'cow' (4): ``<root>/<scene>/f1.png``, ..."""
    root = tmp_path / 'clips'
    for scene, (name, count) in enumerate([('bee', 3), ('ant', 2), ('cow', 4)]):
        for number in range(count):
            write_image(root / name / f'f{number + 1}.png', noisy_frame(scene, number))
    return root

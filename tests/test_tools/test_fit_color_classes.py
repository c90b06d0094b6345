"""The command that fits classes of colours to one's own videos."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from small_trees import status_of

from mmrefine.apis.fit_color_classes import fit_color_classes
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_image
from mmrefine.models import ColorClasses

COLOURS = np.array([[200, 40, 40], [40, 160, 60], [50, 60, 190]], np.uint8)  # of a half, a third, a sixth


@pytest.fixture
def videos(tmp_path):
    """Two scenes of three colours with a little noise."""
    rng = np.random.default_rng(0)
    for scene in ('one', 'two'):
        (tmp_path / 'videos' / scene).mkdir(parents=True)
        for number in range(4):
            frame = COLOURS[rng.choice(3, (30, 40), p=(1 / 2, 1 / 3, 1 / 6))].astype(int)
            frame = np.clip(frame + rng.integers(-3, 4, frame.shape), 0, 255).astype(np.uint8)
            write_image(tmp_path / 'videos' / scene / f'{number:05d}.png', frame)
    return tmp_path / 'videos'


def test_the_classes_are_the_colours_of_the_videos_and_the_same_twice(videos, tmp_path, capsys):
    argv = [videos, '--out', tmp_path / 'a.json', '--classes', '3', '--pixels', '300']
    assert status_of('fit_color_classes', *argv) == 0
    assert 'a.json: 3 classes' in capsys.readouterr().out
    record = json.loads((tmp_path / 'a.json').read_text())
    wanted = cv2.cvtColor(np.float32(COLOURS[None]) / 255, cv2.COLOR_RGB2Lab)[0, :, 1:]
    np.testing.assert_allclose(record['centroids'], wanted, atol=1.)
    assert (record['seed'], record['frames'], record['pixels']) == (0, 200, 300)
    assert len(ColorClasses(tmp_path / 'a.json')) == 3
    fit_color_classes(videos, tmp_path / 'b.json', 3, pixels=300)
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()
    fit_color_classes(videos, tmp_path / 'c.json', 3, pixels=300, seed=1)
    assert (tmp_path / 'a.json').read_bytes() != (tmp_path / 'c.json').read_bytes()


def test_what_cannot_be_fitted_is_refused(videos, tmp_path):
    write_image(tmp_path / 'grey/0.png', np.full((20, 20, 3), 90, np.uint8))
    write_image(tmp_path / 'grey/1.png', np.full((20, 20, 3), 90, np.uint8))
    with pytest.raises(InputError, match='grey: its sampled pixels have 1 different colours .* for 16 classes'):
        fit_color_classes(tmp_path / 'grey', tmp_path / 'a.json')
    with pytest.raises(ConfigError, match=r'classes must lie in \[2, 1024\], got 5000'):
        fit_color_classes(videos, tmp_path / 'a.json', classes=5000)
    with pytest.raises(InputError, match='nowhere'):
        fit_color_classes(tmp_path / 'nowhere', tmp_path / 'a.json')
    assert not (tmp_path / 'a.json').exists()
    assert status_of('fit_color_classes', tmp_path / 'nowhere', '--out', tmp_path / 'a.json') != 0

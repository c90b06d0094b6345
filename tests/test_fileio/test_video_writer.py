"""A video that we write can be read, and is whole or not there."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrefine.fileio import check_frames, open_frames
from mmrefine.fileio.video.writer import write_video


def grey(level: int, size: tuple = (41, 65)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def test_what_is_written_is_read_back_in_its_order_and_rate(tmp_path: Path) -> None:
    with write_video(tmp_path / 'new' / 'a.mp4', 12.5) as add:
        for level in (20, 120, 220):
            add(grey(level))
    source = open_frames(tmp_path / 'new' / 'a.mp4')
    assert len(source) == 3 and source.size == (40, 64)  # cut to even sides
    assert [round(float(source[i].mean()), -1) for i in range(3)] == [20, 120, 220]
    assert check_frames(source.path).rate == pytest.approx(12.5)
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    with write_video(tmp_path / 'red.mp4', 1) as add:
        add(red)
        add(red)
    assert np.abs(open_frames(tmp_path / 'red.mp4')[0].mean((0, 1)) - [200, 0, 0]).max() < 8  # RGB, not BGR


def test_a_failure_leaves_what_was_there_and_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    path.write_text('old')
    with pytest.raises(KeyboardInterrupt), write_video(path, 10) as add:
        add(grey(1))
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match='at least one frame'), write_video(path, 10):
        pass
    with pytest.raises(ValueError, match=r'one size, \(40, 64\), got \(20, 64\)'), write_video(path, 10) as add:
        add(grey(1))
        add(grey(1, (20, 65)))
    assert [entry.name for entry in tmp_path.iterdir()] == ['a.mp4'] and path.read_text() == 'old'


def test_what_a_killed_writer_left_is_removed_by_the_next_one_of_that_name(tmp_path: Path) -> None:
    for name in ('.mmrefine-0123456789abcdef.a.mp4', '.mmrefine-0123456789abcdef.b.mp4'):
        (tmp_path / name).write_text('half')
    with write_video(tmp_path / 'a.mp4', 10) as add:
        add(grey(1))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['.mmrefine-0123456789abcdef.b.mp4', 'a.mp4']

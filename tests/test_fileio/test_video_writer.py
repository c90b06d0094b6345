"""A video that we write can be read, and is whole or not there."""
from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mmrefine.errors import MMRefineError
from mmrefine.fileio import check_frames, open_frames
from mmrefine.fileio.video import writer
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


@pytest.mark.parametrize('encoder, codec', [('libx264', 'h264'), ('libvpx-vp9', 'vp9')])
def test_browsers_play_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, codec: str) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f'this FFmpeg has no {encoder}')
    monkeypatch.setattr(writer, '_ENCODERS', [('none', {}), *(one for one in writer._ENCODERS if one[0] == encoder)])
    with write_video(tmp_path / 'a.mp4', 30) as add:
        for level in range(5):
            add(grey(40 * level))
    data = (tmp_path / 'a.mp4').read_bytes()
    assert data.index(b'moov') < data.index(b'mdat')  # playable before it is loaded whole
    with av.open(str(tmp_path / 'a.mp4')) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.colorspace, context.color_range) == (codec, 'yuv420p', 1, 1)


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(MMRefineError, match=r'a\.mp4: cannot be written'), write_video(tmp_path / 'file' / 'a.mp4', 10):
        pass
    monkeypatch.setattr(writer, '_ENCODERS', [('none', {})])
    with pytest.raises(MMRefineError, match='neither H.264 nor VP9'), write_video(tmp_path / 'a.mp4', 10) as add:
        add(grey(1))
    assert [entry.name for entry in tmp_path.iterdir()] == ['file']

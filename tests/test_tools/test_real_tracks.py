"""The benchmark of tracks on real video: a square that moves by a known motion, and scores that can be counted."""
import importlib.util
import sys

import numpy as np
import pytest
from small_trees import ROOT

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_image, write_json

SIZE, FRAMES = (64, 96), 5
STEP = np.array([4., 2.])  # px (x, y) a frame
POINTS = np.array([[20., 20.], [35., 20.], [20., 35.]])
CLICKED = (1, 3, 4)


@pytest.fixture(scope='module')
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the file beside it
        spec = importlib.util.spec_from_file_location('real_tracks', ROOT / 'benchmarks' / 'real_tracks.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path):
    """Two points in the last frame, and joints of which the second is hidden in frame 3."""
    pixels = np.random.default_rng(5).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    entries = []
    for t in range(FRAMES):
        write_image(tmp_path / f'davis/JPEGImages/480p/box/{t:05d}.jpg', np.roll(pixels, (2 * t, 4 * t), axis=(0, 1)))
        mask = np.zeros(SIZE, np.uint8)
        mask[:25, :25] = 255  # 0.2 times its root is 5 px
        write_image(tmp_path / f'davis/Annotations/480p/box/{t:05d}.png', mask)
        if t in CLICKED:
            joints = (POINTS + t * STEP)[:, ::-1] * [1080 / SIZE[0], 1920 / SIZE[1]]
            entries.append(dict(image_path=f'box/{t:05d}.jpg', joints=joints.tolist(), visibility=[1, t != 3, 1]))
    write_json(tmp_path / 'badja/box.json', entries)
    rows = [f'box,{FRAMES},{x},{y},{x + 16},{y + 8}' for x, y in POINTS[:2]]
    (tmp_path / 'tracks').mkdir()
    (tmp_path / 'tracks/davis_end_points.csv').write_text(
        'sequence,frames,first_x,first_y,last_x,last_y\n' + '\n'.join(rows) + '\n')
    return tmp_path


def clip_of(kind, data):
    return list(sys.modules['real_clips'].read_clips(kind, data))[0]


def moved(clip, off=(0., 0.)):
    """The true motion of all points, and an error that grows by so much a frame."""
    return clip.truth[:, :1] + np.arange(clip.count)[:, None] * (STEP + np.array(off))


def test_true_tracks_have_full_scores_in_any_size(bench, data):
    clips = sys.modules['real_clips']
    for kind, names in (('davis', 3), ('badja', 4)):
        clip = clip_of(kind, data)
        shown = (2 * SIZE[0], 3 * SIZE[1])
        found = clips.score_points(clips.moved_along(moved(clip), SIZE, shown), clip, shown)
        assert len(found) == names and all(len(values) == len(clip.truth) for values in found.values())
        assert found['ATE'] == pytest.approx([0] * len(clip.truth), abs=1e-6)
        assert all(values == [100] * len(clip.truth) for name, values in found.items() if name != 'ATE')


def test_scores_are_those_that_are_counted_by_hand(bench, data):
    clips = sys.modules['real_clips']
    ends = clip_of('davis', data)
    # 4 px of 64 in y at the end: 16 px of the raster, which is not below 16
    found = clips.score_points(moved(ends, (0., 1.)), ends, SIZE)
    assert found['ATE'] == pytest.approx([4, 4]) and found['delta'] == [0, 0] and found['survival'] == [100, 100]
    # 0.9 * 4 * 4 = 14.4 px of the raster: only within 16
    assert clips.score_points(moved(ends, (0., 0.9)), ends, SIZE)['delta'] == [20, 20]
    joints = clip_of('badja', data)
    assert joints.count == 4 and np.isnan(joints.truth[:, 1]).all() and joints.objects[[0, 2, 3]].tolist() == [25] * 3
    # off by 4 px in frame 3 and by 6 px in frame 4; 5 px are allowed; the second joint is hidden in frame 3
    found = clips.score_points(moved(joints, (0., 2.)), joints, SIZE)
    assert found['PCK'] == pytest.approx([50, 0, 50]) and found['ATE'] == pytest.approx([5, 6, 5])
    # 16 px of the raster are not above 16, 24 px are: lost in the last of the frames 3 and 4
    assert found['survival'] == pytest.approx([50, 0, 50])


def test_the_interval_of_paired_differences_is_that_of_their_mean(bench):
    low, high = bench.paired_interval([1.] * 20)
    assert (low, high) == (1, 1)
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = bench.paired_interval(values, 4000)
    spread = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - spread, abs=0.03) and high == pytest.approx(
        values.mean() + spread, abs=0.03)


def test_the_table_pairs_points_and_says_which_is_better(bench, capsys):
    before = dict(a=dict(delta=[10., 20.], ATE=[4., 4.]), b=dict(delta=[60.], ATE=[1.]))
    after = dict(a=dict(delta=[13., 23.], ATE=[5., 5.]), b=dict(delta=[63.], ATE=[2.]))
    bench.print_tables([bench.Row('raft', 'davis', video, SIZE, rows is after, rows[video])
                        for video in 'ab' for rows in (before, after)])
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert lines == ['| raft | davis | 64x96 | delta | 3 | 30.00 | 33.00 | +3.00 [+3.00, +3.00] | better |',
                     '| raft | davis | 64x96 | ATE | 3 | 3.00 | 4.00 | +1.00 [+1.00, +1.00] | worse |']
    bench.print_tables([bench.Row('raft', kind, 'a', SIZE, False, scores)
                        for kind, scores in (('davis', before['b']), ('badja', dict(before['a'], PCK=[50., 90.])))])
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines == ['| raft | all | 64x96 | delta | 3 | 30.00 | | | |',
                     '| raft | all | 64x96 | ATE | 3 | 3.00 | | | |',
                     '| raft | all | 64x96 | PCK | 2 | 70.00 | | | |']


def test_rows_are_made_once_and_what_is_missing_is_named(bench, data, weights, monkeypatch, capsys):
    argv = ['--data', str(data), '--videos', 'davis', 'badja', '--trackers', 'raft', '--checkpoint',
            f'raft={weights["small"]}', '--sizes', '64x96', '--before', '--iters', '1', '--work-dir',
            str(data / 'work')]
    assert bench.main(argv) == 0
    made = sorted((data / 'work').rglob('scores_*.json'))
    assert len(made) == 2 and '| raft | badja | 64x96 | PCK | 3 |' in capsys.readouterr().out
    monkeypatch.setattr(bench, '_tracked', lambda *args: pytest.fail('a row is made again'))
    assert bench.main(argv) == 0 and sorted((data / 'work').rglob('scores_*.json')) == made
    with pytest.raises(InputError, match='needs one student_'):
        bench.main([*argv[:-5], '--students', str(data), *argv[-4:]])
    (data / 'tracks/davis_end_points.csv').write_text('sequence,x\nbox,1\n')
    with pytest.raises(InputError, match='first_x'):
        bench.main(argv)


def test_a_student_of_another_size_is_refused(bench, tmp_path):
    write_image(tmp_path / 'box/student_1/frames/box/00000.png', np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / 'box/student_1/refined.pth').write_bytes(b'')
    assert bench._student(tmp_path, 'box', SIZE).name == 'refined.pth'
    with pytest.raises(ConfigError, match='refined on frames of 64x96 px and is asked for 32x48'):
        bench._student(tmp_path, 'box', (32, 48))


def test_the_second_row_is_what_the_guard_hands_back(bench, data, weights, monkeypatch):
    asked = []

    def refine(video, cfg, work_dir, **more):
        asked.append((sorted(path.name for path in video.rglob('*.png')), cfg.max_iters, cfg.model.test_iters, more))
        (work_dir / 'refined.pth').write_bytes(weights['small'].read_bytes())
        write_json(work_dir / 'report.json', {})

    monkeypatch.setattr(bench, 'refine', refine)
    argv = ['--data', str(data), '--videos', 'davis', 'badja', '--trackers', 'raft', '--checkpoint',
            f'raft={weights["small"]}', '--sizes', '64x96', '--iters', '1', '--steps', '3', '--work-dir',
            str(data / 'work')]
    bench.main(argv)
    assert asked == [([f'{t:05d}.png' for t in range(FRAMES)], 3, 1, dict(resume=True))]  # one student for both sets

"""The benchmark on DAVIS: a square that moves by a known motion, and runs that are not repeated."""
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # whatever import mode pytest runs in

from small_trees import ROOT, weights  # noqa: E402, F401

from mmrefine.errors import CheckpointError, InputError  # noqa: E402
from mmrefine.evaluation import jaccard  # noqa: E402
from mmrefine.fileio import write_image, write_json  # noqa: E402

SIZE = (64, 96)
STEP = np.array([6, 2])  # px (x, y) a frame
FRAMES = 5
CORNERS = np.array([[20., 20.], [35., 20.], [20., 35.], [27., 30.]])  # of the square in frame 0, and a point in it
CLICKED = (1, 3, 4)


@pytest.fixture(scope='module')
def bench():
    spec = importlib.util.spec_from_file_location('davis_student', ROOT / 'benchmarks' / 'davis_student.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def square(t):
    mask = np.zeros(SIZE, bool)
    x, y = CORNERS[0].astype(int) + t * STEP
    mask[y:y + 16, x:x + 16] = True
    return mask


@pytest.fixture
def data(tmp_path):
    """A folder as DAVIS and one as BADJA; joint 3 is hidden in frame 3, joint 2 in the first clicked frame."""
    pixels = np.random.default_rng(5).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    entries = []
    for t in range(FRAMES):
        frame = np.where(square(t)[..., None], 255 - pixels, pixels)
        write_image(tmp_path / f'davis/JPEGImages/480p/box/{t:05d}.jpg', frame)
        write_image(tmp_path / f'davis/Annotations/480p/box/{t:05d}.png', square(t).astype(np.uint8) * 255)
        if t in CLICKED:
            joints = (CORNERS + t * STEP)[:, ::-1] * [1080 / SIZE[0], 1920 / SIZE[1]]
            entries.append(dict(image_path=f'box/{t:05d}.jpg', joints=joints.tolist(), visibility=[True, True, t != 1, t != 3]))
    write_json(tmp_path / 'badja/box.json', entries)
    return tmp_path


@pytest.fixture
def argv(data, weights):  # noqa: F811
    return [str(part) for part in ('--davis', data / 'davis', '--badja', data / 'badja', '--checkpoint', weights['small'], '--work-dir',
                                   data / 'work', '--height', SIZE[0], '--width', SIZE[1], '--iters', 1, '--steps', 3)]


@pytest.fixture
def refined(bench, monkeypatch):
    """Refinement that ends with the weights it began with; the list of the views that labels came from."""
    calls = []

    def refine(video, cfg, work_dir, **overrides):
        assert [path.name for path in sorted(video.iterdir())] == [f'{t:05d}.png' for t in range(FRAMES)] and overrides == {'resume': True}
        calls.append((tuple(cfg.labeler.view.scales), cfg.max_iters))
        shutil.copy(cfg.load_from, work_dir / 'refined.pth')

    monkeypatch.setattr(bench, 'refine', refine)
    return calls


def clip_of(bench, argv, *more):
    return bench._read_clip(bench._parser().parse_args([*argv, *more]), 'box')


def motion(clip, step):
    """Everything moves by ``step`` px from a frame to the next, and back against time; other pairs are not asked for."""
    known = {frame.tobytes(): t for t, frame in enumerate(clip.frames)}

    def timed(frames1, frames2):
        times = [known[(frame[0].permute(1, 2, 0) * 255).round().byte().contiguous().numpy().tobytes()] for frame in (frames1, frames2)]
        assert abs(times[1] - times[0]) == 1
        return torch.tensor(step, dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, *frames1.shape[-2:]) * (times[1] - times[0])

    return timed


def test_the_true_motion_scores_1_and_the_opposite_one_0(bench, argv):
    clip = clip_of(bench, argv)
    assert bench._scores(clip, motion(clip, STEP.tolist())) == dict(J=1., F=1., PCK=1.)
    wrong = bench._scores(clip, motion(clip, (-STEP).tolist()))
    assert wrong['PCK'] == 0 and wrong['J'] < 0.1


def test_what_stays_in_place_scores_as_the_first_truth_does(bench, argv):
    clip = clip_of(bench, argv)
    found = bench._scores(clip, motion(clip, [0., 0.]))
    assert found['J'] == pytest.approx(np.mean([jaccard(square(0), square(t)) for t in range(1, FRAMES - 1)]))
    # 0.2 * 16 px: two frames later a joint is 12.6 px off, three frames later 19
    assert found['PCK'] == 0


def test_joints_count_where_both_frames_show_them(bench, argv):
    clip = clip_of(bench, argv)
    # off by 0.5 * (6, 2) px a frame: 6.3 px after two frames, 9.5 after three; allowed are 0.2 * 16 = 3.2
    assert bench._scores(clip, motion(clip, (1.5 * STEP).tolist()))['PCK'] == 0
    # 1.26 * 2 = 2.5 px in frame 3 (joints 0, 1), 3.8 in frame 4 (joints 0, 1, 3)
    assert bench._scores(clip, motion(clip, (1.2 * STEP).tolist()))['PCK'] == pytest.approx(2 / 5)


def test_truth_at_another_size_than_the_frames_scores_the_same(bench, argv):
    clip = clip_of(bench, argv, '--height', str(SIZE[0] // 2), '--width', str(SIZE[1] // 2))
    assert clip.frames[0].shape[:2] == (32, 48) and clip.masks[0].shape == SIZE
    found = bench._scores(clip, motion(clip, (STEP / 2).tolist()))
    assert found['PCK'] == 1 and found['J'] > 0.85


def test_without_joints_there_is_no_pck(bench, argv, data):
    (data / 'badja/box.json').rename(data / 'badja/other.json')
    clip = clip_of(bench, argv)
    assert bench._scores(clip, motion(clip, STEP.tolist())) == dict(J=1., F=1., PCK=None)
    # nor if one frame alone has them
    assert bench._pck(clip, 0, {}) is None


def test_the_share_closed_is_1_at_the_second_look_and_0_at_the_first(bench):
    assert bench.share_closed(0.2, 0.3, 0.3) == pytest.approx(1)
    assert bench.share_closed(0.2, 0.3, 0.2) == 0
    assert bench.share_closed(0.181, 0.218, 0.215) == pytest.approx(34 / 37)
    assert bench.share_closed(0.2, 0.3, 0.15) == pytest.approx(-0.5)
    # where the second look is no better, following it is no merit
    assert bench.share_closed(0.3, 0.2, 0.25) is None and bench.share_closed(0.3, 0.304, 0.304) is None


def test_what_is_finished_is_not_repeated_and_what_other_settings_touch_is(bench, argv, data, refined, capsys):
    assert bench.main(argv) == 0
    table = capsys.readouterr().out.splitlines()
    assert refined == [((1., 2.), 3), ((1., ), 3)]
    files = {path: path.read_bytes() for path in (data / 'work/box').glob('*.json')}
    rows = {row['network']: row for row in map(json.loads, files.values())}
    assert set(rows) == set(bench.NETWORKS) and all(set(bench.MEASURES) <= set(row) for row in rows.values())
    # the fake students are the plain network
    assert [rows['student'][m] for m in bench.MEASURES] == [rows['1x'][m] for m in bench.MEASURES]
    assert [line.split()[:2] for line in table[-3:]] == [['box', measure] for measure in bench.MEASURES]
    assert table[-1].split()[2] == '0.0' and len(table[-1].split()) == 2 + 5 + 2
    # again, from anywhere: nothing is made
    assert bench.main(argv) == 0
    assert len(refined) == 2 and capsys.readouterr().out.splitlines()[-3:] == table[-3:]
    # other steps: the students only
    assert bench.main([*argv, '--steps', '4']) == 0
    assert refined[2:] == [((1., 2.), 4), ((1., ), 4)]
    assert len(list((data / 'work/box').glob('*.json'))) == 7
    # another picture: everything
    write_image(data / 'davis/JPEGImages/480p/box/00002.jpg', np.zeros((*SIZE, 3), np.uint8))
    assert bench.main(argv) == 0
    assert len(refined) == 6 and len(list((data / 'work/box').glob('*.json'))) == 12
    assert all(path.read_bytes() == content for path, content in files.items())


@pytest.mark.parametrize('wrong, kind, story', [
    (['--davis', 'no_davis'], InputError, 'no_davis.JPEGImages.480p: there are no sequences.*--davis'),
    (['--sequences', 'cow'], InputError, 'JPEGImages.480p.cow: needs 3 or more frames.*found 0 and 0;.*--sequences'),
    (['--frames', '2'], InputError, 'box: needs 3 or more frames.*found 2 and 2'),
    (['--badja', 'no_badja'], InputError, 'no_badja: there is no such folder of joints; correct --badja'),
    (['--checkpoint', 'no.pth'], CheckpointError, 'no.pth: there is no such checkpoint.*--checkpoint'),
])
def test_what_is_not_there_is_named_with_its_option(bench, argv, refined, wrong, kind, story):
    with pytest.raises(kind, match=story):
        bench.main([*argv, *wrong])
    assert not refined

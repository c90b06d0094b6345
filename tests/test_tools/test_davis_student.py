"""The benchmark on DAVIS: a square that moves by a known motion, and runs that are not repeated."""
import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from small_trees import ROOT

from mmrefine.errors import CheckpointError, ConfigError, InputError
from mmrefine.evaluation import jaccard
from mmrefine.fileio import read_image, write_image, write_json

SIZE = (64, 96)
STEP = np.array([6, 2])  # px (x, y) a frame
FRAMES = 5
CORNERS = np.array([[20., 20.], [35., 20.], [20., 35.], [27., 30.]])  # of the square in frame 0, and a point in it
CLICKED = (1, 3, 4)


@pytest.fixture(scope='module')
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the file beside it
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
            entries.append(dict(image_path=f'box/{t:05d}.jpg', joints=joints.tolist(),
                                visibility=[True, True, t != 1, t != 3]))
    write_json(tmp_path / 'badja/box.json', entries)
    return tmp_path


@pytest.fixture
def argv(data, weights):
    return [str(part) for part in ('--davis', data / 'davis', '--badja', data / 'badja', '--checkpoint',
                                   weights['small'], '--work-dir', data / 'work', '--height', SIZE[0], '--width',
                                   SIZE[1], '--iters', 1, '--steps', 3)]


@pytest.fixture
def refined(bench, monkeypatch):
    """Refinement that ends with other weights than it began with, and a guard that puts the first ones back;
    the views of the labels.
    """
    calls = []

    def refine(video, cfg, work_dir, **overrides):
        own = video.name in ('box', 'twin')
        assert sorted(path.name for path in video.iterdir()) == ([f'{t:05d}.png' for t in range(FRAMES)] if own
                                                                 else ['other'])
        assert overrides == {'resume': True}
        scaled = any(part['type'] == 'RandomScaleStretch' for part in cfg.train_pipeline)
        assert (work_dir / 'labels').exists() is scaled  # which are those of the student before
        (work_dir / 'labels').mkdir(exist_ok=True)
        calls.append((tuple(cfg.labeler.view.scales), cfg.max_iters))
        shutil.copy(cfg.load_from, work_dir / 'refined.pth')
        model = bench.init_model(cfg, cfg.load_from)
        for weight in model.parameters():
            weight.data.mul_(0.8 if scaled else 0.9)
        torch.save(dict(state_dict=model.estimator.state_dict()), work_dir / f'iter_{cfg.max_iters}.pth')
        write_json(work_dir / 'report.json', {})

    monkeypatch.setattr(bench, 'refine', refine)
    return calls


def clip_of(bench, argv, *more):
    args = bench._parser().parse_args([*argv, *more])
    return bench.read_clip(args.davis, args.badja, 'box', (args.height, args.width), args.frames, args.points)


def motion(clip, step):
    """Everything moves by ``step`` px from a frame to the next, and back against time;
    other pairs are not asked for.
    """
    known = {frame.tobytes(): t for t, frame in enumerate(clip.frames)}

    def timed(frames1, frames2):
        times = [known[(frame[0].permute(1, 2, 0) * 255).round().byte().contiguous().numpy().tobytes()]
                 for frame in (frames1, frames2)]
        assert abs(times[1] - times[0]) == 1
        return torch.tensor(step, dtype=torch.float32).view(1, 2, 1,
                                                            1).expand(1, 2, *frames1.shape[-2:]) * (times[1] - times[0])

    return timed


def test_the_true_motion_scores_1_and_the_opposite_one_0(bench, argv):
    clip = clip_of(bench, argv)
    # 5 frames, no span of 5
    assert bench.score_clip(clip, motion(clip, STEP.tolist())) == dict(J=1., F=1., J5=None, F5=None, PCK=1., D=None)
    wrong = bench.score_clip(clip, motion(clip, (-STEP).tolist()))
    assert wrong['PCK'] == 0 and wrong['J'] < 0.1


def test_every_mask_is_carried_over_the_span(bench, argv, monkeypatch):
    clips = sys.modules['davis_clips']
    monkeypatch.setattr(clips, 'SPAN', 2)
    monkeypatch.setattr(clips, 'MEASURES', ('J', 'F', 'J2', 'F2', 'PCK', 'D'))
    clip = clip_of(bench, argv)
    assert clips.score_clip(clip, motion(clip, STEP.tolist()))['J2'] == 1
    still = clips.score_clip(clip, motion(clip, [0., 0.]))
    assert still['J2'] == pytest.approx(np.mean([jaccard(square(t), square(t + 2)) for t in range(FRAMES - 2)]))


def test_what_stays_in_place_scores_as_the_first_truth_does(bench, argv):
    clip = clip_of(bench, argv)
    found = bench.score_clip(clip, motion(clip, [0., 0.]))
    assert found['J'] == pytest.approx(np.mean([jaccard(square(0), square(t)) for t in range(1, FRAMES - 1)]))
    # 0.2 * 16 px: two frames later a joint is 12.6 px off, three frames later 19
    assert found['PCK'] == 0


def test_joints_count_where_both_frames_show_them(bench, argv):
    clip = clip_of(bench, argv)
    # off by 0.5 * (6, 2) px a frame: 6.3 px after two frames, 9.5 after three; allowed are 0.2 * 16 = 3.2
    assert bench.score_clip(clip, motion(clip, (1.5 * STEP).tolist()))['PCK'] == 0
    # 1.26 * 2 = 2.5 px in frame 3 (joints 0, 1), 3.8 in frame 4 (joints 0, 1, 3)
    assert bench.score_clip(clip, motion(clip, (1.2 * STEP).tolist()))['PCK'] == pytest.approx(2 / 5)


def test_truth_at_another_size_than_the_frames_scores_the_same(bench, argv):
    clip = clip_of(bench, argv, '--height', str(SIZE[0] // 2), '--width', str(SIZE[1] // 2))
    assert clip.frames[0].shape[:2] == (32, 48) and clip.masks[0].shape == SIZE
    found = bench.score_clip(clip, motion(clip, (STEP / 2).tolist()))
    assert found['PCK'] == 1 and found['J'] > 0.85


def test_without_joints_there_is_no_pck(bench, argv, data):
    (data / 'badja/box.json').rename(data / 'badja/other.json')
    clip = clip_of(bench, argv)
    assert bench.score_clip(clip, motion(clip, STEP.tolist())) == dict(J=1., F=1., J5=None, F5=None, PCK=None, D=None)


def test_points_are_judged_where_they_end(bench, argv, data):
    table = data / 'points.csv'
    table.write_text('sequence,frames,first_x,first_y,last_x,last_y\n'
                     f'box,{FRAMES},20,20,44,28\nbox,{FRAMES},30.5,25,54.5,33\nother,{FRAMES},1,1,2,2\n')
    clip = clip_of(bench, argv, '--points', str(table))
    assert clip.ends.shape == (2, 2, 2) and clip.digest == clip_of(bench, argv).digest
    assert bench.score_clip(clip, motion(clip, STEP.tolist()))['D'] == 1
    # 0.36 px too far in each of 4 steps: 1.44 px of 96, 3.84 of 256, which is within 4, 8 and 16
    assert bench.score_clip(clip, motion(clip, (STEP + [0.36, 0.]).tolist()))['D'] == pytest.approx(3 / 5)
    assert len(clip_of(bench, argv, '--points', str(table), '--frames', '4').ends) == 0  # they end in another frame
    table.write_text('sequence,frames,first_x\nbox,5,20\n')
    with pytest.raises(InputError, match='points.csv: is no table of points with the columns'):
        clip_of(bench, argv, '--points', str(table))


def test_the_share_closed_is_1_at_the_second_look_and_0_at_the_first(bench):
    share_closed = sys.modules['davis_table'].share_closed
    assert share_closed(0.2, 0.3, 0.3) == pytest.approx(1)
    assert share_closed(0.2, 0.3, 0.2) == 0
    assert share_closed(0.181, 0.218, 0.215) == pytest.approx(34 / 37)
    assert share_closed(0.2, 0.3, 0.15) == pytest.approx(-0.5)
    # where the second look is no better, following it is no merit
    assert share_closed(0.3, 0.2, 0.25) is None and share_closed(0.3, 0.304, 0.304) is None


def read_rows(data):
    return json.loads((data / 'work/scores.json').read_text())


def test_what_is_finished_is_not_repeated_and_what_other_settings_touch_is(bench, argv, data, refined, capsys,
                                                                           monkeypatch):
    scored, score_clip = [], bench.score_clip
    monkeypatch.setattr(bench, 'score_clip', lambda *asked: (scored.append(asked), score_clip(*asked))[1])
    assert bench.main(argv) == 0
    # what the guard handed back is the network as it came, and both students ended alike
    assert len(scored) == 4
    out = capsys.readouterr().out.splitlines()
    assert refined == [((1., 2.), 3), ((1., ), 3)]
    rows = read_rows(data)
    assert [row['network'] for row in rows] == ['1x', '1x then 2x', 'in place', 'of 1x labels', 'of 1x labels guarded',
                                                'student', 'student guarded']
    table = [line.split() for line in out if line.startswith('box  ')]
    assert [line[1] for line in table] == ['J', 'F', 'PCK']  # no span of 5 in 5 frames
    assert all(len(line) == 2 + 3 + 2 * 4 for line in table)
    # 1x, guarded and guarded; the students
    assert all(line[3] == line[7] == line[11] and line[5] == line[9] for line in table)
    assert out[-3].startswith('student guarded: most lost +0.0')
    # again, from a checkout that has the rows only: nothing is made
    shutil.rmtree(data / 'work/box')
    assert bench.main(argv) == 0
    assert len(refined) == 2 and capsys.readouterr().out.splitlines() == out
    # other steps: the students only, and they end as before
    assert bench.main([*argv, '--steps', '4']) == 0
    assert refined[2:] == [((1., 2.), 4), ((1., ), 4)]
    assert len(read_rows(data)) == 11
    # another picture: everything
    write_image(data / 'davis/JPEGImages/480p/box/00002.jpg', np.zeros((*SIZE, 3), np.uint8))
    assert bench.main(argv) == 0
    assert len(refined) == 6 and len(read_rows(data)) == 18
    assert all(row in read_rows(data) for row in rows)


def test_four_passes_are_judged_where_they_are_asked_for(bench, argv, data, refined, capsys):
    assert bench.main([*argv, '--students', '--views', 'arbitrated', 'verified']) == 0
    assert not refined
    rows = {row['network']: row for row in read_rows(data)}
    assert sorted(rows) == ['1x', '1x then 2x', 'arbitrated', 'in place', 'verified']
    heads, line = (line for line in capsys.readouterr().out.splitlines() if 'verified  ' in line or ' J  ' in line)
    assert line.split()[:2] == ['box', 'J'] and line.split()[-2] == f'{100 * rows["verified"]["J"]:.1f}'


def test_a_student_of_other_videos_is_refined_once_and_never_on_what_is_scored(bench, argv, data, refined, capsys):
    for name in ('box', 'other'):
        for t in range(4):
            write_image(data / f'videos/{name}/{t}.png', np.full((48, 48, 3), 40 * t, np.uint8))
    shutil.copytree(data / 'davis/JPEGImages/480p/box', data / 'davis/JPEGImages/480p/twin')
    shutil.copytree(data / 'davis/Annotations/480p/box', data / 'davis/Annotations/480p/twin')
    options = [*argv, '--students', 'student', '--transfer', str(data / 'videos'), '--transfer-frames', '3',
               '--transfer-steps', '5']
    assert bench.main(options) == 0
    # box, other in two ways, twin: `refine` looks at the folder
    assert refined == [((1., 2.), 3), ((1., 2.), 5), ((1., 2.), 5), ((1., 2.), 3)]
    frames = [read_image(path) for path in sorted((data / 'work/transfer').glob('*/frames/other/*.png'))]
    # brought to the size of what is scored
    assert len(frames) == 2 * 3 and all(frame.shape == (*SIZE, 3) for frame in frames)
    assert sum('mean of 2' in line for line in capsys.readouterr().out.splitlines()) == 2  # twin has no joints
    first, = (torch.load(path)['state_dict'] for path in (data / 'work/transfer').glob('transfer_*/iter_5.pth'))
    second, = (torch.load(path)['state_dict'] for path in (data / 'work/transfer').glob('scaled_*/iter_5.pth'))
    mean, = (torch.load(path)['state_dict'] for path in (data / 'work/transfer').glob('scaled_*/mean.pth'))
    assert all(torch.allclose(mean[key], (first[key] + second[key]) / 2) for key in first
               if first[key].is_floating_point())
    assert any(not torch.equal(mean[key], first[key]) for key in first)


def test_rivals_may_have_rates_of_their_own(bench, argv, data, refined):
    asked = [*argv, '--out', str(data / 'rows.json'), '--students', 'direct cycle loss', 'plain self-training']
    assert bench.main([*asked, '--rate', '0.1', '0.3']) == 0
    rows = json.loads((data / 'rows.json').read_text())
    assert {row['network']: row['lr'] for row in rows if 'lr' in row} == pytest.approx({
        'direct cycle loss': 4e-5, 'direct cycle loss guarded': 4e-5, 'plain self-training': 1.2e-4,
        'plain self-training guarded': 1.2e-4})
    assert bench.main([*asked, '--rate', '0.1']) == 0
    assert len(refined) == 3  # that of the first is here already


@pytest.mark.parametrize('wrong, kind, story', [
    (['--davis', 'no_davis'], InputError, 'no_davis.JPEGImages.480p: there are no sequences.*--davis'),
    (['--sequences', 'cow'], InputError, 'JPEGImages.480p.cow: needs 3 or more frames.*found 0 and 0;.*--sequences'),
    (['--frames', '2'], InputError, 'box: needs 3 or more frames.*found 2 and 2'),
    (['--badja', 'no_badja'], InputError, 'no_badja: there is no such folder of joints; correct --badja'),
    (['--rate', '1', '0.3', '0.1'], ConfigError, '--rate: found 3 factors for 2 students; give one for all'),
    (['--checkpoint', 'no.pth'], CheckpointError, 'no.pth: there is no such checkpoint.*--checkpoint'),
])
def test_what_is_not_there_is_named_with_its_option(bench, argv, refined, wrong, kind, story):
    with pytest.raises(kind, match=story):
        bench.main([*argv, *wrong])
    assert not refined

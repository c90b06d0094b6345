"""How long a run will take, told before it starts."""
import re
import shutil

import numpy as np
import pytest
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of

import mmrefine.apis.flow_forecast as flow_forecast
import mmrefine.apis.run_forecast as module
import mmrefine.apis.timing as timing
from mmrefine.apis import refine
from mmrefine.apis.named_models import load_named
from mmrefine.apis.recipes import with_recipe
from mmrefine.apis.rounds import round_values
from mmrefine.apis.run_forecast import RunForecast, forecast_run
from mmrefine.apis.timing import seconds_a_pixel, shrunk
from mmrefine.apis.video_run import prepare_run
from mmrefine.engine import FlowWitnesses, RegressionGuardHook, ReportHook
from mmrefine.engine.runtime.passes import Passes
from mmrefine.errors import ConfigError, InputError
from mmrefine.models import SelfSupervisionLoss
from mmrefine.models.training_progress import training_progress

PIXELS = SIZE[0] * SIZE[1]
TINY = {'model.train_iters': 1, 'model.test_iters': 1, 'labeler.view.scales': (1., ), 'labeler.balance': None,
        'crop_size': (32, 40), 'batch_size': 2, 'max_iters': 50, 'held_out': .25, 'least_held': 2}
OPTIONS = ['--set', 'model.train_iters=1', 'model.test_iters=1', 'labeler.view.scales=(1.,)', 'labeler.balance=None',
           'batch_size=1']


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """A folder of eight rendered frames, seven pairs."""
    return rendered(tmp_path_factory.mktemp('frames'), 8)


def config_of(frames, out, **values):
    return prepare_run(frames, 'demo', out, DEMO_WEIGHTS, {**TINY, **values}, log=lambda line: None)[0]


def forecast_with(monkeypatch, cfg, label=1., step=1., look=Passes(1., 2.), labels_only=False):
    """The forecast where a label, a step and the passes take so many seconds a pixel."""
    for name, seconds in (('label', label), ('step', step), ('look', look)):
        monkeypatch.setattr(module._Clock, name, lambda self, *args, seconds=seconds: seconds)
    return forecast_run(cfg, labels_only)


def test_each_part_is_as_often_as_the_run_does_it(frames, tmp_path, monkeypatch):
    cfg = config_of(frames, tmp_path)
    found = forecast_with(monkeypatch, cfg, label=3., step=5., look=Passes(7., 11.)).seconds
    held, pairs = 2, 7
    # four candidates and the original network, a round trip and two warps of each, and 8 rendered pairs of two networks
    guard = held * 5 * (11. + 2 * 7.) * PIXELS + 2 * 8 * 7. * 128 * 192
    # of both networks the round trip of each pair, which the pictures show
    assert found == dict(labels=3. * 4 * PIXELS, training=5. * 50 * 2 * 32 * 40, guard=guard,
                         report=11. * 2 * pairs * PIXELS)
    assert forecast_with(monkeypatch, cfg, label=3., labels_only=True).seconds == dict(labels=3. * 4 * PIXELS)


def test_what_a_loss_costs_later_in_the_training_counts(frames, tmp_path, monkeypatch):
    """Self-supervision of SMURF begins after 5 of 12 parts; what a step then takes is timed as well."""
    values = {key: value for key, value in TINY.items() if not key.startswith('labeler')}
    cfg = prepare_run(frames, with_recipe(load_named('demo'), 'smurf'), tmp_path, DEMO_WEIGHTS, values,
                      log=lambda line: None)[0]
    monkeypatch.setattr(module._Clock, 'look', lambda self, *args: Passes(1., 1.))
    asked = []

    def step(self, optim_wrapper, samples, whole):
        loss, = (part for part in self.network.modules() if isinstance(part, SelfSupervisionLoss))
        asked.append((loss.strength(), whole))
        return 2. + 10 * loss.strength()

    with monkeypatch.context() as patch:
        patch.setattr(module._Clock, 'step', step)
        assert forecast_run(cfg).seconds['training'] == pytest.approx((2 + 10 * 7 / 12) * 50 * cfg.batch_size * 32 * 40)
    assert asked == [(0., True), (1., True)]
    before = training_progress()  # of a training that this process has seen, if any
    seen, forward = [], SelfSupervisionLoss.forward
    monkeypatch.setattr(SelfSupervisionLoss, 'forward', lambda self, outputs, sample: (
        seen.append((training_progress(), sample.whole is not None)), forward(self, outputs, sample))[1])
    assert forecast_run(cfg).seconds['training'] > 0
    assert seen == 2 * [(0., True)] + 2 * [(1., True)]  # each once to warm up
    assert training_progress() == before


def test_labels_of_every_round_count_and_so_does_a_model_for_each_scene(tmp_path, monkeypatch):
    rendered(tmp_path / 'v', 8, seed=1)
    folder = rendered(tmp_path / 'v', 8, seed=2).parent
    plain = forecast_with(monkeypatch, config_of(folder, tmp_path / 'a')).seconds
    each = forecast_with(monkeypatch, config_of(folder, tmp_path / 'b', scene='each')).seconds
    assert each['training'] == 2 * plain['training'] and each['labels'] == plain['labels']
    rounds = {'train_cfg.rounds': 3, 'custom_hooks.0.relabel': 'every_round'}
    assert forecast_with(monkeypatch, config_of(folder, tmp_path / 'c', **rounds)).seconds['labels'] == 3 * plain[
        'labels']


def test_rounds_of_the_option_count_with_their_labels_and_comparisons(frames, tmp_path, monkeypatch):
    plain = config_of(frames, tmp_path / 'a')
    rounds = round_values(3, plain)
    assert rounds == {'train_cfg.rounds': 3, 'custom_hooks.0.relabel': 'every_round',
                      'custom_hooks.0.teacher': dict(type='StudentAverage'),
                      'custom_hooks.1.interval': 'round', 'custom_hooks.1.patience': 1}
    cfg = config_of(frames, tmp_path / 'b', **rounds)
    once, thrice = (forecast_with(monkeypatch, one).seconds for one in (plain, cfg))
    assert thrice['labels'] == 3 * once['labels'] and thrice['training'] == once['training']
    # the best and the last student at four steps each, one look in each round, and the original network
    assert thrice['guard'] == 2 * (1 + 8 + 3) * (2. + 2 * 1.) * PIXELS + 2 * 8 * 128 * 192
    assert forecast_with(monkeypatch, cfg, labels_only=True).seconds['labels'] == once['labels']


def test_a_dry_run_knows_rounds(frames, tmp_path, capsys, monkeypatch):
    for name, seconds in (('label', 1e-3), ('step', 1e-3), ('look', Passes(1e-3, 1e-3))):
        monkeypatch.setattr(module._Clock, name, lambda self, *args, seconds=seconds: seconds)
    assert status_of(*dry(frames, tmp_path / 'out'), 'max_iters=9', 'held_out=.25', 'least_held=2') == 0
    assert '4 frame pairs to label\n' in capsys.readouterr().out
    options = [*dry(frames, tmp_path / 'out'), 'max_iters=9', 'held_out=.25', 'least_held=2']
    assert status_of(*options[:1], '--rounds', 3, *options[1:]) == 0
    said = capsys.readouterr().out
    assert '4 frame pairs to label, and again in each of 3 rounds\n' in said and 'forecast: about ' in said
    assert not (tmp_path / 'out').exists()
    assert 'train_cfg.rounds must be at most max_iters=9, as each round takes a step or more, got 10; set fewer' in (
        error_of(capsys, *options[:1], '--rounds', 10, *options[1:]))
    assert status_of('refine', frames, '--rounds', 0) == 2


def test_rounds_that_cannot_be_are_refused(frames):
    with pytest.raises(ConfigError, match='rounds must be a whole number, at least 1, got 0'):
        refine(frames, 'demo', rounds=0, dry_run=True)
    cfg = load_named('demo')
    assert round_values(None, cfg) == round_values(1, cfg) == {}
    cfg.train_cfg.rounds = 4
    assert round_values(1, cfg) == {'train_cfg.rounds': 1}
    cfg.custom_hooks = cfg.custom_hooks[1:]
    with pytest.raises(ConfigError, match='raft_small_video.py: there is no PseudoLabelHook in custom_hooks'):
        refine(frames, cfg, rounds=2, dry_run=True)


def test_what_hooks_say_they_do():
    guard = RegressionGuardHook(dict(held_out=.1), steps=(1., ), interval=10, pairs=5, general=0)
    assert guard.passes(30) == Passes(2, 1) * 5 * (1 + 2)
    assert guard.passes(30, max_iters=30, rounds=2) == Passes(2, 1) * 5 * (1 + 2 + 2)
    assert FlowWitnesses(warps=1, agreement=.2).passes == Passes(2, 1)
    report = ReportHook({}, pictures=3, video=60, without_truth=10)
    assert report.passes(30, has_truth=True) == Passes(60)
    # pictures and video show the pairs that were judged, a third of them, and others
    assert report.passes(30, has_truth=False) == Passes(pytest.approx(2 * (3 + 30) * 2 / 3), 20)
    assert Passes(3, 4).taking(Passes(5, 6)) == 3 * 5 + 4 * 6 and Passes(1, 2) + Passes(3, 4) == Passes(4, 6)


def test_a_sample_has_the_size_of_the_crop_in_a_mixed_training_too():
    part = dict(pipeline=[dict(type='LoadTruth'), dict(type='RandomCrop', size=(48, 64))])
    for data in (part, dict(parts=dict(labelled=part))):
        assert module._crop(data, (100, 60)) == 48 * 60 and module._crop({}, (100, 60)) == 6000


def test_the_time_is_of_small_frames_after_a_warm_up(frames):
    asked = []
    assert seconds_a_pixel(lambda pixels: asked.append(pixels) or pixels, 'cpu') < 1e-6
    assert asked == [timing.WARM_UP, timing.TIMED]
    frame = np.zeros((192, 256, 3), np.uint8)
    assert shrunk(frame, 192 * 256) is frame and shrunk(frame, 96 * 128).shape == (96, 128, 3)
    # networks refuse frames that are too small, however many pixels a long one has
    assert shrunk(frame, 48 * 64).shape == (64, 88, 3) and shrunk(frame[:36], 48 * 64).shape == (36, 256, 3)
    assert shrunk(np.zeros((256, 4096, 3), np.uint8), 48 * 64).shape == (64, 1024, 3)


def test_a_second_pass_over_warm_up_frames_may_have_the_size_of_those_that_are_timed(frames, tmp_path, monkeypatch):
    # twice as large as the warm-up; the teacher remembers frames by name and size
    monkeypatch.setattr(timing, 'WARM_UP', PIXELS // 4)
    monkeypatch.setattr(timing, 'TIMED', PIXELS)
    monkeypatch.setattr(timing, 'LEAST_SIDE', 8)
    cfg = config_of(frames, tmp_path, **{'labeler.view.scales': (1., 2.)})
    assert forecast_run(cfg, labels_only=True).seconds['labels'] > 0


def test_all_of_it_is_timed_before_anything_is_labelled(frames, tmp_path):
    found = forecast_run(config_of(frames, tmp_path))
    assert list(found.seconds) == ['labels', 'training', 'guard', 'report']
    assert all(0 < seconds < 600 for seconds in found.seconds.values())
    assert RunForecast(dict(labels=30., training=400.)).line() == (
        'forecast: about 8 min in all: labels 30 s, training 7 min (from small frames; less exact than what each part '
        'will say)')


@pytest.mark.parametrize('command', ['refine', 'labels', 'flow'])
def test_a_dry_run_tells_the_forecast_and_writes_nothing(frames, tmp_path, command, capsys):
    options = [] if command == 'flow' else OPTIONS
    assert status_of(command, frames, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', tmp_path / 'out',
                     '--dry-run', *options) == 0
    said = capsys.readouterr().out
    parts = {'refine': r' in all: labels .+, training .+, guard .+, report .+ \(', 'labels': r' in all: labels .+ \(',
             'flow': ' for the flow of 7 pairs'}[command]
    assert re.search('^forecast: about .+' + parts, said, re.MULTILINE), said
    assert not (tmp_path / 'out').exists()


def dry(frames, out):
    return ['refine', frames, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', out, '--dry-run', *OPTIONS]


def test_a_dry_run_says_what_the_run_would_refuse(frames, tmp_path, capsys):
    command = [one for one in dry(frames, tmp_path / 'out') if one != 'labeler.balance=None']
    assert 'Novelty compares' in error_of(capsys, *command)


def test_parts_that_cannot_be_forecast_do_not_stop_a_run(frames, tmp_path, capsys, monkeypatch):
    def fail(*args):
        raise AttributeError('no units')

    monkeypatch.setattr(module._Clock, 'label', fail)
    assert status_of(*dry(frames, tmp_path / 'out')) == 0
    assert 'no forecast (AttributeError: no units)' in capsys.readouterr().out


def test_only_the_first_process_tells_a_forecast(frames, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    assert status_of(*dry(frames, tmp_path / 'out')) == 0 and 'forecast' not in capsys.readouterr().out


def test_a_run_of_each_scene_that_goes_on_has_no_forecast(tmp_path, capsys):
    rendered(tmp_path / 'v', 4, seed=1)
    folder = rendered(tmp_path / 'v', 4, seed=2).parent
    for expected in (1, 0):
        assert status_of('labels', folder, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', tmp_path / 'out',
                         *OPTIONS, 'scene=each', 'held_out=0') == 0
        assert capsys.readouterr().out.count('forecast: about') == expected


def test_a_run_that_goes_on_has_no_forecast(frames, tmp_path, capsys):
    common = [frames, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', tmp_path / 'out', *OPTIONS]
    for expected in (1, 0):
        assert status_of('labels', *common) == 0
        assert capsys.readouterr().out.count('forecast: about') == expected


def damaged(frames, folder, numbers):
    """A copy of the frames some of which are cut off."""
    shutil.copytree(frames, folder)
    for number in numbers:
        file = folder / f'frame_{number:04d}.png'
        file.write_bytes(file.read_bytes()[:500])
    return folder


def flow_command(folder, out, *options):
    return ('flow', folder, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--iters', '1', '--out', out, '--no-video',
            '--skip-corrupt', *options)


@pytest.mark.parametrize('numbers, pairs', [((1, ), 6), ((2, ), 5), ((1, 3), 4)])
def test_the_forecast_of_flow_takes_the_first_pair_of_intact_frames(frames, tmp_path, capsys, numbers, pairs):
    folder = damaged(frames, tmp_path / 'v', numbers)
    for options in (('--dry-run', ), ()):
        assert status_of(*flow_command(folder, tmp_path / 'out', *options)) == 0
        assert re.search(f'^forecast: about .+ for the flow of {pairs} pairs', capsys.readouterr().out, re.MULTILINE)
    assert len(list((tmp_path / 'out/flow').iterdir())) == pairs


def test_a_forecast_of_flow_that_fails_stops_a_dry_run_alone(frames, tmp_path, capsys, monkeypatch):
    def fail(*args):
        raise InputError('no frame today')

    monkeypatch.setattr(flow_forecast, 'seconds_a_pixel', fail)
    assert error_of(capsys, *flow_command(frames, tmp_path / 'out', '--dry-run')) == 'no frame today'
    assert status_of(*flow_command(frames, tmp_path / 'out')) == 0
    assert 'forecast: ' not in capsys.readouterr().out


def test_no_pair_of_intact_frames_is_the_same_sentence_with_and_without_a_dry_run(frames, tmp_path, capsys):
    folder = damaged(frames, tmp_path / 'v', (2, 4, 6, 8))
    for options in (('--dry-run', ), ()):
        assert error_of(capsys, *flow_command(folder, tmp_path / 'out', *options)).startswith(
            f'{folder}: no two neighbouring frames are both intact')

"""``--verify`` and ``--max-error``: passes that the verifier of the package weighs, and a threshold in px."""
from __future__ import annotations

import json
import shutil
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch
from helpers_cli import SIZE, error_of, rendered, status_of

from mmrefine.apis import flow_of_video, open_model
from mmrefine.apis.named_models import load_named
from mmrefine.apis.verifiers import VERIFIER, verify_values
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.model_names import NAMED_MODELS
from mmrefine.config.load import override
from mmrefine.errors import ConfigError
from mmrefine.fileio import LabelStore, read_flow, read_image, write_image
from mmrefine.fileio.codecs.flow import FlowCodec
from mmrefine.fileio.digest import digest_of_state
from mmrefine.geometry import cycle_error, cycle_tolerance
from mmrefine.labeling import ArbitratedView, FlowLabeler
from mmrefine.models import FrozenTeacher
from mmrefine.structures import FlowLabel, PairBatch, as_frames
from mmrefine.synthetic import write_clips

NAMES = ['frame_0001', 'frame_0002', 'frame_0003']
OPTIONS = ('--model', 'demo', '--iters', '2')
TINY = ['--set', 'model.test_iters=2', 'held_out=0']
ROUNDING = 2e-3  # px; frames of a video are encoded one by one


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three rendered frames."""
    return rendered(tmp_path_factory.mktemp('clip'), 3)


@pytest.fixture(scope='module')
def seen(folder):
    """What the view sees of a pair of frames, by the number of the first, in memory."""
    network = open_model('demo')
    network.test_iters = 2
    teacher, view = FrozenTeacher(network), ArbitratedView(verifier=VERIFIER)
    frames = as_frames([read_image(file) for file in sorted(folder.iterdir())])

    @lru_cache(None)
    def look(first):
        return view.look(teacher, PairBatch(frames[first:first + 1], frames[first + 1:first + 2]))

    return look


def grey(path):
    """The stored values of a grey picture, as OpenCV reads them."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found.ndim == 2
    return found


def array(motion):
    """``(1, C, H, W)`` as ``(H, W, C)``."""
    return motion[0].permute(1, 2, 0).numpy()


def test_the_files_are_what_the_view_says(folder, seen, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the verifier is found from anywhere
    assert status_of('flow', folder, *OPTIONS, '--verify', '--backward', '--format', 'npz', '--out', 'out') == 0
    text = capsys.readouterr().out
    assert 'for the flow of 2 pairs, each in 4 passes that a verifier weighs (from small frames)' in text
    out = tmp_path / 'out'
    for i, name in enumerate(NAMES[:2]):
        look = seen(i)
        for flow, path in ((look.flow_fw, out / 'flow' / name), (look.flow_bw, out / 'backward' / NAMES[i + 1])):
            np.testing.assert_allclose(np.load(f'{path}.npz')['flow'], array(flow), atol=ROUNDING)
        sure, error = (part[0, 0].numpy() for part in (look.sure_fw, look.error_fw))
        np.testing.assert_allclose(grey(out / 'confidence' / f'{name}.png'), 255 * sure, atol=1.)
        stored = grey(out / 'expected_error' / f'{name}.png')
        assert stored.dtype == np.uint16 and stored.min() > 0
        np.testing.assert_allclose(stored / 256, error, atol=0.51 / 256 + ROUNDING)
        away = cycle_error(look.flow_fw, look.flow_bw) / cycle_tolerance(look.flow_fw, look.flow_bw, 0.01, 0.5)
        clear = ((away - 1).abs() > 1e-3)[0, 0].numpy()
        assert np.array_equal((grey(out / 'occlusion' / f'{name}.png') > 0)[clear], (away > 1)[0, 0].numpy()[clear])
    settings = json.loads((out / 'flow.json').read_text())['settings']
    weights = torch.load(own_config_root() / 'verifier/pass_verifier.pth', weights_only=True)['state_dict']
    assert settings['verifier'] == digest_of_state({key: value.float() for key, value in weights.items()})
    assert settings['max_error'] is None and settings['scales'] == [1., 1.5, 2.]
    # all is there, a picture of the errors, too: a lost one is made again
    (out / 'expected_error' / f'{NAMES[1]}.png').unlink()
    found, = flow_of_video(folder, 'demo', out=out, iters=2, format='npz', backward=True, verify=True, draw=False)
    assert (found.pairs, found.made) == (2, 1) and (out / 'expected_error' / f'{NAMES[1]}.png').is_file()


@pytest.mark.parametrize('format', ['png', 'flo', 'npz'])
def test_motion_that_is_expected_to_be_further_off_is_unknown_there_and_back(folder, seen, tmp_path, format):
    most = round(float(seen(0).error_fw.median()), 4)
    assert status_of('flow', folder, *OPTIONS, '--max-error', most, '--backward', '--format', format, '--out',
                     tmp_path / 'out', '--max-frames', '2') == 0
    look = seen(0)
    for flow, error, path in ((look.flow_fw, look.error_fw, f'flow/{NAMES[0]}'),
                              (look.flow_bw, look.error_bw, f'backward/{NAMES[1]}')):
        path = tmp_path / 'out' / f'{path}.{format}'
        found = np.load(path)['flow'] if format == 'npz' else read_flow(path)[0]
        known = np.isfinite(found).all(axis=2) if format == 'npz' else read_flow(path)[1]
        clear = ((error - most).abs() > ROUNDING)[0, 0].numpy()
        assert np.array_equal(known[clear], (error <= most)[0, 0].numpy()[clear]) and 0.1 < known.mean() < 0.9
        np.testing.assert_allclose(found[known], array(flow)[known], atol=1 / 128 + ROUNDING)
    # confidence and error are those of all pixels
    error = grey(tmp_path / 'out/expected_error' / f'{NAMES[0]}.png') / 256
    np.testing.assert_allclose(error, look.error_fw[0, 0].numpy(), atol=0.51 / 256 + ROUNDING)


def test_nothing_is_believed_into_a_black_frame_and_out_of_it(folder, tmp_path, capsys):
    video = tmp_path / 'video'
    shutil.copytree(folder, video)
    last = sorted(video.iterdir())[-1]
    write_image(last, np.zeros_like(read_image(last)))
    shutil.copy(sorted(folder.iterdir())[0], video / 'frame_0004.png')
    out = tmp_path / 'out'
    assert status_of('flow', video, *OPTIONS, '--max-error', 100, '--backward', '--out', out) == 0
    assert '2 of 3 pairs, the first is frame_0002 to frame_0003' in capsys.readouterr().out
    known, sure, error = ([read_flow(out / f'flow/{name}.png')[1].mean(), grey(out / f'confidence/{name}.png').mean(),
                           grey(out / f'expected_error/{name}.png').min()] for name in NAMES)
    assert known[0] == 1 and known[1] > 0 and known[2] < 100 * 256
    assert sure == error == [0, 0, 2**16 - 1]
    assert read_flow(out / 'backward/frame_0004.png')[1].sum() == 0


def test_flow_with_another_threshold_or_without_a_verifier_is_refused(folder, tmp_path, capsys):
    command = ('flow', folder, *OPTIONS, '--no-video', '--max-frames', '2', '--out', tmp_path / 'out')
    assert status_of(*command, '--max-error', '1') == 0
    assert '(max_error was 1.0, is 2.0)' in error_of(capsys, *command, '--max-error', '2')
    assert '(max_error was 1.0, is None)' in error_of(capsys, *command, '--verify')
    assert '(scales was [1.0, 1.5, 2.0], is [1.0]; verifier was' in error_of(capsys, *command)
    assert status_of(*command, '--max-error', '1') == 0


def test_what_is_kept_is_right_more_often(tmp_path):
    """The promise, on a rendered pair of fast motion, which is known: a tenth more of the pixels are within 1 px."""
    name, = write_clips(tmp_path, (90001, ), 2, (96, 160), 'fast')
    network = open_model('demo')
    network.test_iters = 4
    frames = as_frames([read_image(file) for file in sorted((tmp_path / 'frames' / name).iterdir())])
    view = ArbitratedView(verifier=VERIFIER)
    dense = array(view.look(FrozenTeacher(network), PairBatch(frames[:1], frames[1:])).flow_fw)
    flow_of_video(tmp_path / 'frames', 'demo', out=tmp_path / 'out', iters=4, draw=False, max_error=1.,
                  log=lambda line: None)
    some, kept = read_flow(tmp_path / 'out/flow' / f'{NAMES[0]}.png')
    truth, known = read_flow(next((tmp_path / 'flow' / name).iterdir()))
    np.testing.assert_allclose(some[kept], dense[kept], atol=1 / 128 + ROUNDING)
    assert known.all() and 0.3 < kept.mean() < 0.9
    within = np.linalg.norm(dense - truth, axis=2) < 1
    assert within[kept].mean() > within.mean() + 0.1 and within[kept].mean() > within[~kept].mean() + 0.3


def test_labels_are_only_what_is_expected_to_be_right(folder, seen, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    most = round(float(seen(0).error_fw.median()), 4)
    command = ('labels', folder, '--model', 'demo', '--out', 'out', *TINY, '--max-error', most)
    assert status_of(*command, '--dry-run') == 0 and 'in all: labels ' in capsys.readouterr().out
    assert status_of(*command) == 0
    store = LabelStore.open(tmp_path / 'out/labels')
    assert store.manifest['extra']['labelled_by'] == (
        'RAFT with the weights of raft_small_source.pth, weighed by pass_verifier.pth')
    scene, codec = folder.name, FlowCodec()
    for i in (0, 1):
        look = seen(i)
        for first, second, flow, plain, error in ((i, i + 1, look.flow_fw, look.plain_fw, look.error_fw),
                                                  (i + 1, i, look.flow_bw, look.plain_bw, look.error_bw)):
            label = store.read(f'{scene}/{NAMES[first]}__{NAMES[second]}')
            apart = (flow - plain).norm(dim=1, keepdim=True)
            weight = (0.1 + 0.9 * apart / (apart + 1)) * (error <= most)  # the config's Novelty
            wanted = codec.as_stored(FlowLabel(flow[0], weight[0]))
            clear = (error - most).abs()[0] > ROUNDING
            assert torch.equal((label.weight > 0)[clear], (error[0] <= most)[clear])
            assert 0.1 < float((label.weight > 0).float().mean()) < 0.9
            same = torch.isclose(label.weight, wanted.weight, atol=1e-3)
            assert float(same.float().mean()) > 0.99  # a rounded weight may fall to either side
            known = (label.weight > 0) & (wanted.weight > 0)
            off = (label.flow - wanted.flow)[:, known[0]].abs()
            assert float(off.max()) <= 1 / 64 + ROUNDING
        stats = store.stats(f'{scene}/{NAMES[i]}__{NAMES[i + 1]}')
        assert stats['expected_error'] == pytest.approx(float(look.error_fw.mean()), abs=1e-3)
    sentence = error_of(capsys, *command, '--max-error', 2 * most)  # the last one counts
    assert 'made with other labeler (how labels are made, such as --verify, --max-error or' in sentence


def test_a_network_is_refined_on_verified_labels(folder, tmp_path):
    options = ['--steps', '1', '--batch-size', '1', '--workers', '0', *TINY, 'model.train_iters=1',
               f'crop_size={SIZE}'.replace(' ', ''), 'labeler.view.scales=(1.,)', 'labeler.balance=None']
    assert status_of('refine', folder, '--model', 'demo', '--out', tmp_path, '--verify', *options) == 0
    settings = json.loads((tmp_path / 'run.json').read_text())['settings']['config']
    # as it is named, and not where it lies here: the run may go on after the package has moved
    assert settings['labeler']['view'] == dict(type='ArbitratedView', verifier=VERIFIER, scales=[1.])
    stats = LabelStore.open(tmp_path / 'labels').stats(f'{folder.name}/{NAMES[0]}__{NAMES[1]}')
    assert stats['from_registered'] > 0 and stats['kept'] == 1.  # the pairs of one shot are kept as a whole


def test_without_the_options_nothing_changes():
    assert verify_values(load_named('demo')) == {}


@pytest.mark.parametrize('name', [name for name, named in NAMED_MODELS.items() if named.config.startswith('refine/raft')
                                  or name in ('demo', 'craft')])
def test_every_named_network_of_flow_can_be_verified(name):
    cfg = load_named(name)
    changed = override(cfg, verify_values(cfg, max_error=0.5))
    labeler = FlowLabeler(**{key: value for key, value in changed.labeler.to_dict().items() if key != 'type'})
    assert isinstance(labeler.view, ArbitratedView) and labeler.view.verifier is not None
    assert [type(part).__name__ for part in labeler.filters] == ['CutGuard', 'ExpectedErrorFilter']
    assert labeler.filters[1].most == 0.5 and labeler.describe()['balance'] == FlowLabeler(
        **{key: value for key, value in cfg.labeler.to_dict().items() if key != 'type'}).describe()['balance']


def test_passes_and_a_verifier_of_the_config_are_kept():
    own = dict(type='OtherNetwork', model='verifier/pass_verifier.py', checkpoint='mine.pth')
    cfg = load_named('demo')
    for verifier, wanted in ((None, VERIFIER), (own, own)):
        cfg.labeler = dict(type='FlowLabeler', view=dict(type='ArbitratedView', scales=(1., 2.), verifier=verifier))
        changed = override(cfg, verify_values(cfg, True))
        assert changed.labeler.view == dict(type='ArbitratedView', scales=(1., 2.), verifier=wanted)
        assert 'filters' not in changed.labeler
    cfg.labeler.view = dict(type='ComposedView')
    with pytest.raises(ConfigError, match='labeler.view is ComposedView, and --verify takes configs'):
        verify_values(cfg, True)


@pytest.mark.parametrize('name', ['flow', 'labels', 'refine'])
@pytest.mark.parametrize('px', ['0', '-1', 'nan', 'inf'])
def test_a_threshold_that_cannot_be_is_one_sentence_before_the_video_is_read(name, px, capsys):
    sentence = error_of(capsys, name, 'no.mp4', '--model', 'demo', f'--max-error={px}')
    assert sentence == f'--max-error must be finite and above 0, got {float(px)} px'


@pytest.mark.parametrize('argv, sentence', [
    (('labels', 'no.mp4', '--model', 'pips_demo', '--max-error', '1'),
     f'{own_config_root() / "pips/pips_demo.py"}: follows points, and --max-error weighs passes of a network that '
     'estimates flow; leave it out, or name such a network with --model'),
    (('refine', 'no.mp4', '--model', 'corrflow', '--verify'), 'follows points, and --verify weighs passes'),
    (('refine', 'no.mp4', '--model', 'demo', '--recipe', 'warp', '--verify'), 'labels nothing, or has no top-level'),
    (('refine', 'no.mp4', '--model', 'demo', '--labels', 'labels', '--max-error', '1'),
     '--max-error and --labels exclude one another'),
    (('labels', 'no.mp4', '--model', 'demo', '--teacher', 'flows', '--verify'),
     '--verify: --teacher flows is a folder of flow, and the verifier weighs several passes of a network'),
    (('labels', 'no.mp4', '--model', 'demo', '--max-error', '1', '--set', 'labeler.filters=[]'),
     '--max-error and --set labeler.filters=… exclude one another'),
    (('labels', 'no.mp4', '--model', 'demo', '--verify', '--set', 'labeler.view.verifier=None'),
     '--verify and --set labeler.view.verifier=… exclude one another'),
    (('flow', 'no.mp4', '--model', 'demo', '--two-passes', '--max-error', '1'),
     '--two-passes has no place beside --verify and --max-error'),
])
def test_what_does_not_fit_is_one_sentence_before_the_video_is_read(argv, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write = tmp_path / 'flows' / 'frame_0001.flo'
    write.parent.mkdir()
    write.write_bytes(b'PIEH' + np.array([1, 1], '<i4').tobytes() + np.zeros(2, '<f4').tobytes())
    assert sentence in error_of(capsys, *argv)
    assert not (tmp_path / 'work_dirs').exists()


def test_a_tracker_is_refused_by_mmrefine_flow_as_ever(folder, capsys):
    assert 'follows points, and a network that estimates flow is wanted here' in error_of(
        capsys, 'flow', folder, '--model', 'pips_demo', '--max-error', '1')

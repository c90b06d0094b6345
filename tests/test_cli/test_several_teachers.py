"""``--teacher`` given several times: networks and files that label together."""
from __future__ import annotations

import json
import shutil

import pytest
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of

from mmrefine.apis.named_models import load_named
from mmrefine.apis.teachers import teacher_values
from mmrefine.apis.verifiers import VERIFIER, verify_values
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.config.load import override
from mmrefine.fileio import LabelStore
from mmrefine.fileio.atomic import save_checkpoint

TINY = ['--steps', '1', '--batch-size', '1', '--workers', '0', '--set', 'model.train_iters=1', 'model.test_iters=1',
        f'crop_size={SIZE}'.replace(' ', ''), 'labeler.view.scales=(1.,)', 'labeler.view.flip=False', 'held_out=0']
DEMO = dict(type='OtherNetwork', model='demo', checkpoint=str(DEMO_WEIGHTS))


def moved(path, factor):
    """Weights that differ from those of the demo."""
    weights = load_checkpoint_file(DEMO_WEIGHTS)
    for value in weights['state_dict'].values():
        value.mul_(factor)
    save_checkpoint(path, weights)
    return path


def test_all_who_labelled_are_named_and_others_do_not_go_on_with_the_run(tmp_path, capsys):
    clip, student = rendered(tmp_path / 'clip', 4), moved(tmp_path / 'student.pth', 1.01)
    command = ('refine', clip, '--model', 'demo', '--checkpoint', student, '--out', tmp_path / 'out')
    teachers = ['--teacher', 'self', '--teacher', 'demo']
    assert status_of(*command, *teachers, '--dry-run', *TINY) == 0
    text = capsys.readouterr().out
    assert 'labelled by: the network itself and demo with the weights of raft_small_source.pth\n' in text
    assert 'all: labels ' in text and not (tmp_path / 'out').exists()
    assert status_of(*command, *teachers, *TINY) == 0
    store = LabelStore.open(tmp_path / 'out/labels')
    named = 'RAFT with the weights of student.pth and demo with the weights of raft_small_source.pth'
    assert store.manifest['extra']['labelled_by'] == named
    assert len(store.fingerprint['teacher'].split('+')) == 2
    shares = [name for name in store.stats(store.keys()[0]) if name.startswith('from_')]
    assert shares == ['from_1x_of_1', 'from_1x_of_2']
    assert json.loads((tmp_path / 'out/report.json').read_text())['labels']['labelled_by'] == named
    # the weights of a teacher may lie elsewhere; other weights, or one teacher less, are another run
    copy = shutil.copy(DEMO_WEIGHTS, tmp_path / 'raft_small_source.pth')
    assert status_of(*command, *teachers, '--teacher-checkpoint', copy, *TINY) == 0
    assert 'this run is finished already' in capsys.readouterr().out
    sentence = error_of(capsys, *command, *teachers, '--teacher-checkpoint', student, *TINY)
    assert 'holds a run of other settings (teacher was ' in sentence
    one_less = ['--teacher', 'demo', *(option for option in TINY if 'flip' not in option)]
    assert 'holds a run of other settings' in error_of(capsys, *command, *one_less)


def test_weights_go_to_the_networks_in_their_order(tmp_path):
    one, two = (moved(tmp_path / f'{name}.pth', factor) for name, factor in (('one', 1.1), ('two', 1.2)))
    values = teacher_values(load_named('raft_small'), ['demo', 'self', 'raft_small'], [one, two])
    assert values['custom_hooks.0.teacher'] == [
        dict(DEMO, checkpoint=str(one)), dict(type='StudentCopy'),
        dict(type='OtherNetwork', model='raft_small', checkpoint=str(two))]


def test_the_view_of_several_teachers_weighs_passes_and_one_teacher_leaves_it():
    cfg = load_named('raft_small')
    assert cfg.labeler.view.type == 'CascadeView'
    both = teacher_values(cfg, ['self', 'demo'])
    found = override(cfg, both)
    assert found.labeler.view == dict(type='ArbitratedView') and found.labeler.balance == cfg.labeler.balance
    verified = override(cfg, {**both, **verify_values(cfg, True, teacher=['self', 'demo'])})
    assert verified.labeler.view == dict(type='ArbitratedView', verifier=VERIFIER)
    assert [one['type'] for one in verified.custom_hooks[0].teacher] == ['StudentCopy', 'OtherNetwork']
    assert override(cfg, teacher_values(cfg, 'demo')).labeler == cfg.labeler
    # one takes the place of several, and several that of one
    again = override(found, teacher_values(found, ['self']))
    assert again.custom_hooks[0].teacher == dict(type='StudentCopy')
    assert override(again, both).custom_hooks[0].teacher == [dict(type='StudentCopy'), DEMO]


@pytest.mark.parametrize('options, sentence', [
    (['--teacher', 'self', '--teacher', 'demo', '--teacher', 'raft_small', '--teacher-checkpoint', DEMO_WEIGHTS],
     '--teacher-checkpoint: got 1 files, and the teachers that need weights are demo, raft_small; give one for each'),
    (['--teacher', 'self', '--teacher-checkpoint', DEMO_WEIGHTS],
     f'--teacher-checkpoint {DEMO_WEIGHTS}: --teacher self is the network itself, whose weights --checkpoint names'),
    (['--teacher', 'self', '--teacher', 'pips_demo'], '--teacher pips_demo: pips_demo follows points, and the network'),
    (['--teacher', 'self', '--teacher', 'self'], '--teacher self: is named 2 times'),
    (['--teacher', 'self', '--teacher', 'demo', '--rounds', '2'], '--teacher and --rounds exclude one another'),
])
def test_what_does_not_fit_is_one_sentence_before_the_video_is_read(options, sentence, tmp_path, capsys):
    found = error_of(capsys, 'refine', tmp_path / 'no.mp4', '--model', 'demo', '--out', tmp_path / 'out', *options)
    assert found.startswith(sentence) and not (tmp_path / 'out').exists()


def test_a_tracker_has_one_teacher(tmp_path, capsys):
    found = error_of(capsys, 'labels', tmp_path / 'no.mp4', '--model', 'pips_demo', '--teacher', 'self', '--teacher',
                     'pips_demo')
    assert 'follows points, and a second --teacher weighs passes of a network that estimates flow' in found

"""How far a teacher that is another network is ahead, by the guard's score."""
from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from small_runs import run, small_model
from test_regression_guard_hook import (PutWeights, assert_same_weights, guarded, page_of, report_of, state_of,
                                        verdict_of, video)

from mmrefine.engine.guard.other_teacher import other_teachers, teacher_record
from mmrefine.registry import TEACHERS

__all__ = ['PutWeights', 'video']  # what the runs and the tests find by name


def taught(video, work_dir, start, teacher, *more_hooks, **settings):
    """The config of a run whose labels come from the weights of ``teacher``."""
    cfg = guarded(video, work_dir, start, *more_hooks, steps=[1.], **settings)
    cfg.custom_hooks[0].teacher = dict(type='OtherNetwork', model=dict(cfg.model), checkpoint=str(video / teacher))
    return cfg


def test_how_far_another_teacher_is_ahead_is_said_and_is_what_its_weights_score_as_a_student(video, tmp_path):
    run(taught(video, tmp_path, 'shaken.pth', 'good.pth', dict(type='PutWeights', path=str(video / 'good.pth'), at=2)))
    report = report_of(tmp_path)
    (teacher, ), chosen = report['guard']['teachers'], report['guard']['chosen']
    assert teacher['change_percent'] == chosen['change_percent'] < -5 and teacher['surely'] is True
    assert teacher['pairs_better'] == chosen['pairs_better'] and teacher['pairs'] == 6
    said = ('The teacher, RAFT with the weights of good.pth, is ahead of the original network: on 6 frame pairs that '
            'were kept back its label-free score differs by −')
    assert said in page_of(tmp_path) and said in next(tmp_path.glob('*/*.log')).read_text()
    assert 'The teacher: RAFT with the weights of good.pth.' in page_of(tmp_path)
    # the student was the shaken network, and is compared with it
    assert_same_weights(state_of(tmp_path / 'teacher.pth'), state_of(video / 'shaken.pth'))


def test_a_teacher_that_is_the_students_own_copy_is_not_ahead_and_the_verdict_is_that_without_it(video, tmp_path):
    student = dict(type='PutWeights', path=str(video / 'shaken.pth'), at=1)
    guard = verdict_of(taught(video, tmp_path / 'other', 'good.pth', 'good.pth', student, max_iters=1, report=False))
    teacher, = guard.pop('teachers')
    assert (teacher['change_percent'], teacher['interval_percent'], teacher['surely']) == (0, [0, 0], False)
    assert 'good.pth, is not ahead of the original network: on 6 frame pairs that were kept back its label-free ' \
           'score differs by 0.0 %' in next((tmp_path / 'other').glob('*/*.log')).read_text()
    assert guard == verdict_of(guarded(video, tmp_path / 'own', 'good.pth', student, steps=[1.], max_iters=1,
                                       report=False))


def test_only_a_network_that_labels_in_this_run_is_compared(tmp_path):
    network = TEACHERS.build(dict(type='OtherNetwork', model=small_model(), checkpoint=str(tmp_path / 'gone.pth')))
    files = TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path)))
    own = TEACHERS.build(dict(type='StudentAverage'))
    hooks = [SimpleNamespace(), *(SimpleNamespace(teachers=source, labels=None) for source in (files, own))]
    assert other_teachers(hooks) == []
    assert other_teachers([*hooks, SimpleNamespace(teachers=network, labels='labels')]) == []
    assert other_teachers([*hooks, SimpleNamespace(teachers=network, labels=None)]) == [network]
    group = SimpleNamespace(members=[own, network, files, network])
    assert other_teachers([*hooks, SimpleNamespace(teachers=group, labels=None)]) == [network, network]


def test_a_teacher_whose_weights_are_gone_when_a_run_is_resumed_does_not_end_it(tmp_path, caplog):
    network = TEACHERS.build(dict(type='OtherNetwork', model=small_model(), checkpoint=str(tmp_path / 'gone.pth')))
    runner = SimpleNamespace(hooks=[SimpleNamespace(teachers=network)], logger=logging.getLogger('resumed'))
    with caplog.at_level(logging.WARNING):
        assert teacher_record(runner, torch.nn.Linear(1, 1), None, [], .95, 0, pytest.fail) == {}
    assert 'Guard: the teacher is not compared with the original network: ' in caplog.text
    assert 'gone.pth' in caplog.text

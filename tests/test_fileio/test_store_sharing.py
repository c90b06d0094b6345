"""Processes that know nothing of each other work on one store, and none harms what another made."""
from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import torch
from filelock import FileLock
from helpers_fileio import die_at, in_child, label, tree

import mmrefine.fileio.store.label_store as label_store
from mmrefine.errors import LabelStoreError, StaleLabelsError
from mmrefine.fileio import LabelStore
from mmrefine.fileio.codecs.flow import FlowCodec
from mmrefine.fileio.lock import LOCK, folder_lock
from mmrefine.fileio.store.verification import verify_store

KEYS = [f'cat/{at}__{at + 1}' for at in range(6)]
EXTRA = {'frames': 7}


def run(root: Path, seed: int = 0, teacher: str = 'aaaa') -> None:
    """A whole labelling run with a fake teacher; ``seed`` changes what it makes, as another graphics card would."""
    store = LabelStore(root, {'teacher': teacher})
    store.create()
    for key in [key for key in KEYS if not store.has(key)]:  # as a run does it: what is missing is listed once
        at = KEYS.index(key) + seed
        store.write(key, label(at, soft=at % 2 == 1), {'kept': at / 7})
    store.finish(KEYS, EXTRA)


def start(work: Callable[[], object]) -> int:
    """``in_child`` without waiting: the process."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except StaleLabelsError:
            code = 3
        finally:
            os._exit(code)
    return pid


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def slowed(module: Any, name: str, seconds: Callable[[], float], work: Callable[[], object]) -> Callable[[], None]:
    """``work`` with a pause before each call of ``module.name``; for a child process."""

    def slow() -> None:
        true = getattr(module, name)

        def late(*args: Any, **kwargs: Any) -> Any:
            time.sleep(seconds())
            return true(*args, **kwargs)

        setattr(module, name, late)
        work()

    return slow


def alone(tmp_path: Path) -> Dict[str, bytes]:
    run(tmp_path / 'alone')
    return tree(tmp_path / 'alone')


@pytest.mark.parametrize('seed', range(3))
def test_two_runs_of_the_same_making_at_once_leave_the_store_of_one(tmp_path: Path, seed: int) -> None:
    clocks = [random.Random(2 * seed), random.Random(2 * seed + 1)]
    pids = [start(slowed(os, 'replace', lambda clock=clock: clock.uniform(0, 0.02),  # type: ignore[misc]
                         lambda: run(tmp_path / 'shared'))) for clock in clocks]
    assert [end_of(pid) for pid in pids] == [0, 0]
    assert tree(tmp_path / 'shared') == alone(tmp_path)


@pytest.mark.parametrize('seed', range(3))
def test_no_label_is_half_of_one_run_and_half_of_another(tmp_path: Path, seed: int) -> None:
    clocks = [random.Random(2 * seed), random.Random(2 * seed + 1)]
    pids = [start(slowed(os, 'replace', lambda clock=clock: clock.uniform(0, 0.02),  # type: ignore[misc]
                         lambda shift=shift: run(tmp_path, shift))) for shift,
            clock in zip((0, 1), clocks)]  # type: ignore[misc]
    assert [end_of(pid) for pid in pids] == [0, 0]
    assert not verify_store(tmp_path).faults
    store = LabelStore.open(tmp_path)
    for at, key in enumerate(KEYS):
        made_by = round(store.stats(key)['kept'] * 7) - at
        wanted = label(at + made_by, soft=(at + made_by) % 2 == 1)
        assert made_by in (0, 1) and torch.equal(store.read(key).weight, FlowCodec().as_stored(wanted).weight)


def test_of_two_runs_of_different_making_one_gets_the_folder_and_the_other_is_told(tmp_path: Path) -> None:
    for first in range(2):
        root = tmp_path / str(first)
        teachers = ['aaaa', 'bbbb']
        # both come to an empty folder before either has written its name
        pids = [start(slowed(label_store, 'write_json', lambda: 0.1,
                             lambda name=name: run(root, teacher=name)))  # type: ignore[misc]
                for name in (teachers if first else teachers[::-1])]
        assert sorted(end_of(pid) for pid in pids) == [0, 3]
        assert not verify_store(root).faults and LabelStore.open(root).keys() == KEYS


def test_a_run_whose_folder_was_given_to_another_writes_nothing_into_it(tmp_path: Path) -> None:
    ours = LabelStore(tmp_path / 'labels', {'teacher': 'aaaa'})
    ours.create()
    ours.write(KEYS[0], label(), {})
    shutil.rmtree(tmp_path / 'labels')
    with pytest.raises(LabelStoreError, match='labels/cat/1__2: cannot be written'):
        ours.write(KEYS[1], label(), {})
    assert not (tmp_path / 'labels').exists()
    run(tmp_path / 'labels', teacher='bbbb')
    before = tree(tmp_path)
    for work in (lambda: ours.write('cat/8__9', label(), {}), lambda: ours.finish([], {}), ours.create):
        with pytest.raises(StaleLabelsError, match=r'made with other teacher \(found bbbb, this run needs aaaa\)'):
            work()
    assert tree(tmp_path) == before


@pytest.mark.parametrize('other', ['finish', 'create'])
def test_the_end_of_one_run_takes_no_file_from_under_the_hands_of_another(tmp_path: Path, other: str) -> None:
    store = LabelStore(tmp_path, {'teacher': 'aaaa'})
    store.create()
    store.finish([], {})
    pid = start(slowed(os, 'replace', lambda: 0.2, lambda: store.write(KEYS[0], label(0), {'kept': 0.})))
    while not list(tmp_path.rglob('.mmrefine-*')):  # the other process is writing
        time.sleep(0.005)
    store.finish([], {}) if other == 'finish' else store.create()
    assert end_of(pid) == 0
    assert store.has(KEYS[0]) and torch.equal(store.read(KEYS[0]).weight, label(0).weight)


def test_a_run_killed_at_any_of_its_steps_does_not_hold_up_another(tmp_path: Path) -> None:
    wanted, ends = alone(tmp_path), []
    for step in range(40):
        root = tmp_path / str(step)
        ends.append(in_child(die_at(step, lambda: run(root))))
        started = time.monotonic()
        other = start(lambda: run(root))
        while time.monotonic() < started + 60:
            pid, status = os.waitpid(other, os.WNOHANG)
            if pid:
                break
            time.sleep(0.005)
        else:
            os.kill(other, signal.SIGKILL)
            pytest.fail(f'the next run hangs after a kill at step {step}')
        assert status == 0 and tree(root) == wanted, f'step {step}'
        if ends[-1] == 0:
            break
    assert len(ends) > 20 and set(ends[:-1]) == {-signal.SIGKILL}


def test_runs_that_are_killed_at_random_beside_one_that_is_not_do_no_harm(tmp_path: Path) -> None:
    wanted, clock = alone(tmp_path), random.Random(0)
    for attempt in range(4):
        root = tmp_path / str(attempt)
        steady = start(slowed(os, 'replace', lambda: 0.01, lambda: run(root)))
        for _ in range(3):
            in_child(lambda: run(root), kill_after=clock.uniform(0., 0.05))
        assert end_of(steady) == 0
        run(root)  # what the killed ones left goes with the next look
        assert tree(root) == wanted


def test_the_lock_lets_one_in_at_a_time_leaves_an_empty_file_and_dies_with_its_holder(tmp_path: Path) -> None:
    notes: List[str] = []

    def hold() -> None:
        with folder_lock(tmp_path):
            (tmp_path / 'inside').touch()
            time.sleep(0.2)
            (tmp_path / 'inside').unlink()

    pid = start(hold)
    while not (tmp_path / 'inside').exists():
        time.sleep(0.005)
    with folder_lock(tmp_path):
        notes += os.listdir(tmp_path)
    assert end_of(pid) == 0 and notes == [LOCK]

    def die() -> None:
        with folder_lock(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == -signal.SIGKILL
    with folder_lock(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]


def test_a_child_that_was_forked_inside_does_not_keep_the_lock(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        pid = start(lambda: time.sleep(30))
    try:
        handle = os.open(tmp_path / LOCK, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if it is held
        os.close(handle)
    finally:
        os.kill(pid, signal.SIGKILL)
        end_of(pid)


@pytest.mark.parametrize('number, works', [(errno.ENOLCK, True), (errno.ENOSYS, True), (errno.EBADF, True),
                                           (errno.EIO, False)])
def test_where_the_file_system_has_no_locks_the_store_works_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                    number: int,
                                                                    works: bool) -> None:

    def fail(handle: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, 'flock', fail)
    if works:
        run(tmp_path / 'labels')
        assert LabelStore.open(tmp_path / 'labels').keys() == KEYS
    else:
        with pytest.raises(LabelStoreError, match='fingerprint.json: cannot be written .Input/output error'):
            run(tmp_path / 'labels')


@pytest.mark.parametrize('number', [errno.EACCES, errno.EROFS])
def test_a_complete_store_in_a_folder_that_may_only_be_read_is_used_as_it_is(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    root = tmp_path / 'labels'
    run(root)
    (root / LOCK).unlink()
    wanted, writable = tree(root), False

    def refuse(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, 'acquire', refuse)
    monkeypatch.setattr(os, 'access', lambda path, how: writable)
    store = LabelStore(root, {'teacher': 'aaaa'})
    store.create()
    store.expect(dict(labels=len(KEYS), digest='0'))
    assert store.is_complete() and tree(root) == wanted
    with pytest.raises(StaleLabelsError):
        LabelStore(root, {'teacher': 'bbbb'}).create()
    writable = True  # somebody else's lock in a folder that can be written
    with pytest.raises(LabelStoreError, match='cannot be written'):
        store.create()

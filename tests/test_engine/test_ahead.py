"""Fetching ahead: order, errors, memory and the end of the thread."""
from __future__ import annotations

import gc
import threading
import weakref

import pytest

from mmrefine.engine.runtime.read_ahead import ReadAhead
from mmrefine.errors import InputError


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith('read-ahead')]


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not readers()


class Counted:
    """Numbers from 0; tells which one was fetched last, and in which thread."""

    def __init__(self, count, error=None):
        self.count, self.error, self.fetched, self.threads = count, error, [], set()
        self.changed = threading.Condition()

    def __iter__(self):
        for number in range(self.count):
            with self.changed:
                self.fetched.append(number)
                self.threads.add(threading.current_thread().name.partition('_')[0])
                self.changed.notify_all()
            yield number
        if self.error is not None:
            raise self.error

    def reaches(self, count, seconds):
        """Whether so many are fetched in that time."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.fetched) >= count, timeout=seconds)


@pytest.mark.parametrize('depth', [0, 1, 3])
@pytest.mark.parametrize('count', [0, 1, 20])
def test_all_items_come_in_their_order(depth, count):
    source = Counted(count)
    with ReadAhead(source, depth) as items:
        assert list(items) == list(range(count))
        assert next(items, 'end') == 'end'
    assert source.threads == ({'read-ahead' if depth else 'MainThread'} if count else set())


@pytest.mark.parametrize('depth', [1, 3])
def test_while_an_item_is_in_use_as_many_as_allowed_are_fetched_and_no_more(depth):
    source = Counted(20)
    with ReadAhead(source, depth) as items:
        for number in items:
            wanted = min(number + 1 + depth, 20)
            assert source.reaches(wanted, seconds=10)      # without being asked for
            assert not source.reaches(wanted + 1, seconds=.01)


@pytest.mark.parametrize('depth', [0, 2])
def test_an_error_is_raised_at_the_item_that_it_hit(depth):
    error, got = InputError('film.mp4: frame 3 is not what it was'), []
    with pytest.raises(InputError, match='film.mp4: frame 3') as caught:
        with ReadAhead(Counted(3, error), depth) as items:
            for number in items:
                got.append(number)
    assert got == [0, 1, 2] and caught.value is error


@pytest.mark.parametrize('error', [KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_no_error_is_lost_in_the_thread(error):
    with pytest.raises(type(error)) as caught:
        with ReadAhead(Counted(0, error)) as items:
            list(items)
    assert caught.value is error


def test_an_error_beyond_what_was_wanted_is_none():
    source = Counted(2, InputError('too far'))
    with ReadAhead(source, 5) as items:
        assert next(items) == 0


@pytest.mark.parametrize('leave', ['break', 'error', 'unused'])
def test_the_thread_ends_with_the_block_however_it_is_left(leave):
    source = Counted(10**9)
    try:
        with ReadAhead(source, 2) as items:
            if leave != 'unused':
                assert next(items) == 0 and readers()
            if leave == 'error':
                raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        kept = error                                    # its traceback keeps the frames of this function alive
        assert not readers() and kept.__traceback__ is not None
    assert not readers() and len(source.fetched) <= 4


def test_an_item_that_was_handed_over_is_not_kept():

    class Frame:
        """Something that can be watched."""

    alive = []

    def frames():
        for _ in range(10):
            frame = Frame()
            alive.append(weakref.ref(frame))
            yield frame
            del frame

    most = 0
    with ReadAhead(frames(), 1) as items:
        for frame in items:
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))
            del frame
    # in use, ready, and held by the source until it is asked again
    assert most <= 3 and len(alive) == 10

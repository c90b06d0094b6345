"""What a student unlearned is counted against the original network, which is asked once about each rendered sample."""
from __future__ import annotations

from dataclasses import dataclass

import pytest

from mmrefine.engine.guard.observer import Observer
from mmrefine.structures.figures import Figure


@dataclass(frozen=True)
class Off:
    """Sum and count of errors."""
    total: float
    count: int
    figures = (Figure('error', 'px', 'lower', headline=True), )

    def __add__(self, other):
        return Off(self.total + other.total, self.count + other.count)

    def scores(self):
        return dict(error=self.total / self.count)


class Rendered:
    """Witnesses that only have rendered samples: a network is off by its own number times that of the sample + 1."""

    def __init__(self):
        self.asked = []

    def rendered(self, network, number):
        self.asked.append((network, number))
        return Off(network * (number + 1), 1)


def test_the_original_network_is_asked_once_however_many_students_there_are():
    witnesses = Rendered()
    observer, lines = Observer(witnesses), []
    teacher, better, worse = 2., 1., 3.
    first = observer.forgotten(teacher, better, 2, lines.append)
    assert witnesses.asked == [(teacher, 0), (teacher, 1), (better, 0), (better, 1)]
    # (1 + 2) / 2 of each network's number
    assert (first['before'], first['after'], first['pairs']) == (3., 1.5, 2) and first['change_percent'] == -50
    second = observer.forgotten(teacher, worse, 2, lines.append)
    assert witnesses.asked[4:] == [(worse, 0), (worse, 1)]
    assert (second['before'], second['after']) == (3., 4.5) and second['change_percent'] == pytest.approx(50)


@pytest.mark.parametrize('before', [[], [5.]])
def test_where_it_is_handed_back_it_is_not_asked_again(before):
    witnesses = Rendered()
    observer, teacher = Observer(witnesses), 2.
    for student in before:
        observer.forgotten(teacher, student, 3, print)
    asked = len(witnesses.asked)
    found = observer.forgotten(teacher, teacher, 3, print)
    assert len(witnesses.asked) - asked == (0 if before else 3)
    assert (found['before'], found['after'], found['change_percent']) == (4., 4., 0.)


def test_without_samples_nothing_is_asked():
    witnesses = Rendered()
    assert Observer(witnesses).forgotten(2., 1., 0, print) == {} and not witnesses.asked
